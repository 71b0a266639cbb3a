import { createHash, randomBytes } from 'node:crypto'
import { zstdDecompressSync } from 'node:zlib'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { isZstdFrameOf, zstdFrameOf } from './zstd-frame.ts'

/** Compresses to about half, a byte more or less for each step. */
const hashes = Array.from({ length: 2100 }, (_, at) => createHash('sha256').update(`${at}`).digest('hex'))
const text = Buffer.from(hashes.join(''))
/** Where Node's buffer ends. */
const nodesBufferBytes = 65_536

it('is exactly one frame, also where what comes out ends where Node’s buffer does', () => {
  const frames: Buffer[] = []
  const comesTo = (length: number) => zstdFrameOf(text.subarray(0, length), 3).length
  let length = 1024
  for (let step = 2 ** 16; step >= 1; step /= 2) if (comesTo(length + step) < nodesBufferBytes) length += step
  for (let from = 0; frames.length < 3 && from < 400; from += 1) {
    for (let more = 0; more < 8; more += 1) {
      const content = text.subarray(from, from + length + more)
      const frame = zstdFrameOf(content, 3)
      expect(isZstdFrameOf(frame, content.length)).toBe(true)
      if (frame.length === nodesBufferBytes) frames.push(frame)
    }
  }
  expect(frames.length).toBeGreaterThanOrEqual(3)
})

it('holds what went in, however little or incompressible', () => {
  const content = fc.oneof(
    fc.uint8Array({ maxLength: 3000 }),
    fc.integer({ min: 0, max: 300_000 }).map((length) => randomBytes(length)),
    fc.integer({ min: 0, max: 300_000 }).map((length) => Buffer.alloc(length, 7)),
  )
  fc.assert(
    fc.property(content, fc.constantFrom(1, 3, 9), (bytes, level) => {
      const frame = zstdFrameOf(Buffer.from(bytes), level)
      expect(isZstdFrameOf(frame, bytes.length)).toBe(true)
      expect(zstdDecompressSync(frame).equals(bytes)).toBe(true)
    }),
    { numRuns: 60 },
  )
})

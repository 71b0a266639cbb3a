import { randomBytes } from 'node:crypto'
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isZstdFrameOf } from './zstd-frame.ts'
import { ZstdLanes } from './zstd-lanes.ts'

const sizes = [1, 4096, 8192, 65_536, 131_072]
const pieces = Array.from({ length: 60 }, (_, at) => {
  const size = sizes[at % sizes.length] ?? 1
  return at % 3 === 0 ? randomBytes(size) : Buffer.alloc(size, `piece ${at} `)
})

describe('zstd in lanes', () => {
  it('gives each piece what zstdCompressSync gives it, and back, many at once', async () => {
    const compress = new ZstdLanes('compress', 3)
    const decompress = new ZstdLanes('decompress', 3)
    const compressed = await Promise.all(pieces.map((piece) => compress.run(piece)))
    const opened = await Promise.all(compressed.map((piece, at) => decompress.run(piece, pieces[at]?.length)))
    for (const [at, piece] of pieces.entries()) {
      expect(compressed[at]?.equals(zstdCompressSync(piece))).toBe(true)
      expect(opened[at]?.equals(piece)).toBe(true)
    }
    compress.close()
    decompress.close()
  })

  it('go on after a piece that is damaged inside, with right answers for its neighbours', async () => {
    const decompress = new ZstdLanes('decompress', 2)
    const good = zstdCompressSync(Buffer.alloc(8192, 'good '))
    const damaged = damagedInside(Buffer.from(Array.from({ length: 8192 }, (_, at) => (at * at * at) % 61)))
    const answers = await Promise.allSettled(
      [good, damaged, good, damaged, good, good].map((piece) => decompress.run(piece, 8192)),
    )
    expect(answers.map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
    ])
    for (const answer of answers) {
      if (answer.status === 'fulfilled') expect(answer.value.equals(Buffer.alloc(8192, 'good '))).toBe(true)
    }
    decompress.close()
  })

  it('fail what waits when they are closed, and answer what is under way', async () => {
    const compress = new ZstdLanes('compress', 1)
    const answers = Promise.allSettled([compress.run(Buffer.alloc(4096)), compress.run(Buffer.alloc(4096))])
    compress.close()
    expect((await answers).map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
    await expect(compress.run(Buffer.alloc(1))).rejects.toThrow('closed')
  })
})

/** A zstd frame that looks whole from the outside, but cannot be decompressed. */
function damagedInside(content: Buffer): Buffer {
  const frame = zstdCompressSync(content)
  for (let at = 5; at < frame.length; at += 1) {
    const damaged = Buffer.from(frame)
    damaged.writeUInt8(damaged.readUInt8(at) ^ 0xff, at)
    if (!isZstdFrameOf(damaged, content.length)) continue
    try {
      zstdDecompressSync(damaged)
    } catch {
      return damaged
    }
  }
  throw new Error('nothing damages it')
}

describe('the outside of a zstd frame', () => {
  it('is known of whatever zstd makes of up to 128 KiB, with and without a checksum', () => {
    for (const piece of pieces) {
      const checked = zstdCompressSync(piece, { params: { [constants.ZSTD_c_checksumFlag]: 1 } })
      for (const frame of [zstdCompressSync(piece), checked]) {
        expect(isZstdFrameOf(frame, piece.length)).toBe(true)
        expect(isZstdFrameOf(frame, piece.length + 1)).toBe(false)
        expect(isZstdFrameOf(frame.subarray(0, frame.length - 1), piece.length)).toBe(false)
        expect(isZstdFrameOf(Buffer.concat([frame, Buffer.of(0)]), piece.length)).toBe(false)
        expect(isZstdFrameOf(Buffer.concat([frame, frame]), piece.length)).toBe(false)
      }
    }
  })

  it('is not seen in one that does not state its size', () => {
    const frame = zstdCompressSync(Buffer.alloc(100), { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } })
    expect(isZstdFrameOf(frame, 100)).toBe(false)
  })

  it('is looked for in any bytes without ever failing', () => {
    const magic = Buffer.of(0x28, 0xb5, 0x2f, 0xfd)
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(70_000), (bytes, length) => {
        isZstdFrameOf(Buffer.from(bytes), length)
        isZstdFrameOf(Buffer.concat([magic, bytes]), length)
      }),
      { numRuns: 300 },
    )
  })
})

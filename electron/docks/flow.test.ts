import { once } from 'node:events'
import { Duplex, duplexPair } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isCode } from '../../shared/errors/index.ts'
import { windowed } from './flow.ts'
import { dataHeader, endFrame, flowKind, numberFrame } from './flow-frames.ts'

/** A channel that cuts what passes it into pieces of other sizes. */
function choppedPair(sizes: number[]): [Duplex, Duplex] {
  const [a, b] = duplexPair()
  let turn = 0
  const chopped = new Duplex({
    allowHalfOpen: true,
    read() {
      b.resume()
    },
    write(chunk: Buffer, _encoding, done) {
      b.write(chunk, done)
    },
    final(done) {
      b.end(done)
    },
    destroy(error, done) {
      b.destroy()
      done(error)
    },
  })
  b.on('data', (chunk: Buffer) => {
    for (let offset = 0; offset < chunk.length; ) {
      const size = sizes[turn++ % sizes.length] ?? 1
      chopped.push(chunk.subarray(offset, offset + size))
      offset += size
    }
  })
  b.on('end', () => chopped.push(null))
  b.on('close', () => {
    if (!b.readableEnded) chopped.destroy()
  })
  return [a, chopped]
}

/** Not by async iteration: that destroys a stream whose other direction is still open. */
async function readAll(stream: Duplex, onRead: (sizeBytes: number) => void = () => {}): Promise<Buffer> {
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    onRead(chunk.length)
  })
  await once(stream, 'end')
  return Buffer.concat(chunks)
}

function pattern(sizeBytes: number, seed: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes)
  for (let i = 0; i < sizeBytes; i += 1) bytes[i] = (i * 31 + seed + (i >> 8)) & 0xff
  return bytes
}

describe('a windowed stream', () => {
  it('carries any bytes both ways unchanged and never runs ahead of the reader by more than the window', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 30_000 }), { minLength: 1, maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 9000 }), { minLength: 2, maxLength: 6 }),
        fc.integer({ min: 300, max: 60_000 }),
        async (writes, cuts, windowBytes) => {
          const [left, right] = choppedPair(cuts)
          const a = windowed(left, { windowBytes })
          const b = windowed(right, { windowBytes })
          const bytes = pattern(
            writes.reduce((sum, size) => sum + size, 0),
            windowBytes,
          )
          let readBytes = 0
          let worstBytes = 0
          const received = readAll(b, (sizeBytes) => {
            readBytes += sizeBytes
          })
          const back = readAll(a)
          let offset = 0
          for (const size of writes) {
            if (!a.write(bytes.subarray(offset, offset + size))) await once(a, 'drain')
            offset += size
            const { sentBytes, ackedBytes } = a.stats()
            worstBytes = Math.max(worstBytes, sentBytes - ackedBytes, sentBytes - readBytes)
          }
          a.end()
          b.end(bytes)
          expect((await received).equals(bytes)).toBe(true)
          expect((await back).equals(bytes)).toBe(true)
          expect(worstBytes).toBeLessThanOrEqual(windowBytes)
        },
      ),
      { numRuns: 30 },
    )
  })

  it('stops when the far reader stops, and goes on when the window is widened', async () => {
    const [left, right] = duplexPair()
    const a = windowed(left, { windowBytes: 100_000 })
    const b = windowed(right, { windowBytes: 100_000 })
    a.write(pattern(1_000_000, 1))
    await turns(20)
    expect(a.stats()).toMatchObject({ sentBytes: 100_000, ackedBytes: 0 })
    a.setWindow(250_000)
    await turns(20)
    expect(a.stats().sentBytes).toBe(250_000)
    b.resume()
    await turns(50)
    expect(a.stats()).toMatchObject({ sentBytes: 1_000_000, ackedBytes: 1_000_000 })
    expect(a.stats().rttMs).not.toBeNull()
    a.destroy()
    b.destroy()
  })
})

describe('the end of a windowed stream', () => {
  it('closes one direction and keeps the other', async () => {
    const [left, right] = duplexPair()
    const a = windowed(left, { windowBytes: 1000 })
    const b = windowed(right, { windowBytes: 1000 })
    a.end('question')
    expect((await readAll(b)).toString()).toBe('question')
    b.end('answer')
    expect((await readAll(a)).toString()).toBe('answer')
  })

  it('tells a lost channel from an end', async () => {
    const [left, right] = duplexPair()
    const a = windowed(left, { windowBytes: 1000 })
    a.resume()
    right.destroy()
    left.destroy()
    const [error] = await once(a, 'error')
    expect(isCode(error, 'dock.link_lost')).toBe(true)
  })
})

describe('bad frames', () => {
  it.each([
    ['an unknown frame', Buffer.from([9, 0, 0, 0])],
    ['credit for what was never sent', numberFrame(flowKind.credit, 1)],
    ['an empty DATA frame', dataHeader(0)],
    ['a second END', Buffer.concat([endFrame(), endFrame()])],
    ['DATA larger than allowed', dataHeader(256 * 1024 + 1)],
    ['a number of a wrong length', Buffer.from([3, 0, 0, 5, 1, 2, 3, 4, 5])],
  ])('of a windowed stream fail it: %s', async (_what, bytes) => {
    const [left, right] = duplexPair()
    const a = windowed(left, { windowBytes: 1000 })
    right.write(bytes)
    const [error] = await once(a, 'error')
    expect(isCode(error, 'dock.bad_message')).toBe(true)
  })
})

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) await new Promise((resolve) => setImmediate(resolve))
}

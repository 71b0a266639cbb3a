import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Duplex, duplexPair } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { endFrame, flowKind, numberFrame, writeDataHeader } from './flow-frames.ts'
import { type FlowOptions, type Window, WindowedJoint } from './windowed-joint.ts'

const kibibyte = 1024
const mebibyte = 1024 * kibibyte

let folder: string
let sockets: Socket[]

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wj-'))
  sockets = []
})

afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  await rm(folder, { recursive: true, force: true })
})

/** A unix socket as QEMU has it: [what the joint takes, paused; QEMU's end]. */
async function localPair(): Promise<[Socket, Socket]> {
  const path = join(folder, `s${sockets.length}`)
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(path)
  await once(server, 'listening')
  const outer = connect({ path, allowHalfOpen: true })
  const [inner] = (await once(server, 'connection')) as [Socket]
  server.close()
  sockets.push(inner, outer)
  return [inner, outer]
}

interface Ends {
  a: WindowedJoint
  b: WindowedJoint
  outerA: Socket
  outerB: Socket
}

async function joined(left: Duplex, right: Duplex, flow: number | FlowOptions): Promise<Ends> {
  const [innerA, outerA] = await localPair()
  const [innerB, outerB] = await localPair()
  const options = typeof flow === 'number' ? { window: fixed(flow) } : flow
  const a = new WindowedJoint(left, options)
  const b = new WindowedJoint(right, options)
  a.join(innerA)
  b.join(innerB)
  return { a, b, outerA, outerB }
}

/** Copies what is written, as a socket does: its writer may change it as soon as the write is over. */
function channelPair(): [Duplex, Duplex] {
  const pair = duplexPair()
  for (const side of pair) {
    const write = side._write.bind(side)
    side._write = (chunk: Buffer, encoding, done) => write(Buffer.from(chunk), encoding, done)
  }
  return pair
}

/** A channel that cuts what passes it into pieces of other sizes. */
function choppedPair(sizes: number[]): [Duplex, Duplex] {
  const [a, b] = channelPair()
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
async function readAll(stream: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(stream, 'end')
  return Buffer.concat(chunks)
}

function pattern(sizeBytes: number, seed: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes)
  for (let i = 0; i < sizeBytes; i += 1) bytes[i] = (i * 31 + seed + (i >> 8)) & 0xff
  return bytes
}

async function settled(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries += 1) {
    if (tries > 1000) throw new Error('it did not come to that')
    await wait(2)
  }
}

/** Looks at every write to `channel` how far its joint is ahead of the far consumer. */
class Ahead {
  worstBytes = 0

  constructor(joint: WindowedJoint, channel: Duplex) {
    const write = channel.write.bind(channel) as (chunk: Buffer, done?: () => void) => boolean
    channel.write = ((chunk: Buffer, done?: () => void) => {
      const { sentBytes, ackedBytes } = joint.stats()
      this.worstBytes = Math.max(this.worstBytes, sentBytes - ackedBytes)
      return write(chunk, done)
    }) as typeof channel.write
  }
}

/** Always has more to read, as QEMU while it copies memory. */
function supply(socket: Socket): void {
  const bytes = pattern(mebibyte, 3)
  const more = (error?: Error | null): void => {
    if (!error && !socket.destroyed) socket.write(bytes, more)
  }
  socket.on('error', () => undefined)
  more()
}

/** Takes at most 1.6 MB each second. @returns what stops it */
function takeSlowly(socket: Socket): () => void {
  socket.pause()
  const timer = setInterval(() => socket.read(8000), 5)
  return () => clearInterval(timer)
}

/** By how much `total` grows at most from one turn of the event loop to the next. @returns what stops and tells it */
function worstTurn(total: () => number): () => number {
  let last = total()
  let worst = 0
  const look = (): void => {
    worst = Math.max(worst, total() - last)
    last = total()
    next = setImmediate(look)
  }
  let next = setImmediate(look)
  return () => {
    clearImmediate(next)
    return worst
  }
}

describe('two joints', () => {
  it('carry any bytes both ways unchanged and never run ahead by more than the window', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 300_000 }), { minLength: 1, maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 9000 }), { minLength: 2, maxLength: 6 }),
        fc.integer({ min: 30_000, max: 600_000 }),
        async (writes, cuts, windowBytes) => {
          const [left, right] = choppedPair(cuts)
          const { a, b, outerA, outerB } = await joined(left, right, windowBytes)
          const sizeBytes = writes.reduce((sum, size) => sum + size, 0)
          const bytes = pattern(sizeBytes, windowBytes)
          const ahead = new Ahead(a, left)
          const received = readAll(outerB)
          const back = readAll(outerA)
          let offset = 0
          for (const size of writes) {
            if (!outerA.write(bytes.subarray(offset, offset + size))) await once(outerA, 'drain')
            offset += size
          }
          outerA.end()
          outerB.end(bytes)
          expect((await received).equals(bytes)).toBe(true)
          expect((await back).equals(bytes)).toBe(true)
          await Promise.all([a.ended, b.ended])
          expect(ahead.worstBytes).toBeLessThanOrEqual(windowBytes)
          expect(a.stats()).toMatchObject({
            sentBytes: sizeBytes,
            ackedBytes: sizeBytes,
            receivedBytes: sizeBytes,
          })
          expect(a.bytes()).toBe(2 * sizeBytes)
        },
      ),
      { numRuns: 25 },
    )
  })

  it('stop when the far consumer stops, and go on when it does', async () => {
    const [left, right] = channelPair()
    const { a, outerA, outerB } = await joined(left, right, 400_000)
    const sizeBytes = 4_000_000
    outerA.write(pattern(sizeBytes, 1))
    outerB.pause()
    await wait(100)
    const { sentBytes, ackedBytes } = a.stats()
    expect(sentBytes).toBeLessThan(sizeBytes)
    expect(sentBytes - ackedBytes).toBeLessThanOrEqual(400_000)
    outerB.resume()
    await settled(() => a.stats().ackedBytes === sizeBytes)
    expect(a.stats().rttMs).not.toBeNull()
    a.destroy()
  })

  it('end one direction and keep the other', async () => {
    const [left, right] = channelPair()
    const { a, b, outerA, outerB } = await joined(left, right, 1000)
    outerA.end('question')
    expect((await readAll(outerB)).toString()).toBe('question')
    outerB.end('answer')
    expect((await readAll(outerA)).toString()).toBe('answer')
    await Promise.all([a.ended, b.ended])
    await settled(() => left.destroyed && right.destroyed)
  })
})

describe('the window', () => {
  const bounds = { minBytes: 128 * kibibyte, maxBytes: 512 * kibibyte }

  it('grows with the rate of a fast far consumer, up to its maximum', async () => {
    const [left, right] = channelPair()
    const { a, outerA, outerB } = await joined(left, right, { window: { durationMs: 1000, ...bounds } })
    const ahead = new Ahead(a, left)
    outerB.resume()
    supply(outerA)
    await settled(() => ahead.worstBytes > bounds.maxBytes / 2)
    outerB.pause()
    await wait(300)
    expect(ahead.worstBytes).toBeLessThanOrEqual(bounds.maxBytes)
    a.destroy()
  })

  it('is at its minimum with a slow one', async () => {
    const [left, right] = channelPair()
    const { a, outerA, outerB } = await joined(left, right, { window: { durationMs: 24, ...bounds } })
    const ahead = new Ahead(a, left)
    const stop = takeSlowly(outerB)
    supply(outerA)
    // What the operating system itself keeps of the first bytes is no rate.
    await wait(400)
    ahead.worstBytes = 0
    await wait(500)
    stop()
    expect(ahead.worstBytes).toBeGreaterThan(bounds.minBytes / 2)
    expect(ahead.worstBytes).toBeLessThanOrEqual(bounds.minBytes)
    a.destroy()
  })
})

describe('one turn of the event loop', () => {
  it('reads no more than its share of what is ready, and the next ones the rest', async () => {
    const [left, right] = channelPair()
    const turnBytes = 64 * kibibyte
    const flow = { window: fixed(8 * mebibyte), turnBytes }
    const { a, b, outerA, outerB } = await joined(left, right, flow)
    const bytes = pattern(8_000_000, 5)
    const worst = worstTurn(() => a.stats().sentBytes)
    const received = readAll(outerB)
    outerA.resume().end(bytes)
    outerB.end()
    expect((await received).equals(bytes)).toBe(true)
    await Promise.all([a.ended, b.ended])
    expect(worst()).toBeLessThanOrEqual((turnBytes * 5) / 4)
  })

  it('receives no more than its share, and the next ones the rest', async () => {
    const [left, right] = channelPair()
    const { a, outerA } = await joined(left, channelPair()[0], 1000)
    const bytes = pattern(200 * kibibyte, 6)
    const worst = worstTurn(() => a.stats().receivedBytes)
    const received = readAll(outerA)
    for (let n = 0; n < 40; n += 1) right.write(Buffer.concat([header(bytes.length), bytes]))
    right.write(endFrame())
    outerA.end()
    expect((await received).equals(Buffer.concat(Array(40).fill(bytes)))).toBe(true)
    right.resume()
    await a.ended
    // The share of one turn and of the next may fall between two looks.
    expect(worst()).toBeLessThanOrEqual(2 * (512 + 200) * kibibyte)
  })
})

describe('a far end that ignores its window', () => {
  it('is not read while 64 MiB wait to be taken, and goes on when half of that is', async () => {
    const [left, right] = channelPair()
    const [inner, outer] = await localPair()
    const a = new WindowedJoint(left, { window: fixed(1000) })
    a.join(inner)
    right.resume()
    const frameBytes = 256 * kibibyte
    const frames = [1, 2, 3].map((fill) =>
      Buffer.concat([header(frameBytes), Buffer.alloc(frameBytes, fill)]),
    )
    const count = 320
    const send = (n: number): void => {
      right.write(n === count ? endFrame() : (frames[n % 3] as Buffer), () => n < count && send(n + 1))
    }
    send(0)
    await settled(() => a.stats().receivedBytes > 64 * mebibyte)
    await wait(100)
    expect(left.isPaused()).toBe(true)
    expect(a.stats().receivedBytes).toBeLessThan(66 * mebibyte)

    let takenBytes = 0
    let wrong = 0
    outer.on('data', (chunk: Buffer) => {
      if (chunk[0] !== (Math.floor(takenBytes / frameBytes) % 3) + 1) wrong += 1
      takenBytes += chunk.length
    })
    outer.end()
    await Promise.all([a.ended, once(outer, 'end')])
    expect({ takenBytes, wrong }).toEqual({ takenBytes: count * frameBytes, wrong: 0 })
  })
})

describe('a joint fails', () => {
  it('when its channel is lost, and cuts the local socket', async () => {
    const [left, right] = channelPair()
    const { a, b, outerA } = await joined(left, right, 1000)
    const closed = once(outerA.resume(), 'close')
    left.destroy()
    await expect(a.ended).rejects.toMatchObject({ code: 'dock.link_lost' })
    right.destroy()
    await expect(b.ended).rejects.toMatchObject({ code: 'dock.link_lost' })
    outerA.end()
    await closed
  })

  it('when its channel was lost before it was joined', async () => {
    const [left] = channelPair()
    const a = new WindowedJoint(left, { window: fixed(1000) })
    left.destroy()
    await expect(a.ended).rejects.toMatchObject({ code: 'dock.link_lost' })
    const [inner] = await localPair()
    a.join(inner)
    expect(inner.destroyed).toBe(true)
  })

  it('when it is cut here', async () => {
    const [left, right] = channelPair()
    const { a } = await joined(left, right, 1000)
    a.destroy()
    await expect(a.ended).rejects.toMatchObject({ code: 'dock.link_lost' })
    expect(left.destroyed).toBe(true)
  })

  it.each([
    ['an unknown frame', Buffer.from([9, 0, 0, 0])],
    ['credit for what was never sent', numberFrame(flowKind.credit, 1)],
    ['an empty DATA frame', header(0)],
    ['a second END', Buffer.concat([endFrame(), endFrame()])],
    ['DATA larger than allowed', header(256 * 1024 + 1)],
    ['a number of a wrong length', Buffer.from([3, 0, 0, 5, 1, 2, 3, 4, 5])],
  ])('at %s', async (_what, bytes) => {
    const [left, right] = channelPair()
    const [inner] = await localPair()
    const a = new WindowedJoint(left, { window: fixed(1000) })
    a.join(inner)
    right.write(bytes)
    await expect(a.ended).rejects.toMatchObject({ code: 'dock.bad_message' })
  })
})

function fixed(windowBytes: number): Window {
  return { durationMs: 1, minBytes: windowBytes, maxBytes: windowBytes }
}

function header(sizeBytes: number): Buffer {
  const frame = Buffer.alloc(4)
  writeDataHeader(frame, sizeBytes)
  return frame
}

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
import { type Window, WindowedJoint } from './windowed-joint.ts'

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

async function joined(left: Duplex, right: Duplex, windowBytes: number): Promise<Ends> {
  const [innerA, outerA] = await localPair()
  const [innerB, outerB] = await localPair()
  const a = new WindowedJoint(left, { window: fixed(windowBytes) })
  const b = new WindowedJoint(right, { window: fixed(windowBytes) })
  a.join(innerA)
  b.join(innerB)
  return { a, b, outerA, outerB }
}

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
    // What is cut may be changed by its writer as soon as the write is over.
    const copy = Buffer.from(chunk)
    for (let offset = 0; offset < copy.length; ) {
      const size = sizes[turn++ % sizes.length] ?? 1
      chopped.push(copy.subarray(offset, offset + size))
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
          let worstBytes = 0
          const write = left.write.bind(left) as (chunk: Buffer, done?: () => void) => boolean
          left.write = ((chunk: Buffer, done?: () => void) => {
            worstBytes = Math.max(worstBytes, a.stats().sentBytes - a.stats().ackedBytes)
            return write(chunk, done)
          }) as typeof left.write
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
          expect(worstBytes).toBeLessThanOrEqual(windowBytes)
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
    const [left, right] = duplexPair()
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
    const [left, right] = duplexPair()
    const { a, b, outerA, outerB } = await joined(left, right, 1000)
    outerA.end('question')
    expect((await readAll(outerB)).toString()).toBe('question')
    outerB.end('answer')
    expect((await readAll(outerA)).toString()).toBe('answer')
    await Promise.all([a.ended, b.ended])
    await settled(() => left.destroyed && right.destroyed)
  })
})

describe('a joint fails', () => {
  it('when its channel is lost, and cuts the local socket', async () => {
    const [left, right] = duplexPair()
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
    const [left] = duplexPair()
    const a = new WindowedJoint(left, { window: fixed(1000) })
    left.destroy()
    await expect(a.ended).rejects.toMatchObject({ code: 'dock.link_lost' })
    const [inner] = await localPair()
    a.join(inner)
    expect(inner.destroyed).toBe(true)
  })

  it('when it is cut here', async () => {
    const [left, right] = duplexPair()
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
    const [left, right] = duplexPair()
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

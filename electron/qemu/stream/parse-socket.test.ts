import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseSocket } from './parse-socket.ts'
import { KeepingSink, type SampleSpec, sampleStream } from './testing/sample-streams.ts'

const spec: SampleSpec = {
  blocks: [{ name: 'pc.ram', pages: 600 }],
  rounds: [Array.from({ length: 600 }, (_, page) => ({ block: 0, page, fill: page % 250 }))],
  kind: 'pre-copy',
  flushes: false,
  early: null,
  switchoverCommand: false,
  uuid: false,
  description: null,
  devices: Buffer.from('the devices'),
}

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wdock-parse-'))
})
afterAll(async () => await rm(folder, { recursive: true }))

/** A connection as QEMU makes it. */
async function connection(): Promise<{ far: Socket; near: Socket }> {
  const path = join(folder, 's')
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve))
  const far = connect({ path })
  far.on('error', () => {})
  const near = await accepted
  server.close()
  return { far, near }
}

describe('a stream from a socket', () => {
  it('is read whole, while a sink that has enough is waited for', async () => {
    const { bytes, memory } = sampleStream(spec)
    const { far, near } = await connection()
    const sink = new KeepingSink()
    let waiting = 0
    const keep = sink.page.bind(sink)
    sink.page = (block, page, content) => {
      keep(block, page, content)
      expect(waiting).toBe(0)
      if (page % 50 !== 49) return undefined
      waiting += 1
      return wait(2).then(() => {
        waiting -= 1
      })
    }
    far.end(bytes)
    await parseSocket(near, sink)
    expect(sink.fills).toEqual(memory)
    expect(sink.gotTail).not.toBeNull()
    await new Promise((resolve) => far.once('close', resolve))
  })

  it('fails by name when it is cut off, and with the sink’s own error; the other end is let go', async () => {
    const { bytes } = sampleStream(spec)
    const cut = await connection()
    cut.far.end(bytes.subarray(0, bytes.length >> 1))
    await expect(parseSocket(cut.near, new KeepingSink())).rejects.toMatchObject({ code: 'qemu.bad_stream' })

    const refused = await connection()
    const sink = new KeepingSink()
    const full = new Error('the disk is full')
    sink.page = () => Promise.reject(full)
    refused.far.write(bytes)
    const closed = new Promise((resolve) => refused.far.once('close', resolve))
    await expect(parseSocket(refused.near, sink)).rejects.toBe(full)
    await closed
  })

  it('is given up when nobody wants it any more, before it begins or while it is silent', async () => {
    for (const isEarly of [true, false]) {
      const { far, near } = await connection()
      const closed = new Promise((resolve) => far.once('close', resolve))
      const aborter = new AbortController()
      if (isEarly) aborter.abort()
      const reading = parseSocket(near, new KeepingSink(), { signal: aborter.signal })
      aborter.abort()
      await expect(reading).rejects.toMatchObject({ code: 'host.cancelled' })
      await closed
    }
  })
})

import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { duplexPair } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { plainJoint } from './joint.ts'

let folder: string
let sockets: Socket[]

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pj-'))
  sockets = []
})

afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  await rm(folder, { recursive: true, force: true })
})

/** A unix socket as QEMU has it: [what the joint takes, paused; QEMU's end]. */
async function localPair(): Promise<[Socket, Socket]> {
  const path = join(folder, 's')
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(path)
  await once(server, 'listening')
  const outer = connect({ path, allowHalfOpen: true })
  const [inner] = (await once(server, 'connection')) as [Socket]
  server.close()
  sockets.push(inner, outer)
  return [inner, outer]
}

describe('a plain joint', () => {
  it('carries bytes both ways until both sides have ended', async () => {
    const [channel, far] = duplexPair()
    const [inner, outer] = await localPair()
    const joint = plainJoint(channel)
    joint.join(inner)
    outer.end('question')
    expect(String((await once(far, 'data'))[0])).toBe('question')
    far.end('answer!')
    expect(String((await once(outer, 'data'))[0])).toBe('answer!')
    await joint.ended
    expect(joint.bytes()).toBe(15)
  })

  it('fails when its channel closes before it is joined, and takes no socket any more', async () => {
    const [channel] = duplexPair()
    const joint = plainJoint(channel)
    channel.destroy()
    await expect(joint.ended).rejects.toMatchObject({ code: 'dock.link_lost' })
    const [inner] = await localPair()
    joint.join(inner)
    expect(inner.destroyed).toBe(true)
  })

  it('fails when its channel was closed before', async () => {
    const [channel] = duplexPair()
    channel.destroy()
    await once(channel, 'close')
    await expect(plainJoint(channel).ended).rejects.toMatchObject({ code: 'dock.link_lost' })
  })

  it('fails with the error of its channel', async () => {
    const [channel] = duplexPair()
    const joint = plainJoint(channel)
    channel.destroy(new Error('cable'))
    await expect(joint.ended).rejects.toThrow('cable')
  })

  it('ends well when its channel closes after the end, before the socket has taken the last bytes', async () => {
    const [channel, far] = duplexPair()
    const [inner, outer] = await localPair()
    const joint = plainJoint(channel)
    joint.join(inner)
    const bytes = Buffer.alloc(2_000_000, 7)
    far.end(bytes)
    await once(channel, 'end')
    channel.destroy()
    await once(channel, 'close')
    const chunks: Buffer[] = []
    outer.on('data', (chunk: Buffer) => chunks.push(chunk))
    await once(outer, 'end')
    expect(Buffer.concat(chunks).equals(bytes)).toBe(true)
    outer.end()
    await joint.ended
  })
})

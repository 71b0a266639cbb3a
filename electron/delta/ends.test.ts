/** Sender and receiver between real sockets, with this test in QEMU's place at both ends. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { KnownFiles } from './known-files.ts'
import { Receiver } from './receiver.ts'
import { Sender } from './sender.ts'
import { KeptModel } from './testing/kept-model.ts'
import { moveOf } from './testing/sample-move.ts'

const memory = Array.from({ length: 2000 }, () => randomBytes(4096))
const stream = moveOf(memory)

let folder: string
let servers: Server[]
let sockets: Socket[]
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wdock-ends-'))
  servers = []
  sockets = []
})
afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  for (const server of servers) server.close()
  await rm(folder, { recursive: true, force: true })
})

/** The first socket that comes to a path. */
async function listenAt(name: string): Promise<{ path: string; socket: Promise<Socket> }> {
  const path = join(folder, name)
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(path, resolve))
  const socket = new Promise<Socket>((resolve) =>
    server.once('connection', (each) => {
      sockets.push(each)
      resolve(each)
    }),
  )
  return { path, socket }
}

async function connectTo(path: string): Promise<Socket> {
  const socket = connect({ path, allowHalfOpen: true })
  sockets.push(socket)
  socket.on('error', () => undefined)
  await new Promise((resolve) => socket.once('connect', resolve))
  return socket
}

interface Joined {
  sender: Sender
  receiver: Receiver
  /** In QEMU's place at the source; and at the destination, once it has come. */
  from: Socket
  to: Promise<Socket>
  /** The link: what the sender is joined to, and what the receiver is joined to. */
  senderLink: Socket
  receiverLink: Socket
}

async function joined({ mayStop = false, isAlone = false, isLinked = true } = {}): Promise<Joined> {
  const qemu = await listenAt('qemu')
  const link = await listenAt('link')
  const [senderPath, receiverPath] = [join(folder, 's'), join(folder, 'r')]
  const sender = new Sender({
    relayPath: link.path,
    kept: new KeptModel(),
    files: new KnownFiles([]),
    visit: randomBytes(16),
    newIdKey: randomBytes(32),
    linkBytesPerS: null,
    mayStop,
  })
  const qemuPath = isAlone ? null : qemu.path
  const receiver = new Receiver({ qemuPath, kept: new KeptModel(), files: new KnownFiles([]) })
  await Promise.all([sender.listen(senderPath), receiver.listen(receiverPath)])
  const [from, receiverLink] = await Promise.all([connectTo(senderPath), connectTo(receiverPath)])
  const senderLink = await link.socket
  if (isLinked) {
    senderLink.pipe(receiverLink)
    receiverLink.pipe(senderLink)
  }
  senderLink.on('error', () => undefined)
  from.on('error', () => undefined)
  return { sender, receiver, from, to: qemu.socket, senderLink, receiverLink }
}

describe('the two ends between their sockets', () => {
  it('carry a move, and what QEMU answers', async () => {
    const { sender, receiver, from, to } = await joined()
    const answers = buffer(from)
    from.end(stream)
    const destination = await to
    const bytes = await buffer(destination)
    destination.end('loaded')
    await Promise.all([sender.ended, receiver.ended])
    expect(bytes.equals(stream)).toBe(true)
    expect(String(await answers)).toBe('loaded')
    expect([sender.isWhole, receiver.isWhole]).toEqual([true, true])
  })

  it('keep a guest without a QEMU at the other end, of which the stream stops in the middle', async () => {
    const { sender, receiver, from } = await joined({ mayStop: true, isAlone: true })
    from.resume()
    from.end(stream.subarray(0, 1000 * 4104))
    await Promise.all([sender.ended, receiver.ended])
    expect([sender.isWhole, receiver.isWhole]).toEqual([true, true])
    expect(sender.stats.freshPages).toBeGreaterThan(900)
  })

  it('end with a named error where the link does', async () => {
    const { sender, receiver, from, to, senderLink, receiverLink } = await joined()
    const closed = new Promise((resolve) => from.once('end', resolve).once('error', resolve))
    from.resume()
    from.write(stream.subarray(0, 100 * 4104))
    ;(await to).resume()
    senderLink.destroy()
    receiverLink.end()
    from.write(stream.subarray(100 * 4104))
    await expect(sender.ended).rejects.toMatchObject({ code: 'delta.stopped' })
    await expect(receiver.ended).rejects.toMatchObject({ code: 'delta.stopped' })
    await closed
    expect(receiver.isWhole).toBe(false)
  })

  it('end with a named error where the QEMU that waits dies', async () => {
    const { receiver, from, to } = await joined()
    from.write(stream.subarray(0, 100 * 4104))
    const destination = await to
    destination.resume()
    destination.destroy()
    await expect(receiver.ended).rejects.toMatchObject({ code: 'delta.stopped' })
    expect(receiver.isWhole).toBe(false)
  })

  it('close on what is no message', async () => {
    const { sender, receiver, senderLink, receiverLink, from } = await joined({ isLinked: false })
    const closed = new Promise((resolve) => receiverLink.once('end', resolve))
    from.write(stream.subarray(0, 4104))
    senderLink.write(Buffer.alloc(200, 77))
    receiverLink.write(Buffer.alloc(200, 77))
    receiverLink.resume()
    await expect(sender.ended).rejects.toMatchObject({ code: 'delta.bad_message' })
    await expect(receiver.ended).rejects.toMatchObject({ code: 'delta.bad_message' })
    await closed
  })
})

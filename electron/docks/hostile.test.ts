import { once } from 'node:events'
import { connect as connectTcp, createServer, type Server, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { afterEach, describe, expect, it } from 'vitest'
import { systemRandom } from '../platform/random.ts'
import { allAlpns, controlAlpn, dial, pairingAlpn, streamAlpn } from './channels.ts'
import type { DockNet } from './dock-net.ts'
import { encodeFrame, FrameSplitter } from './framing.ts'
import { type Identity, openIdentity } from './identity.ts'
import { isOnline, loopback, TestDocks, until } from './testing/docks.ts'
import { pairDirectly } from './trust.ts'

const docks = new TestDocks()
const sockets: Socket[] = []
const servers: Server[] = []
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await docks.dispose()
  for (const server of servers.splice(0)) server.close()
})

async function stranger(): Promise<Identity> {
  return openIdentity(await docks.folder(), systemRandom)
}

async function open(identity: Identity, dock: DockNet, alpn: string): Promise<TLSSocket> {
  const address = { host: loopback, port: dock.port }
  const { socket } = await dial({ identity, address, alpn, expectedId: dock.id, dockName: 'x' })
  sockets.push(socket)
  return socket
}

/** What the dock says until it closes the channel. */
async function answersOf(socket: TLSSocket): Promise<Record<string, unknown>[]> {
  const splitter = new FrameSplitter(1 << 20)
  const frames: unknown[] = []
  socket.on('data', (chunk: Buffer) => frames.push(...splitter.push(chunk)))
  socket.on('end', () => socket.end())
  if (!socket.destroyed) await once(socket, 'close')
  return frames.map((frame) => Object(frame))
}

function frameOf(value: object): Buffer {
  return encodeFrame(value, 1 << 20)
}

/** A dock, and the identity of a peer of it that this test plays itself. */
async function dockWithPeer(): Promise<{ dock: DockNet; peer: Identity }> {
  const configDir = await docks.folder()
  const peerDir = await docks.folder()
  await pairDirectly(configDir, peerDir)
  return { dock: await docks.open('Target', { configDir }), peer: await openIdentity(peerDir, systemRandom) }
}

function helloOf(peer: Identity, changes: object = {}): Buffer {
  const hello = {
    kind: 'hello',
    protocol: { min: 1, max: 1 },
    appVersion: '9',
    name: 'Peer',
    dockId: peer.id,
    session: 'abcdefghijkl',
    port: 1,
  }
  return frameOf({ ...hello, ...changes })
}

describe('an unpaired dock', () => {
  it.each(allAlpns.filter((alpn) => alpn !== pairingAlpn))(
    'gets nothing but a refusal on %s',
    async (alpn) => {
      const dock = await docks.open('Target')
      const handled: string[] = []
      dock.handleStream('disk', async () => () => handled.push('disk'))
      dock.handle('x', async () => handled.push('x'))
      const identity = await stranger()
      const socket = await open(identity, dock, alpn)
      socket.write(alpn === controlAlpn ? helloOf(identity) : frameOf({ header: null }))
      const answers = await answersOf(socket)
      expect(answers).toHaveLength(1)
      expect(answers[0]).toMatchObject({ ok: false, error: { code: 'dock.not_paired' } })
      expect(handled).toEqual([])
    },
  )

  it('without a certificate, or with an ALPN name of its own, is not let in at all', async () => {
    const dock = await docks.open('Target')
    const identity = await stranger()
    const key = { cert: identity.certificatePem, key: identity.privateKeyPem }
    const attempts = [{ ALPNProtocols: [controlAlpn] }, { ALPNProtocols: ['http/1.1'], ...key }, { ...key }]
    for (const attempt of attempts) {
      const socket = connectTls({ host: loopback, port: dock.port, rejectUnauthorized: false, ...attempt })
      sockets.push(socket)
      const bytes: Buffer[] = []
      socket.on('error', () => {})
      socket.on('data', (chunk: Buffer) => bytes.push(chunk))
      await new Promise((resolve) => socket.on('close', resolve))
      expect(Buffer.concat(bytes)).toHaveLength(0)
    }
  })

  it('has pairing rate-limited', async () => {
    const dock = await docks.open('Target')
    const identity = await stranger()
    const kinds: unknown[] = []
    for (let n = 0; n < 21; n += 1) {
      const socket = await open(identity, dock, pairingAlpn)
      socket.write(frameOf({ kind: 'who' }))
      kinds.push((await answersOf(socket))[0]?.kind)
    }
    expect(kinds).toEqual([...Array(20).fill('here'), 'refuse'])
  })

  it('that fails sixty times in a minute is not even greeted, while others at other addresses are', async () => {
    const dock = await docks.open('Target', { bindAddress: '0.0.0.0' })
    const identity = await stranger()
    const connect = (): Socket => {
      const socket = connectTcp({ host: loopback, port: dock.port, localAddress: '127.0.0.2' })
      sockets.push(socket)
      return socket.on('error', () => {})
    }
    const closed = (socket: Socket): Promise<unknown> =>
      new Promise((resolve) => socket.resume().on('close', resolve))
    for (let n = 0; n < 60; n += 1) await closed(connect().end('GET / HTTP/1.1\r\n\r\n'))
    const last = connectTls({ socket: connect(), rejectUnauthorized: false, ALPNProtocols: [pairingAlpn] })
    last.on('error', () => {}).on('secureConnect', () => expect.fail('greeted'))
    await closed(last)
    await open(identity, dock, pairingAlpn)
  })
})

describe('a connection that sends nothing', () => {
  it('is closed after five seconds, before and after TLS, and few are held meanwhile', {
    timeout: 15_000,
  }, async () => {
    const { dock, peer } = await dockWithPeer()
    const startedAtMs = performance.now()
    const silent = Array.from({ length: 20 }, () => connectTcp(dock.port, loopback).on('error', () => {}))
    sockets.push(...silent)
    const closedAtMs = await Promise.all(
      silent.map(async (socket) => {
        await once(socket.resume(), 'close')
        return performance.now() - startedAtMs
      }),
    )
    expect(closedAtMs.filter((atMs) => atMs < 2000)).toHaveLength(4)
    expect(closedAtMs.filter((atMs) => atMs > 4500 && atMs < 7000)).toHaveLength(16)
    const disk = await open(peer, dock, streamAlpn('disk'))
    const control = await open(peer, dock, controlAlpn)
    const pairing = await open(peer, dock, pairingAlpn)
    // One byte a second is no frame either.
    const drip = setInterval(() => disk.write(Buffer.from([0])), 1000)
    const openedAtMs = performance.now()
    await Promise.all([answersOf(disk), answersOf(control), answersOf(pairing)])
    clearInterval(drip)
    expect(performance.now() - openedAtMs).toBeLessThan(7500)
  })
})

describe('a peer', () => {
  it.each([
    ['no JSON', Buffer.concat([Buffer.from([0, 0, 0, 4]), Buffer.from('abcd')])],
    ['a frame over the limit', Buffer.from([0x7f, 0xff, 0xff, 0xff])],
    ['an empty frame', Buffer.from([0, 0, 0, 0])],
    ['a list', frameOf([1, 2])],
    ['an unknown kind', frameOf({ kind: 'dance' })],
    ['a request before the greeting', frameOf({ kind: 'request', id: 1, method: 'x' })],
    ['invalid UTF-8', Buffer.concat([Buffer.from([0, 0, 0, 4]), Buffer.from([0x7b, 0xff, 0xfe, 0x7d])])],
  ])('that sends %s is cut and told so', async (_what, bytes) => {
    const { dock, peer } = await dockWithPeer()
    const socket = await open(peer, dock, controlAlpn)
    socket.write(bytes)
    const answers = await answersOf(socket)
    expect(answers.at(-1)).toMatchObject({ kind: 'bye', error: { code: 'dock.bad_message' } })
  })

  it('that says hello in another dock’s name is cut', async () => {
    const { dock, peer } = await dockWithPeer()
    const socket = await open(peer, dock, controlAlpn)
    socket.write(helloOf(peer, { dockId: (await stranger()).id }))
    expect((await answersOf(socket)).at(-1)).toMatchObject({ error: { code: 'dock.bad_message' } })
  })

  it('of another protocol version is told both versions', async () => {
    const { dock, peer } = await dockWithPeer()
    const socket = await open(peer, dock, controlAlpn)
    socket.write(helloOf(peer, { protocol: { min: 2, max: 3 } }))
    const last = (await answersOf(socket)).at(-1)
    expect(last).toMatchObject({ error: { code: 'dock.version_mismatch' } })
    expect(JSON.stringify(last)).toContain('protocol 2–3')
  })

  it('that keeps sending garbage has to wait', async () => {
    const { dock, peer } = await dockWithPeer()
    for (let n = 0; n < 5; n += 1) {
      const socket = await open(peer, dock, controlAlpn)
      socket.write(frameOf({ kind: 'dance' }))
      expect((await answersOf(socket)).at(-1)).toMatchObject({ kind: 'bye' })
    }
    expect(await answersOf(await open(peer, dock, controlAlpn))).toEqual([])
  })

  it('may hold sixty-four channels', async () => {
    const { dock, peer } = await dockWithPeer()
    dock.handleStream('disk', async () => () => {})
    const opened: TLSSocket[] = []
    for (let n = 0; n < 65; n += 1) {
      const socket = await open(peer, dock, streamAlpn('disk'))
      socket.on('error', () => {})
      socket.write(frameOf({ header: n }))
      opened.push(socket)
    }
    await until(() => opened.some((socket) => socket.resume().closed || socket.readableEnded))
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(opened.filter((socket) => !socket.closed && !socket.readableEnded)).toHaveLength(64)
  })
})

describe('a session', () => {
  it('cannot be resumed', async () => {
    const { dock, peer } = await dockWithPeer()
    const sessions: Buffer[] = []
    const options = {
      host: loopback,
      port: dock.port,
      rejectUnauthorized: false,
      ALPNProtocols: [controlAlpn],
      cert: peer.certificatePem,
      key: peer.privateKeyPem,
    }
    const first = connectTls(options)
    sockets.push(first)
    first.on('session', (session: Buffer) => sessions.push(session))
    first.write(helloOf(peer))
    await once(first, 'data')
    await new Promise((resolve) => setTimeout(resolve, 50))
    const session = sessions[0] ?? first.getSession()
    const second = connectTls({ ...options, ...(session === undefined ? {} : { session }) })
    sockets.push(second)
    await once(second, 'secureConnect')
    expect(second.isSessionReused()).toBe(false)
  })
})

describe('a link', () => {
  it('that falls silent is given up after three heartbeats, and its streams with it', async () => {
    const { a, b, relay } = await linkedThroughRelay()
    b.handleStream('memory', async () => () => {})
    const stream = await a.openStream(b.id, 'memory', null)
    a.setHeartbeat(b.id, 100)
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(isOnline(a, b.id)).toBe(true)
    relay.silent = true
    const silentAtMs = performance.now()
    const failure = expect(a.request(b.id, 'x', null)).rejects.toMatchObject({ code: 'dock.silent' })
    await until(() => !isOnline(a, b.id))
    expect(performance.now() - silentAtMs).toBeLessThan(1000)
    await failure
    expect(stream.destroyed).toBe(true)
  })

  it('that carries a stream is alive, even when its heartbeats come through late', async () => {
    const { a, b, relay } = await linkedThroughRelay()
    b.handleStream('memory', async () => (stream) => {
      const timer = setInterval(() => stream.write('x'), 20)
      stream.on('close', () => clearInterval(timer))
    })
    const stream = await a.openStream(b.id, 'memory', null)
    stream.resume()
    a.setHeartbeat(b.id, 60)
    relay.silentPort = relay.firstPort
    await new Promise((resolve) => setTimeout(resolve, 600))
    expect(isOnline(a, b.id)).toBe(true)
    stream.destroy()
    await until(() => !isOnline(a, b.id))
  })
})

interface Relay {
  silent: boolean
  /** Only the connection from this port is silent. */
  silentPort: number | null
  firstPort: number | null
}

/** Two docks online through a relay that can swallow everything without closing. */
async function linkedThroughRelay(): Promise<{ a: DockNet; b: DockNet; relay: Relay }> {
  const { a, b } = await docks.pair()
  const relay: Relay = { silent: false, silentPort: null, firstPort: null }
  const server = createServer((from) => {
    const to = connectTcp(b.port, loopback)
    const port = from.remotePort ?? null
    sockets.push(from, to)
    const pass = (chunk: Buffer, target: Socket): void => {
      if (!relay.silent && relay.silentPort !== port) target.write(chunk)
    }
    from.on('data', (chunk: Buffer) => pass(chunk, to)).on('error', () => {})
    to.on('data', (chunk: Buffer) => pass(chunk, from)).on('error', () => {})
    from.on('close', () => to.destroy())
    to.on('close', () => from.destroy())
    ports.push(port)
  })
  const ports: (number | null)[] = []
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, loopback, resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  await a.connectByAddress(loopback, address.port)
  await until(() => isOnline(a, b.id) && isOnline(b, a.id))
  relay.firstPort = ports.at(-1) ?? null
  return { a, b, relay }
}

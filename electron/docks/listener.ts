/**
 * The one TCP port of a dock. Promises that whoever gets past it on any channel but pairing is a peer, that
 * strangers cost little (caps, timeouts, penalties by address) and that each channel is verified anew: no
 * tickets, no resumption. Relies on `onChannel` and `onPairing` to read with timeouts.
 */
import { constants } from 'node:crypto'
import { createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls'
import { type ErrorCode, fail } from '../../shared/errors/index.ts'
import { systemErrorCode } from '../platform/atomic-file.ts'
import type { Clock } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import {
  allAlpns,
  type Channel,
  type ChannelRegistry,
  endSoon,
  firstFrameTimeoutMs,
  guard,
  keepAliveDelayMs,
  pairingAlpn,
} from './channels.ts'
import { dockIdOf } from './dock-id.ts'
import { encodeFrame, pairingFrameLimitBytes } from './framing.ts'
import type { Identity } from './identity.ts'
import { RateLimit } from './rate-limit.ts'

export interface ListenerOptions {
  identity: Identity
  /** 0: any free port. */
  port: number
  bindAddress: string | undefined
  registry: ChannelRegistry
  clock: Clock
  log: Log
  isPeer: (dockId: string) => boolean
  /** A verified channel of a peer; its socket is paused. */
  onChannel: (channel: Channel, alpn: string) => void
  /** A verified channel of anybody that wants to pair. */
  onPairing: (channel: Channel, address: string) => void
}

const limits = {
  handshakesOfAddress: 16,
  handshakes: 64,
  offencesPerMinute: 60,
  pairingsPerMinuteOfAddress: 20,
  pairingsPerMinute: 60,
  pairingsAtOnce: 4,
} as const

const minuteMs = 60_000

export class Listener {
  readonly #options: ListenerOptions
  readonly #tcp: Server
  readonly #tls: TlsServer
  /** Connections that have not finished TLS, by their far address and port. */
  readonly #greeting = new Map<string, Socket>()
  readonly #offences: RateLimit
  readonly #pairingsOfAddress: RateLimit
  readonly #pairings: RateLimit
  readonly #pairingSockets = new Set<TLSSocket>()

  private constructor(options: ListenerOptions) {
    const { clock, identity } = options
    this.#options = options
    this.#offences = new RateLimit(limits.offencesPerMinute, minuteMs, clock)
    this.#pairingsOfAddress = new RateLimit(limits.pairingsPerMinuteOfAddress, minuteMs, clock)
    this.#pairings = new RateLimit(limits.pairingsPerMinute, minuteMs, clock)
    this.#tls = createTlsServer({
      cert: identity.certificatePem,
      key: identity.privateKeyPem,
      minVersion: 'TLSv1.3',
      maxVersion: 'TLSv1.3',
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: firstFrameTimeoutMs,
      secureOptions: constants.SSL_OP_NO_TICKET,
      ALPNCallback: ({ protocols }) => protocols.find((name) => allAlpns.includes(name)),
    })
    this.#tls.on('secureConnection', (socket) => this.#onSecure(socket))
    this.#tls.on('tlsClientError', (error, socket) => this.#onHandshakeFailed(error, socket))
    this.#tcp = createTcpServer({
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: keepAliveDelayMs,
    })
    this.#tcp.on('connection', (socket) => this.#onConnection(socket))
  }

  /** @throws host.port_in_use, host.bad_input for an address this PC does not have */
  static async open(options: ListenerOptions): Promise<Listener> {
    const listener = new Listener(options)
    try {
      await listener.#listen(options.bindAddress ?? '::')
    } catch (error) {
      // A PC without IPv6 still has all its IPv4 addresses.
      const noIpv6 = options.bindAddress === undefined && systemErrorCode(error) !== 'EADDRINUSE'
      if (!noIpv6) throw listenFailure(error, options)
      await listener.#listen('0.0.0.0').catch((again: unknown) => {
        throw listenFailure(again, options)
      })
    }
    return listener
  }

  get port(): number {
    const address = this.#tcp.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  /** Counts against an address: what it sent was not valid. */
  penalise(address: string): void {
    this.#offences.take(address)
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#tcp.close(() => resolve()))
    for (const socket of this.#greeting.values()) socket.destroy()
    for (const socket of this.#pairingSockets) socket.destroy()
    await closed
  }

  #listen(host: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#tcp.once('error', reject)
      this.#tcp.listen({ host, port: this.#options.port }, () => {
        this.#tcp.off('error', reject)
        this.#tcp.on('error', (error) => this.#options.log.error('listener failed', { error }))
        resolve()
      })
    })
  }

  #onConnection(socket: Socket): void {
    const address = plainAddress(socket.remoteAddress)
    socket.on('error', () => {})
    if (!this.#mayGreet(address)) {
      socket.destroy()
      return
    }
    const key = greetingKey(socket)
    this.#greeting.set(key, socket)
    socket.once('close', () => {
      if (this.#greeting.get(key) === socket) this.#greeting.delete(key)
    })
    this.#tls.emit('connection', socket)
  }

  #mayGreet(address: string): boolean {
    if (this.#offences.exhausted(address) || this.#greeting.size >= limits.handshakes) return false
    let ofAddress = 0
    for (const socket of this.#greeting.values()) {
      if (plainAddress(socket.remoteAddress) === address) ofAddress += 1
    }
    return ofAddress < limits.handshakesOfAddress
  }

  #onHandshakeFailed(error: Error, socket: TLSSocket): void {
    const address = plainAddress(socket.remoteAddress)
    this.penalise(address)
    this.#options.log.debug('handshake failed', { address, error: error.message })
    socket.destroy()
  }

  #onSecure(socket: TLSSocket): void {
    guard(socket)
    this.#greeting.delete(greetingKey(socket))
    const address = plainAddress(socket.remoteAddress)
    const certificate = socket.getPeerX509Certificate()?.raw
    const alpn = socket.alpnProtocol
    if (certificate === undefined || typeof alpn !== 'string' || socket.isSessionReused()) {
      this.penalise(address)
      socket.destroy()
      return
    }
    const channel = { socket, dockId: dockIdOf(certificate), certificate }
    if (alpn === pairingAlpn) this.#admitPairing(channel, address)
    else this.#admitPeer(channel, alpn, address)
  }

  #admitPeer(channel: Channel, alpn: string, address: string): void {
    if (!this.#options.isPeer(channel.dockId)) {
      this.penalise(address)
      this.#options.log.info('unpaired dock turned away', { address, dockId: channel.dockId, alpn })
      refuse(channel.socket, 'dock.not_paired')
      return
    }
    if (this.#options.registry.add(channel.dockId, channel.socket)) this.#options.onChannel(channel, alpn)
  }

  #admitPairing(channel: Channel, address: string): void {
    const allowed =
      this.#pairingSockets.size < limits.pairingsAtOnce &&
      this.#pairingsOfAddress.take(address) &&
      this.#pairings.take('all')
    if (!allowed) {
      refuse(channel.socket, 'dock.rate_limited')
      return
    }
    this.#pairingSockets.add(channel.socket)
    channel.socket.once('close', () => this.#pairingSockets.delete(channel.socket))
    this.#options.onPairing(channel, address)
  }
}

/** One frame that every kind of dialler understands: a bye, a refused header, a refused pairing. */
function refuse(socket: TLSSocket, code: ErrorCode): void {
  const error = fail(code, { dock: 'The other dock' }).toJSON()
  socket.write(
    encodeFrame(
      { kind: code === 'dock.not_paired' ? 'bye' : 'refuse', ok: false, error },
      pairingFrameLimitBytes,
    ),
  )
  endSoon(socket)
}

/** `::ffff:192.0.2.1` as `192.0.2.1`. */
export function plainAddress(address: string | undefined): string {
  return (address ?? 'unknown').replace(/^::ffff:(?=\d+\.)/, '')
}

function greetingKey(socket: Socket | TLSSocket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`
}

function listenFailure(error: unknown, options: ListenerOptions): Error {
  const detail = String(error)
  if (systemErrorCode(error) === 'EADDRINUSE') {
    return fail('host.port_in_use', { port: options.port }, { detail, cause: error })
  }
  return fail(
    'host.bad_input',
    { why: `cannot listen on ${options.bindAddress ?? 'any address'}` },
    { detail },
  )
}

/**
 * The WebSockets of the local server: who comes in, through which door, and how long they stay. Promises that
 * a connection without token or ticket, with a foreign Host or Origin, or beyond the limits is refused before
 * it is upgraded, and that a client which stops answering is dropped.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import { toWdockError } from '../../shared/errors/index.ts'
import type { Log } from '../platform/log.ts'
import { addressOf, type GuardOptions, isOwnHost, isOwnOrigin, presentsToken } from './guards.ts'
import { isOwnUser } from './peer-user.ts'
import type { HostRouter } from './router.ts'
import { createSocketServer } from './rpc-socket.ts'
import { bridgeScreen } from './screen-socket.ts'
import type { HostService } from './service.ts'

export interface ServerLimits {
  /** Of calls and screens; larger messages close the connection. */
  messageBytes: number
  /** WebSockets at the same time. */
  sockets: number
  /** TCP connections at the same time, WebSockets included. */
  connections: number
  /** Events that wait for a slow watcher before its stream ends. */
  waitingEvents: number
  /** A client that has not answered a ping for this long is dropped. */
  silenceMs: number
}

export interface SocketDoorsOptions {
  service: HostService
  log: Log
  limits: ServerLimits
  guard: GuardOptions
  router: HostRouter
}

/** RFC 6455, section 7.4.1: the end point is going away. */
const closeGoingAway = 1001
const closeGraceMs = 500

export class SocketDoors {
  readonly #service: HostService
  readonly #log: Log
  readonly #limits: ServerLimits
  readonly #guard: GuardOptions
  readonly #sockets: WebSocketServer
  readonly #serveCalls: (socket: WebSocket) => void
  readonly #pinging: NodeJS.Timeout
  readonly #silent = new WeakSet<WebSocket>()
  /** Screens that are being opened count as open. */
  #opening = 0

  constructor(options: SocketDoorsOptions) {
    const { limits } = options
    this.#service = options.service
    this.#log = options.log
    this.#limits = limits
    this.#guard = options.guard
    this.#serveCalls = createSocketServer(options.router)
    this.#sockets = new WebSocketServer({
      noServer: true,
      maxPayload: limits.messageBytes,
      perMessageDeflate: false,
      handleProtocols: (offered) => (offered.has('binary') ? 'binary' : false),
    })
    this.#sockets.on('connection', (socket) => this.#welcome(socket))
    this.#pinging = setInterval(() => this.#ping(), limits.silenceMs / 2)
    this.#pinging.unref()
  }

  async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => socket.destroy())
    if (!(await isOwnUser(request.socket))) return void socket.destroy()
    const refusal = this.#refusal(request)
    const path = addressOf(request)?.pathname ?? ''
    const ticket = /^\/screen\/([\w-]{16,200})$/.exec(path)?.[1]
    if (refusal !== null) refuse(socket, refusal)
    else if (path === '/rpc' && presentsToken(request, this.#guard.token)) {
      this.#sockets.handleUpgrade(request, socket, head, (opened) => {
        this.#sockets.emit('connection', opened, request)
        this.#serveCalls(opened)
      })
    } else if (path === '/rpc') refuse(socket, '401 Unauthorized')
    else if (ticket !== undefined) void this.#openScreen(ticket, request, socket, head)
    else refuse(socket, '404 Not Found')
  }

  async close(): Promise<void> {
    clearInterval(this.#pinging)
    const open = [...this.#sockets.clients]
    const closed = open.map((socket) => new Promise((resolve) => socket.once('close', resolve)))
    for (const socket of open) socket.close(closeGoingAway)
    const timer = setTimeout(() => {
      for (const socket of open) socket.terminate()
    }, closeGraceMs)
    await Promise.all(closed)
    clearTimeout(timer)
    this.#sockets.close()
  }

  #refusal(request: IncomingMessage): string | null {
    if (!isOwnHost(request, this.#guard.port)) return '421 Misdirected Request'
    if (!isOwnOrigin(request, this.#guard)) return '403 Forbidden'
    const full = this.#sockets.clients.size + this.#opening >= this.#limits.sockets
    return full ? '503 Service Unavailable' : null
  }

  /** The screen is reached before the WebSocket is accepted: a ticket that is not good gets no connection. */
  async #openScreen(ticket: string, request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    this.#opening += 1
    try {
      const screen = await this.#service.screens.connect(ticket)
      screen.on('error', () => screen.destroy())
      if (socket.destroyed) return void screen.destroy()
      socket.once('close', () => screen.destroy())
      this.#sockets.handleUpgrade(request, socket, head, (opened) => {
        this.#sockets.emit('connection', opened, request)
        bridgeScreen(opened, screen)
      })
    } catch (error) {
      const { code, detail } = toWdockError(error)
      this.#log.warn('screen refused', { code, detail })
      refuse(socket, '403 Forbidden')
    } finally {
      this.#opening -= 1
    }
  }

  #welcome(socket: WebSocket): void {
    // Messages too large, broken frames, resets: `ws` closes the connection itself.
    socket.on('error', (error) => this.#log.warn('local connection failed', { error: error.message }))
    socket.on('pong', () => this.#silent.delete(socket))
  }

  #ping(): void {
    for (const socket of this.#sockets.clients) {
      if (this.#silent.has(socket)) socket.terminate()
      else if (socket.readyState === socket.OPEN) {
        this.#silent.add(socket)
        socket.ping()
      }
    }
  }
}

function refuse(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}

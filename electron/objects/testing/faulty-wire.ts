/**
 * A wire that fails on cue: an HTTP server that hands requests on to a blob service on this PC and its answers back.
 * A signature covers path, headers and body but not the port, so that clients need only another endpoint. For tests
 * only. Promises that `end` leaves no connection behind.
 */
import {
  Agent,
  createServer,
  request as forward,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'

export type WireFault =
  /** An answer of the wire's own. */
  | { kind: 'status'; status: number; headers?: Record<string, string>; body?: string }
  /** The request is taken and never answered. */
  | { kind: 'hangs' }
  /** The connection is reset before the request was read. */
  | { kind: 'reset' }
  /** The request is carried out, and the connection reset instead of an answer. */
  | { kind: 'lost-answer' }
  /** The answer's head comes, then this much of its body, then a reset. */
  | { kind: 'reset-in-body'; afterBytes: number }
  /** The same, but the connection is closed in good order. */
  | { kind: 'closed-in-body'; afterBytes: number }
  /** The answer's body comes at this rate. */
  | { kind: 'trickle'; bytesPerS: number }
  /** The answer, this much later. */
  | { kind: 'late'; delayMs: number }

export interface WireRequest {
  method: string
  /** With the query. */
  path: string
  atMs: number
}

export type WirePlan = (request: WireRequest, index: number) => WireFault | null

export class FaultyWire {
  /** As the service's own, with the wire's port. */
  readonly endpoint: string
  readonly requests: WireRequest[] = []
  /** May be changed between requests. */
  plan: WirePlan = () => null
  readonly #target: URL
  readonly #server: Server
  readonly #agent = new Agent({ keepAlive: false })

  private constructor(target: URL, server: Server) {
    this.#target = target
    this.#server = server
    const own = new URL(target)
    own.port = String((server.address() as AddressInfo).port)
    this.endpoint = own.href.replace(/\/$/, '')
  }

  /** @param endpoint of the service, as `http://127.0.0.1:40001/wdock` */
  static async start(endpoint: string): Promise<FaultyWire> {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const wire = new FaultyWire(new URL(endpoint), server)
    server.on('request', (request, answer) => {
      wire.#serve(request, answer).catch(() => answer.destroy())
    })
    return wire
  }

  async end(): Promise<void> {
    this.#server.closeAllConnections()
    this.#agent.destroy()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  async #serve(request: IncomingMessage, answer: ServerResponse): Promise<void> {
    const asked = { method: request.method ?? '', path: request.url ?? '', atMs: performance.now() }
    const fault = this.plan(asked, this.requests.length)
    this.requests.push(asked)
    answer.on('error', () => {})
    request.on('error', () => {})
    if (fault?.kind === 'hangs') return
    if (fault?.kind === 'reset') {
      request.socket.resetAndDestroy()
      return
    }
    if (fault?.kind === 'status') {
      request.resume()
      await new Promise((resolve) => request.once('end', resolve))
      answer.writeHead(fault.status, fault.headers)
      answer.end(fault.body ?? '')
      return
    }
    const told = await this.#forward(request)
    if (fault?.kind === 'late') await wait(fault.delayMs)
    if (fault?.kind === 'lost-answer') {
      told.resume()
      request.socket.resetAndDestroy()
      return
    }
    answer.writeHead(told.statusCode ?? 500, told.headers)
    if (fault?.kind === 'trickle') await trickle(told, answer, fault.bytesPerS)
    else if (fault?.kind === 'reset-in-body' || fault?.kind === 'closed-in-body') {
      await breakOff(told, answer, request, fault)
    } else told.pipe(answer)
  }

  #forward(request: IncomingMessage): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const options = { method: request.method ?? 'GET', headers: request.headers, agent: this.#agent }
      const onward = forward(new URL(request.url ?? '/', this.#target), options, resolve)
      onward.once('error', reject)
      request.pipe(onward)
    })
  }
}

async function trickle(told: IncomingMessage, answer: ServerResponse, bytesPerS: number): Promise<void> {
  const step = Math.max(1, Math.floor(bytesPerS / 20))
  for await (const chunk of told as AsyncIterable<Buffer>) {
    for (let at = 0; at < chunk.length; at += step) {
      if (answer.destroyed) return
      answer.write(chunk.subarray(at, at + step))
      await wait(50)
    }
  }
  answer.end()
}

async function breakOff(
  told: IncomingMessage,
  answer: ServerResponse,
  request: IncomingMessage,
  fault: { kind: 'reset-in-body' | 'closed-in-body'; afterBytes: number },
): Promise<void> {
  let sent = 0
  for await (const chunk of told as AsyncIterable<Buffer>) {
    const part = chunk.subarray(0, fault.afterBytes - sent)
    sent += part.length
    await new Promise<void>((resolve) => answer.write(part, () => resolve()))
    if (sent >= fault.afterBytes) break
  }
  if (fault.kind === 'reset-in-body') request.socket.resetAndDestroy()
  else request.socket.end()
}

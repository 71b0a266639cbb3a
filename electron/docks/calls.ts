/**
 * Requests and events over one link. Promises that every request of ours ends: by its answer, its timeout,
 * its signal, or the link's end; and that at most so many of theirs are served at once. Relies on the link
 * to check the shape of messages; what methods and events carry is checked by who handles them.
 */
import { assertNever } from '../../shared/assert-never.ts'
import { errorFromShape, fail, toWdockError, type WdockError } from '../../shared/errors/index.ts'
import type { Log } from '../platform/log.ts'
import { type CallMessage, errorForPeer, type RequestMessage, type ResponseMessage } from './messages.ts'
import type { CallOptions, EventListener, From, RequestHandler } from './types.ts'

export const requestTimeoutMs = 10_000
const maxServed = 256

/** Who answers requests and listens to events; one for a host, shared by all links. */
export class Handlers {
  readonly #requests = new Map<string, RequestHandler>()
  readonly #listeners = new Map<string, Set<EventListener>>()

  handle(method: string, handler: RequestHandler): void {
    this.#requests.set(method, handler)
  }

  handlerOf(method: string): RequestHandler | null {
    return this.#requests.get(method) ?? null
  }

  onEvent(name: string, listener: EventListener): () => void {
    const listeners = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, listeners)
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  listenersOf(name: string): EventListener[] {
    return [...(this.#listeners.get(name) ?? [])]
  }
}

interface Waiting {
  resolve: (result: unknown) => void
  reject: (error: WdockError) => void
}

export interface CallsOptions {
  handlers: Handlers
  log: Log
  /** Who is at the other end; asked each time, as names change. */
  from: () => From
  send: (message: CallMessage) => void
}

export class Calls {
  readonly #options: CallsOptions
  readonly #waiting = new Map<number, Waiting>()
  readonly #served = new Map<number, AbortController>()
  #nextId = 1
  #ended: WdockError | null = null

  constructor(options: CallsOptions) {
    this.#options = options
  }

  /** @throws what the far handler threw; dock.silent on timeout, dock.link_lost, host.cancelled */
  request(method: string, params: unknown, options: CallOptions = {}): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const { signal } = options
      const id = this.#nextId
      this.#nextId += 1
      const settle = (act: () => void): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        this.#waiting.delete(id)
        act()
      }
      const giveUp = (error: WdockError): void => {
        this.#options.send({ kind: 'cancel', id })
        settle(() => reject(error))
      }
      const onAbort = (): void => giveUp(fail('host.cancelled'))
      const onTimeout = (): void => giveUp(fail('dock.silent', { dock: this.#options.from().name }))
      const timer = setTimeout(onTimeout, options.timeoutMs ?? requestTimeoutMs)
      const waiting: Waiting = {
        resolve: (result) => settle(() => resolve(result)),
        reject: (error) => settle(() => reject(error)),
      }
      const refused = this.#ended ?? (signal?.aborted ? fail('host.cancelled') : null)
      if (refused !== null) {
        waiting.reject(refused)
        return
      }
      this.#waiting.set(id, waiting)
      signal?.addEventListener('abort', onAbort)
      try {
        this.#options.send({ kind: 'request', id, method, params })
      } catch (error) {
        waiting.reject(toWdockError(error))
      }
    })
  }

  receive(message: CallMessage): void {
    switch (message.kind) {
      case 'request':
        void this.#serve(message)
        return
      case 'response':
        this.#onResponse(message)
        return
      case 'cancel':
        this.#served.get(message.id)?.abort()
        return
      case 'event':
        this.#onEvent(message.name, message.data)
        return
      default:
        assertNever(message)
    }
  }

  /** Ends every request of ours, and tells handlers of theirs that nobody waits any more. */
  end(error: WdockError): void {
    this.#ended = error
    for (const waiting of [...this.#waiting.values()]) waiting.reject(error)
    for (const controller of this.#served.values()) controller.abort()
  }

  #onResponse(message: ResponseMessage): void {
    const waiting = this.#waiting.get(message.id)
    if (waiting === undefined) return
    if (message.ok) waiting.resolve(message.result)
    else waiting.reject(message.error ? errorFromShape(message.error) : fail('dock.bad_message'))
  }

  #onEvent(name: string, data: unknown): void {
    for (const listener of this.#options.handlers.listenersOf(name)) {
      try {
        listener(this.#options.from(), data)
      } catch (error) {
        this.#options.log.error('listener of a dock event failed', { event: name, error })
      }
    }
  }

  async #serve({ id, method, params }: RequestMessage): Promise<void> {
    const controller = new AbortController()
    try {
      const answer = await this.#answer(id, method, params, controller)
      this.#options.send({ kind: 'response', id, ok: true, result: answer })
    } catch (error) {
      const shape = errorForPeer(error)
      if (shape.code === 'host.unexpected') this.#options.log.error('dock request failed', { method, error })
      this.#options.send({ kind: 'response', id, ok: false, error: shape })
    } finally {
      if (this.#served.get(id) === controller) this.#served.delete(id)
    }
  }

  async #answer(id: number, method: string, params: unknown, controller: AbortController): Promise<unknown> {
    if (this.#served.has(id)) throw fail('dock.bad_message', {}, { detail: 'request id in use' })
    if (this.#served.size >= maxServed) throw fail('dock.rate_limited')
    this.#served.set(id, controller)
    const handler = this.#options.handlers.handlerOf(method)
    if (handler === null) throw fail('host.bad_input', { why: `unknown method ${method}` })
    return handler(this.#options.from(), params, controller.signal)
  }
}

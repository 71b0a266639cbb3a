/**
 * One conversation with a QEMU over QMP. Promises that every command and every waiter ends: with an answer,
 * with a timeout (qemu.silent), or with qemu.gone the moment the connection is lost; and that events are
 * handed on in the order QEMU sent them. QEMU serves one client a monitor: a second one waits unanswered.
 */
import { connect } from 'node:net'
import type { Readable, Writable } from 'node:stream'
import { fail, toWdockError, type WdockError } from '../../../shared/errors/index.ts'
import { LineSplitter } from './framing.ts'
import { parseQmpMessage, type QmpEvent, type QmpGreeting, type QmpMessage, qmpGreeting } from './messages.ts'

export interface ExecuteOptions {
  /** How long to wait for the answer. Default 10 s. */
  timeoutMs?: number
}

export interface WaitOptions {
  timeoutMs: number
  signal?: AbortSignal
}

/** Both directions of a connection to QEMU; a socket is both at once. */
export interface QmpStreams {
  input: Readable
  output: Writable
}

interface Pending {
  command: string
  resolve(value: unknown): void
  reject(error: WdockError): void
  timer: NodeJS.Timeout
}

interface Waiter {
  matches(event: QmpEvent): boolean
  resolve(event: QmpEvent): void
  reject(error: WdockError): void
}

const defaultTimeoutMs = 10_000

export class QmpSession {
  readonly #streams: QmpStreams
  readonly #splitter = new LineSplitter()
  readonly #pending = new Map<number, Pending>()
  readonly #waiters = new Set<Waiter>()
  readonly #eventListeners = new Set<(event: QmpEvent) => void>()
  readonly #closeListeners = new Set<(error: WdockError) => void>()
  #greetingWaiter: { resolve(greeting: QmpGreeting): void; reject(error: WdockError): void } | null = null
  #greeting: QmpGreeting | null = null
  #nextId = 1
  #closedWith: WdockError | null = null

  private constructor(streams: QmpStreams) {
    this.#streams = streams
    const { input, output } = streams
    input.on('data', (chunk: Buffer) => this.#receive(chunk))
    input.once('end', () => this.#close(null))
    input.once('close', () => this.#close(null))
    input.once('error', (error) => this.#close(error))
    output.on('error', (error) => this.#close(error))
  }

  /**
   * Connects to QEMU's monitor on a unix socket and negotiates. `timeoutMs` bounds the whole of it.
   * @throws qemu.gone when nobody listens, qemu.silent, qemu.bad_reply
   */
  static async connect(socketPath: string, options: { timeoutMs: number }): Promise<QmpSession> {
    const socket = connect({ path: socketPath })
    return await QmpSession.over({ input: socket, output: socket }, options)
  }

  /** The same over any pair of streams, such as a child's stdout and stdin. */
  static async over(streams: QmpStreams, options: { timeoutMs: number }): Promise<QmpSession> {
    const session = new QmpSession(streams)
    try {
      await session.#negotiate(options.timeoutMs)
      return session
    } catch (error) {
      session.close()
      throw error
    }
  }

  get isClosed(): boolean {
    return this.#closedWith !== null
  }

  /** QEMU's version as its greeting says. */
  get version(): QmpGreeting['QMP']['version'] {
    if (!this.#greeting) throw fail('qemu.gone')
    return this.#greeting.QMP.version
  }

  /**
   * Runs one command. @returns QEMU's answer, unparsed: use commands.ts for typed ones.
   * @throws qemu.command_failed with class and description in the detail; qemu.silent; qemu.gone
   */
  execute(
    command: string,
    args: Readonly<Record<string, unknown>> = {},
    options: ExecuteOptions = {},
  ): Promise<unknown> {
    if (this.#closedWith) return Promise.reject(this.#closedWith)
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const id = this.#nextId++
    const timeoutMs = options.timeoutMs ?? defaultTimeoutMs
    const timer = setTimeout(() => {
      this.#pending.delete(id)
      reject(fail('qemu.silent', { command, seconds: timeoutMs / 1000 }))
    }, timeoutMs)
    this.#pending.set(id, { command, resolve, reject, timer })
    this.#streams.output.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`)
    return promise
  }

  /**
   * The next event for which `matches` is true. Events of the past are not seen: start waiting before the
   * command that causes the event.
   * @throws qemu.silent after `timeoutMs`, host.cancelled when the signal fires, qemu.gone
   */
  waitForEvent(matches: (event: QmpEvent) => boolean, options: WaitOptions): Promise<QmpEvent> {
    if (this.#closedWith) return Promise.reject(this.#closedWith)
    if (options.signal?.aborted) return Promise.reject(fail('host.cancelled'))
    const { promise, resolve, reject } = Promise.withResolvers<QmpEvent>()
    const waiter: Waiter = { matches, resolve, reject }
    const onAbort = (): void => reject(fail('host.cancelled'))
    const seconds = options.timeoutMs / 1000
    const timer = setTimeout(
      () => reject(fail('qemu.silent', { command: 'event', seconds })),
      options.timeoutMs,
    )
    options.signal?.addEventListener('abort', onAbort, { once: true })
    this.#waiters.add(waiter)
    return promise.finally(() => {
      clearTimeout(timer)
      options.signal?.removeEventListener('abort', onAbort)
      this.#waiters.delete(waiter)
    })
  }

  /** Calls `listener` for every event from now on. @returns a function that ends that. */
  onEvent(listener: (event: QmpEvent) => void): () => void {
    this.#eventListeners.add(listener)
    return () => this.#eventListeners.delete(listener)
  }

  /** Calls `listener` once when the conversation ends; at once when it has ended. */
  onClose(listener: (error: WdockError) => void): () => void {
    if (this.#closedWith) {
      const error = this.#closedWith
      queueMicrotask(() => listener(error))
      return () => {}
    }
    this.#closeListeners.add(listener)
    return () => this.#closeListeners.delete(listener)
  }

  /** Ends the conversation; QEMU runs on. */
  close(): void {
    this.#close(null)
  }

  async #negotiate(timeoutMs: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<QmpGreeting>()
    this.#greetingWaiter = { resolve, reject }
    const timer = setTimeout(
      () => reject(fail('qemu.silent', { command: 'greeting', seconds: timeoutMs / 1000 })),
      timeoutMs,
    )
    const started = performance.now()
    try {
      this.#greeting = await promise
    } finally {
      clearTimeout(timer)
      this.#greetingWaiter = null
    }
    const leftMs = Math.max(1, timeoutMs - (performance.now() - started))
    await this.execute('qmp_capabilities', {}, { timeoutMs: leftMs })
  }

  #receive(chunk: Buffer): void {
    let lines: string[]
    try {
      lines = this.#splitter.push(chunk)
    } catch (error) {
      this.#close(fail('qemu.bad_reply', {}, { detail: String(error), cause: error }))
      return
    }
    for (const line of lines) {
      if (this.#closedWith) return
      if (this.#greeting === null && this.#greetingWaiter) this.#greet(line)
      else this.#dispatch(parseQmpMessage(line), line)
    }
  }

  #greet(line: string): void {
    const waiter = this.#greetingWaiter
    let value: unknown = null
    try {
      value = JSON.parse(line)
    } catch {
      // Not JSON: refused below.
    }
    const parsed = qmpGreeting.safeParse(value)
    if (!parsed.success) {
      this.#close(fail('qemu.bad_reply', {}, { detail: line.slice(0, 1000) }))
      return
    }
    this.#greeting = parsed.data
    waiter?.resolve(parsed.data)
  }

  #dispatch(message: QmpMessage | null, line: string): void {
    if (message === null) {
      this.#close(fail('qemu.bad_reply', {}, { detail: line.slice(0, 1000) }))
      return
    }
    if (message.kind === 'event') {
      this.#spread(message.event)
      return
    }
    if (message.id === null) {
      this.#close(fail('qemu.bad_reply', {}, { detail: `${message.kind}: ${line.slice(0, 1000)}` }))
      return
    }
    // An answer nobody waits for any more came after its timeout: dropped.
    const pending = this.#pending.get(message.id)
    if (!pending) return
    this.#pending.delete(message.id)
    clearTimeout(pending.timer)
    if (message.kind === 'return') pending.resolve(message.value)
    else {
      const detail = `${pending.command}: ${message.errorClass}: ${message.description}`
      pending.reject(fail('qemu.command_failed', { command: pending.command }, { detail }))
    }
  }

  #spread(event: QmpEvent): void {
    for (const waiter of [...this.#waiters]) {
      if (!waiter.matches(event)) continue
      this.#waiters.delete(waiter)
      waiter.resolve(event)
    }
    for (const listener of [...this.#eventListeners]) listener(event)
  }

  #close(cause: unknown): void {
    if (this.#closedWith) return
    const error =
      cause === null || isSystemError(cause) ? fail('qemu.gone', {}, detailOf(cause)) : toWdockError(cause)
    this.#closedWith = error
    this.#greetingWaiter?.reject(error)
    for (const pending of this.#pending.values()) {
      clearTimeout(pending.timer)
      pending.reject(error)
    }
    this.#pending.clear()
    for (const waiter of [...this.#waiters]) waiter.reject(error)
    this.#waiters.clear()
    this.#eventListeners.clear()
    const listeners = [...this.#closeListeners]
    this.#closeListeners.clear()
    this.#streams.input.destroy()
    this.#streams.output.destroy()
    for (const listener of listeners) listener(error)
  }
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && 'syscall' in error
}

function detailOf(cause: unknown): { detail?: string; cause?: unknown } {
  return cause instanceof Error ? { detail: cause.message, cause } : {}
}

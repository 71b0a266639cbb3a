/**
 * The host's side of the vault's thread: typed calls by messages. Promises that every call is answered: when the thread
 * ends, by itself or not, those under way fail with `vault.stopped`, and so do later ones. A dead one stays dead;
 * starting another finds what was on its way.
 */
import { Worker } from 'node:worker_threads'
import { errorFromShape, fail, type WdockError } from '../../../shared/errors/index.ts'
import type { Log } from '../../platform/log.ts'
import {
  type ServiceMethod,
  serviceMethods,
  type ThreadReply,
  type ThreadRequest,
  type ThreadStart,
} from './thread-messages.ts'
import type { VaultEvent, VaultService } from './vault-service.ts'

export interface VaultThreadOptions {
  onEvent: (event: VaultEvent) => void
  log: Log
  /** Where Azure's emulator keeps what it is given. */
  azuriteFolder: string
  /** How long a store that does not answer may hold up the end. Default 5 s; 0 ends the thread as a crash would. */
  endGraceMs?: number
}

export interface VaultThread {
  readonly service: VaultService
  /** Resolves with the reason when the thread has ended by itself; its calls have failed then. */
  readonly died: Promise<WdockError>
  /** Ends the thread, once it has put down its work, or as it is after a grace. May be called again. */
  end(): Promise<void>
}

const defaultEndGraceMs = 5_000

/** Starts the thread. Failures to start are told by `died`. */
export function startVaultThread(options: VaultThreadOptions): VaultThread {
  return new Thread(options)
}

class Thread implements VaultThread {
  readonly service: VaultService
  readonly #worker: Worker
  readonly #options: VaultThreadOptions
  readonly #calls = new Map<number, PromiseWithResolvers<unknown>>()
  readonly #died = Promise.withResolvers<WdockError>()
  readonly #putDown = Promise.withResolvers<void>()
  #ending: Promise<void> | null = null
  #dead: WdockError | null = null
  #callId = 0

  constructor(options: VaultThreadOptions) {
    this.#options = options
    const workerData: ThreadStart = { azuriteFolder: options.azuriteFolder }
    this.#worker = new Worker(new URL('./vault.worker.ts', import.meta.url), { workerData })
    this.#worker.on('message', (reply: ThreadReply) => this.#hear(reply))
    this.#worker.on('error', (error) => this.#end(error))
    this.#worker.on('exit', (code) => this.#end(`it ended with ${code}`))
    this.service = serviceOver((method, args) => this.#call(method, args))
  }

  get died(): Promise<WdockError> {
    return this.#died.promise
  }

  end(): Promise<void> {
    this.#ending ??= this.#endGently()
    return this.#ending
  }

  async #endGently(): Promise<void> {
    if (this.#dead !== null) return
    const { endGraceMs = defaultEndGraceMs } = this.#options
    if (endGraceMs > 0) {
      this.#post({ kind: 'end' })
      const grace = setTimeout(this.#putDown.resolve, endGraceMs)
      await this.#putDown.promise
      clearTimeout(grace)
    }
    await this.#worker.terminate()
  }

  #call(method: ServiceMethod, args: readonly unknown[]): Promise<unknown> {
    if (this.#dead !== null) return Promise.reject(this.#dead)
    if (this.#ending !== null) return Promise.reject(fail('vault.stopped'))
    const call = Promise.withResolvers<unknown>()
    this.#callId += 1
    this.#calls.set(this.#callId, call)
    try {
      this.#post({ kind: 'call', callId: this.#callId, method, args })
    } catch (error) {
      this.#calls.delete(this.#callId)
      call.reject(fail('host.unexpected', {}, { detail: String(error), cause: error }))
    }
    return call.promise
  }

  #post(request: ThreadRequest): void {
    this.#worker.postMessage(request)
  }

  #hear(reply: ThreadReply): void {
    switch (reply.kind) {
      case 'result':
        this.#take(reply.callId)?.resolve(reply.value)
        return
      case 'failure':
        this.#take(reply.callId)?.reject(errorFromShape(reply.error))
        return
      case 'event':
        this.#options.onEvent(reply.event)
        return
      case 'log':
        this.#options.log[reply.level](reply.message, JSON.parse(reply.fields))
        return
      case 'ended':
        this.#putDown.resolve()
    }
  }

  #take(callId: number): PromiseWithResolvers<unknown> | undefined {
    const call = this.#calls.get(callId)
    this.#calls.delete(callId)
    return call
  }

  #end(why: unknown): void {
    if (this.#dead !== null) return
    const detail = why instanceof Error ? (why.stack ?? why.message) : String(why)
    this.#dead = fail('vault.stopped', {}, { detail, cause: why })
    this.#putDown.resolve()
    for (const call of this.#calls.values()) call.reject(this.#dead)
    this.#calls.clear()
    if (this.#ending === null) this.#died.resolve(this.#dead)
  }
}

/** A service of which every method is a call of `call`. */
function serviceOver(
  call: (method: ServiceMethod, args: readonly unknown[]) => Promise<unknown>,
): VaultService {
  const entries = serviceMethods.map((method) => [method, (...args: unknown[]) => call(method, args)])
  // What the thread answers has the type of its method: both are of one program.
  return Object.fromEntries(entries) as VaultService
}

/**
 * The host's side of the thread of one visit. Promises that `ended` is settled when the thread ends, by itself or not,
 * and that nothing of a visit is kept that was not asked for. Relies on its owner to call `keep` or `close`, last.
 */
import { Worker } from 'node:worker_threads'
import { errorFromShape, fail, type WdockError } from '../../shared/errors/index.ts'
import type { VisitNote } from '../pages/kept/visit-note.ts'
import type { VisitReply, VisitRequest, VisitStart, VisitStats } from './thread-messages.ts'

/** A guest that has been given away runs at the other dock: its stream ends at once, or something is broken. */
const endsWithinMs = 10_000

export class VisitThread {
  readonly #worker: Worker
  readonly #listening = Promise.withResolvers<void>()
  readonly #ended = Promise.withResolvers<void>()
  readonly #kept = Promise.withResolvers<void>()
  #stats: VisitStats | null = null

  constructor(start: VisitStart) {
    for (const { promise } of [this.#listening, this.#ended, this.#kept]) promise.catch(() => undefined)
    this.#worker = new Worker(new URL('./visit.worker.ts', import.meta.url), { workerData: start })
    this.#worker.on('message', (reply: VisitReply) => this.#hear(reply))
    this.#worker.on('error', (error) => this.#over(fail('delta.stopped', {}, { detail: String(error) })))
    this.#worker.on('exit', () => this.#over(fail('delta.stopped')))
  }

  /** Resolves when its socket can be connected to. */
  get listening(): Promise<void> {
    return this.#listening.promise
  }

  /** Resolves when the stream has ended on both sides; rejects with what broke. */
  get ended(): Promise<void> {
    return this.#ended.promise
  }

  /** Newest figures; null before the first. */
  get stats(): VisitStats | null {
    return this.#stats
  }

  /** From here on the stream passes as it is. */
  stepAside(): void {
    this.#ask({ kind: 'aside' })
  }

  /** Keeps what the visit brought, if all of it went through here; ends the thread. @throws host.disk_full and the like, delta.* */
  async keep(note: VisitNote): Promise<void> {
    const late = setTimeout(
      () => this.#over(fail('delta.stopped', {}, { detail: 'the stream did not end' })),
      endsWithinMs,
    )
    try {
      await this.#ended.promise
      clearTimeout(late)
      this.#ask({ kind: 'keep', note })
      await this.#kept.promise
    } finally {
      clearTimeout(late)
      await this.close()
    }
  }

  /** Ends the thread, whatever it does. Nothing that was not kept by then is. */
  async close(): Promise<void> {
    await this.#worker.terminate()
  }

  #ask(request: VisitRequest): void {
    this.#worker.postMessage(request)
  }

  #hear(reply: VisitReply): void {
    switch (reply.kind) {
      case 'listening':
        this.#listening.resolve()
        return
      case 'stats':
        this.#stats = reply.stats
        return
      case 'ended':
        if (reply.error === null) this.#ended.resolve()
        else this.#over(errorFromShape(reply.error))
        return
      case 'kept':
        if (reply.error === null) this.#kept.resolve()
        else this.#kept.reject(errorFromShape(reply.error))
    }
  }

  #over(error: WdockError): void {
    for (const each of [this.#listening, this.#ended, this.#kept]) each.reject(error)
  }
}

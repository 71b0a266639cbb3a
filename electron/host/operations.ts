/**
 * Long work, one at a time for each guest. Promises that a guest has at most one operation, that an operation
 * tells its phase, bytes and rate, carries its own undo stack, can be cancelled until it says otherwise, and ends
 * exactly once. Relies on the state store; operations of other docks are mirrored into the same list.
 */
import { fail, toWdockError, type WdockError } from '../../shared/errors/index.ts'
import { formatDuration } from '../../shared/format.ts'
import type { Operation, OperationState } from '../../shared/models/operation.ts'
import type { Clock } from '../platform/clock.ts'
import { Disposer } from '../platform/dispose.ts'
import type { Log } from '../platform/log.ts'
import type { StateStore } from './state-store.ts'

export interface OperationStart {
  id: string
  guestId: string
  guestName: string
  work: Operation['work']
}

/** How many ended operations stay on the screen. */
const keptEnded = 20

/** One running operation, in the hands of the use case that does the work. */
export class RunningOperation {
  readonly id: string
  readonly guestId: string
  readonly undo = new Disposer()
  readonly #abort = new AbortController()
  readonly #publish: (operation: Operation) => void
  #view: Operation

  constructor(view: Operation, publish: (operation: Operation) => void) {
    this.id = view.id
    this.guestId = view.guestId
    this.#view = view
    this.#publish = publish
  }

  /** Fires when a person cancels, with `host.cancelled` as its reason. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  get view(): Operation {
    return this.#view
  }

  get cancellable(): boolean {
    return this.#view.state.kind === 'running' && this.#view.state.cancellable
  }

  update(change: Partial<Pick<Operation, 'progress' | 'work'>>): void {
    this.#set({ ...this.#view, ...change })
  }

  /** From here on the operation cannot be cancelled. @throws host.cancelled when it was cancelled just before. */
  pointOfNoReturn(): void {
    this.signal.throwIfAborted()
    this.#set({ ...this.#view, state: { kind: 'running', cancellable: false } })
  }

  /** Asks the work to stop. @throws migration.too_late_to_cancel */
  cancel(): void {
    if (this.#view.state.kind === 'cancelling') return
    if (!this.cancellable) {
      if (this.#view.work.kind === 'checkpoint') throw fail('vault.already_kept')
      if (this.#view.work.kind === 'restore')
        throw fail('restore.too_late_to_cancel', { name: this.#view.guestName })
      throw fail('migration.too_late_to_cancel', { name: this.#view.guestName, dock: 'the other PC' })
    }
    this.#set({ ...this.#view, state: { kind: 'cancelling' } })
    this.#abort.abort(fail('host.cancelled'))
  }

  end(state: OperationState): void {
    this.#set({ ...this.#view, state })
  }

  #set(view: Operation): void {
    this.#view = view
    this.#publish(view)
  }
}

export class Operations {
  /**
   * Called before the work of an operation begins, which waits for it: what goes on with the guest unasked ends. Null
   * where nothing does.
   */
  makeWay: (guestId: string) => Promise<void> | null = () => null
  readonly #running = new Map<string, RunningOperation>()
  readonly #ends = new Set<Promise<unknown>>()
  /** Guests that no operation may begin with, though none of this dock holds them: why. */
  readonly #reserved = new Map<string, string>()
  readonly #store: StateStore
  readonly #clock: Clock
  readonly #log: Log

  constructor(store: StateStore, clock: Clock, log: Log) {
    this.#store = store
    this.#clock = clock
    this.#log = log
  }

  /** The operation that holds a guest, or null. */
  holding(guestId: string): RunningOperation | null {
    for (const operation of this.#running.values()) if (operation.guestId === guestId) return operation
    return null
  }

  /** From now on no operation may begin with a guest. @param what it does, after "because" @returns what ends that */
  reserve(guestId: string, what: string): () => void {
    this.#reserved.set(guestId, what)
    return () => void this.#reserved.delete(guestId)
  }

  isReserved(guestId: string): boolean {
    return this.#reserved.has(guestId)
  }

  /** @throws guest.busy when the guest is held */
  assertFree(guestId: string, name: string): void {
    const reserved = this.#reserved.get(guestId)
    if (reserved !== undefined) throw fail('guest.busy', { name, what: reserved })
    const holder = this.holding(guestId)
    if (holder !== null) throw fail('guest.busy', { name, what: workInWords(holder.view) })
  }

  find(id: string): RunningOperation | null {
    return this.#running.get(id) ?? null
  }

  /**
   * Runs `work` as the one operation of a guest. When it throws, its undo stack runs and the operation ends as
   * cancelled or failed. @returns the operation at once; `ended` settles with the work and never rejects.
   * @throws guest.busy
   */
  run(
    start: OperationStart,
    work: (operation: RunningOperation) => Promise<void>,
  ): { operation: RunningOperation; ended: Promise<WdockError | null> } {
    this.assertFree(start.guestId, start.guestName)
    const operation = new RunningOperation(this.#newView(start), (view) => this.#publish(view))
    this.#running.set(operation.id, operation)
    this.#publish(operation.view)
    const ended = this.#drive(operation, work)
    this.#ends.add(ended)
    void ended.then(() => this.#ends.delete(ended))
    return { operation, ended }
  }

  /** Cancels what can be cancelled and waits for the end of everything that runs here, `withinMs` at most. */
  async stopAll(withinMs: number): Promise<void> {
    for (const operation of this.#running.values()) if (operation.cancellable) operation.cancel()
    const late = new AbortController()
    const over = Promise.all(this.#ends).finally(() => late.abort())
    await Promise.race([over, this.#clock.sleep(withinMs, late.signal).catch(() => undefined)])
  }

  async #drive(
    operation: RunningOperation,
    work: (operation: RunningOperation) => Promise<void>,
  ): Promise<WdockError | null> {
    try {
      const way = this.makeWay(operation.guestId)
      if (way !== null) await way
      await work(operation)
      operation.undo.commit()
      this.#running.delete(operation.id)
      operation.end({ kind: 'done', endedAtMs: this.#clock.nowMs() })
      return null
    } catch (thrown) {
      const error = toWdockError(thrown)
      this.#log.warn('operation did not succeed', { operation: operation.id, error: error.toJSON() })
      for (const failure of await operation.undo.run()) {
        this.#log.error('undo step failed', {
          operation: operation.id,
          step: failure.name,
          error: failure.error,
        })
      }
      this.#running.delete(operation.id)
      const endedAtMs = this.#clock.nowMs()
      const cancelled = error.code === 'host.cancelled' || operation.signal.aborted
      operation.end(
        cancelled ? { kind: 'cancelled', endedAtMs } : { kind: 'failed', endedAtMs, error: error.toJSON() },
      )
      return error
    } finally {
      this.#forgetOldest()
    }
  }

  /** Shows an operation that another dock runs. */
  mirror(view: Operation): void {
    if (this.#running.has(view.id)) return
    this.#publish(view)
    this.#forgetOldest()
  }

  /** Takes an ended operation off the screen; a running one stays. */
  dismiss(id: string): void {
    const known = this.#store.state.operations.find((operation) => operation.id === id)
    if (known && hasEnded(known)) this.#store.apply({ type: 'operation.removed', operationId: id })
  }

  #newView(start: OperationStart): Operation {
    return {
      ...start,
      startedAtMs: this.#clock.nowMs(),
      state: { kind: 'running', cancellable: true },
      progress: { doneBytes: 0, totalBytes: null, rateBytesPerS: 0, timeLeft: null },
    }
  }

  #publish(operation: Operation): void {
    this.#store.apply({ type: 'operation.changed', operation })
  }

  #forgetOldest(): void {
    const ended = this.#store.state.operations.filter(hasEnded)
    for (const operation of ended.slice(0, Math.max(0, ended.length - keptEnded))) {
      this.#store.apply({ type: 'operation.removed', operationId: operation.id })
    }
  }
}

export function hasEnded(operation: Operation): boolean {
  return operation.state.kind !== 'running' && operation.state.kind !== 'cancelling'
}

const works: Record<Operation['work']['kind'], string> = {
  creating: 'it is being created',
  migration: 'it is moving',
  checkpoint: 'a checkpoint of it is being made',
  restore: 'it is being restored',
}

/** A rate that has all but stopped says nothing of the time that is left. */
const longestToldMs = 24 * 3600 * 1000

function workInWords({ work, progress }: Operation): string {
  // People may wait for it: the guest runs already, and looks as if it were free.
  const longestMs = work.kind === 'restore' ? progress.timeLeft?.maxMs : undefined
  return longestMs === undefined || longestMs > longestToldMs
    ? works[work.kind]
    : `${works[work.kind]}, for up to ${formatDuration(longestMs)} more`
}

/**
 * Tries again what may succeed later, over any store, so that a caller sees an answer or a failure that stays.
 * Promises: each try ends in a time that grows with what it carries; a store that asks for a pause gets it; a call
 * gives up at its deadline with the last failure; `putNew` knows its own write again when its answer was lost.
 * Relies on: failures of a store being coded, those that may pass being in the two lists below.
 */
import { type ErrorCode, fail, WdockError } from '../../shared/errors/index.ts'
import { type Clock, systemClock } from '../platform/clock.ts'
import { type Random, systemRandom } from '../platform/random.ts'
import { AskedToWait, type TryOptions } from './tries.ts'

/** One call of a store, for choosing its deadline. */
export interface StoreCall {
  kind: 'put' | 'putNew' | 'get' | 'getRange' | 'list' | 'remove' | 'nowMs' | 'lending'
  /** The object's name, or the prefix of a list; empty where there is none. */
  name: string
}

export interface RetryOptions {
  clock?: Clock
  random?: Random
  /** For how long a call is tried; `Infinity` is until its signal. Default: `defaultDeadlineMs`. */
  deadlineMs?: (call: StoreCall) => number
  /** A store does not answer and is tried on; null when it answers again. */
  onTrouble?: (error: WdockError | null) => void
  /** A try may take this long, and the time its bytes need at `slowestBytesPerS`. Default 15 s. */
  tryMs?: number
  /** Default 50 000. */
  slowestBytesPerS?: number
  /** The first pause, doubled from failure to failure. Default 250 ms. */
  firstPauseMs?: number
  /** The longest pause. Default 30 s. */
  longestPauseMs?: number
}

/** These may pass by themselves. */
const passing: ReadonlySet<string> = new Set<ErrorCode>([
  'store.busy',
  'store.cut',
  'store.timed_out',
  'store.unknown_host',
  'store.unreachable',
])
/** These pass when a person does something: only a call without a deadline waits for that. */
const fixable: ReadonlySet<string> = new Set<ErrorCode>([
  'store.clock_wrong',
  'store.drive_failed',
  'store.folder_missing',
  'store.full',
])
/** In these the store did not say anything. */
const silent: ReadonlySet<string> = new Set<ErrorCode>([
  'store.cut',
  'store.timed_out',
  'store.unknown_host',
  'store.unreachable',
])
const readDeadlineMs = 120_000
/** A longer pause than this is a mistake of who asks for it. */
const longestAskedMs = 3_600_000

/** Packs are sent until their signal says otherwise: they are what a broken link must not lose. The rest: 2 min. */
export function defaultDeadlineMs(call: StoreCall): number {
  const isPack = call.kind.startsWith('put') && /(^|\/)packs\//.test(call.name)
  return isPack ? Number.POSITIVE_INFINITY : readDeadlineMs
}

export interface Work<T> {
  call: StoreCall
  /** What the call carries, either way, as far as it is known. */
  sizeBytes: number
  signal: AbortSignal | undefined
  /** For people, in failures. */
  place: string
  /** One try. `failedBefore`: an earlier one may have been carried out although it failed. */
  attempt: (options: TryOptions, failedBefore: boolean) => Promise<T>
}

/** The retries of one store. Calls share it: what one of them meets concerns the others. */
export class Retrier {
  readonly #clock: Clock
  readonly #random: Random
  readonly #options: RetryOptions
  /** Calls that go on trying, with their latest failures. */
  readonly #failing = new Map<object, WdockError>()
  #told: string | null = null
  #answered = new AbortController()

  constructor(options: RetryOptions = {}) {
    this.#clock = options.clock ?? systemClock
    this.#random = options.random ?? systemRandom
    this.#options = options
  }

  /** @throws the failure of the last try, or the signal's reason */
  async run<T>(work: Work<T>): Promise<T> {
    const deadlineMs = (this.#options.deadlineMs ?? defaultDeadlineMs)(work.call)
    const endMs = this.#clock.monotonicMs() + deadlineMs
    try {
      for (let failures = 1; ; failures++) {
        try {
          const value = await this.#try(work, endMs, failures > 1)
          this.#answered.abort()
          this.#answered = new AbortController()
          return value
        } catch (error) {
          work.signal?.throwIfAborted()
          if (!mayPass(error, deadlineMs)) throw error
          // One failure is everyday life.
          if (failures > 1) this.#tell(work, error)
          await this.#pause(error, failures, endMs, work.signal)
        }
      }
    } finally {
      this.#tell(work, null)
    }
  }

  /** There is trouble as long as any call meets it: others may be answered meanwhile, as reads of a full store are. */
  #tell(call: object, failure: WdockError | null): void {
    this.#failing.delete(call)
    if (failure !== null) this.#failing.set(call, failure)
    const trouble = [...this.#failing.values()].at(-1) ?? null
    if ((trouble?.code ?? null) === this.#told) return
    this.#told = trouble?.code ?? null
    this.#options.onTrouble?.(trouble)
  }

  /** @throws `error` where the pause would be longer than the call has left; the signal's reason */
  async #pause(
    error: WdockError,
    failures: number,
    endMs: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const first = this.#options.firstPauseMs ?? 250
    const longest = this.#options.longestPauseMs ?? 30_000
    const grownMs = Math.min(longest, first * 2 ** Math.min(failures - 1, 20))
    // Half of it is chance, so that many callers do not come back in step.
    const ownMs = grownMs / 2 + this.#random.int(Math.ceil(grownMs / 2) + 1)
    const askedMs = error.cause instanceof AskedToWait ? Math.min(error.cause.waitMs, longestAskedMs) : 0
    const pauseMs = Math.max(ownMs, askedMs)
    if (this.#clock.monotonicMs() + pauseMs >= endMs) throw error
    // Who got no answer comes back soon after another call got one.
    const surelyMs = silent.has(error.code) && askedMs === 0 ? Math.min(pauseMs, 1000) : pauseMs
    const answered = this.#answered.signal
    await this.#clock.sleep(surelyMs, signal).catch(() => {})
    if (pauseMs > surelyMs) {
      const wakers = signal ? [signal, answered] : [answered]
      await this.#clock.sleep(pauseMs - surelyMs, AbortSignal.any(wakers)).catch(() => {})
    }
    signal?.throwIfAborted()
  }

  /** One try, ended by its own timer, by the call's deadline or by the caller. */
  async #try<T>(work: Work<T>, endMs: number, failedBefore: boolean): Promise<T> {
    work.signal?.throwIfAborted()
    const bytesPerMs = (this.#options.slowestBytesPerS ?? 50_000) / 1000
    const allowedMs = (this.#options.tryMs ?? 15_000) + work.sizeBytes / bytesPerMs
    let tryEndMs = Math.min(endMs, this.#clock.monotonicMs() + allowedMs)
    const onSize = (sizeBytes: number): void => {
      tryEndMs = Math.min(endMs, tryEndMs + sizeBytes / bytesPerMs)
    }
    const over = new AbortController()
    const signal = work.signal ? AbortSignal.any([work.signal, over.signal]) : over.signal
    const attempt = work.attempt({ signal, onSize }, failedBefore)
    const ended = attempt.then(
      () => {},
      () => {},
    )
    const done = new AbortController()
    try {
      return await Promise.race([
        attempt,
        this.#timeOut(() => tryEndMs, done.signal),
        whenAborted(signal, done.signal),
      ])
    } catch (error) {
      if (!(error instanceof TimedOut)) throw error
      const timedOut = fail('store.timed_out', { place: work.place })
      over.abort(timedOut)
      this.#tell(work, timedOut)
      await this.#outlast(ended, endMs, work.signal)
      throw timedOut
    } finally {
      done.abort()
    }
  }

  /** A network file system ignores signals. While a call hangs in it, the next try would only hang beside it. */
  async #outlast(ended: Promise<void>, endMs: number, signal: AbortSignal | undefined): Promise<void> {
    const done = new AbortController()
    const ends = [ended]
    if (Number.isFinite(endMs)) ends.push(this.#timeOut(() => endMs, done.signal))
    if (signal) ends.push(whenAborted(signal, done.signal))
    await Promise.race(ends).catch(() => {})
    done.abort()
  }

  /** Rejects with `TimedOut` at an end that may move; never settles once `done`. */
  async #timeOut(endMs: () => number, done: AbortSignal): Promise<never> {
    for (let leftMs = endMs() - this.#clock.monotonicMs(); leftMs > 0; ) {
      await this.#clock.sleep(Math.min(leftMs, longestTimerMs), done).catch(() => {})
      if (done.aborted) return new Promise<never>(() => {})
      leftMs = endMs() - this.#clock.monotonicMs()
    }
    throw new TimedOut()
  }
}

/** A timer of Node counts to 2^31 ms. */
const longestTimerMs = 2 ** 31 - 1

class TimedOut extends Error {}

function mayPass(error: unknown, deadlineMs: number): error is WdockError {
  if (!(error instanceof WdockError)) return false
  return passing.has(error.code) || (fixable.has(error.code) && deadlineMs === Number.POSITIVE_INFINITY)
}

/** Rejects with the signal's reason. Leaves nothing at the signal, which may live long, once `done`. */
function whenAborted(signal: AbortSignal, done: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true, signal: done })
  })
}

/**
 * A store that fails and lies on cue, over any other: by a script, or by a seed that repeats. For tests only. Promises
 * that a fault changes nothing in the store below but what a call was told to do.
 */
import { fail } from '../../../shared/errors/index.ts'
import { type Clock, systemClock } from '../../platform/clock.ts'
import type { CallOptions, Lending, ObjectInfo } from '../object-store.ts'
import { type RefusedBy, refusalError } from '../refusals.ts'
import type { StoreCall } from '../retry.ts'
import { joinPages, type ListPage, type TryOptions, type TryStore } from '../tries.ts'

export type Fault =
  /** An HTTP status, as a blob service answers it; nothing was done. */
  | { kind: 'status'; status: number; code?: string; retryAfterS?: number }
  /** The connection breaks before anything was done. */
  | { kind: 'cut' }
  /** It is done, and the answer gets lost. */
  | { kind: 'lost-answer' }
  /** No answer ever: ends with the caller's signal. */
  | { kind: 'hangs' }
  /** An answer after this long. */
  | { kind: 'slow'; delayMs: number }
  /** Reads find nothing. */
  | { kind: 'missing' }
  /** Reads find only this part of the object, 0 to 1. */
  | { kind: 'truncated'; part: number }
  /** Reads find one bit turned, this far into the object, 0 to 1. */
  | { kind: 'flipped'; part: number }
  /** Reads find another object of the same folder, whole. */
  | { kind: 'swapped' }
  /** Reads find what was there before the last put through this wrapper. */
  | { kind: 'old' }

export interface FaultyCall extends StoreCall {
  /** The first call is 0. */
  index: number
}

/** Decides for each call whether it fails. */
export type FaultPlan = (call: FaultyCall) => Fault | null

/** The faults in order, a call each; then none. */
export function scripted(...faults: (Fault | null)[]): FaultPlan {
  return ({ index }) => faults[index] ?? null
}

/** One of `faults` for a part of the calls, `rate` of 0 to 1; the same ones for the same seed and calls. */
export function seeded(seed: number, rate: number, faults: readonly Fault[]): FaultPlan {
  const next = randomFrom(seed)
  return () => {
    const hit = next() < rate
    const fault = faults[Math.floor(next() * faults.length)]
    return hit && fault ? fault : null
  }
}

export interface FaultyStoreOptions {
  /** How far the store's clock is ahead of the one below. */
  skewMs?: number
  clock?: Clock
}

export class FaultyStore implements TryStore {
  readonly sentence: string
  readonly settleMs: number
  readonly lending: Lending | null
  /** What was asked, failed or not. */
  readonly calls: FaultyCall[] = []
  /** May be changed between calls. */
  plan: FaultPlan
  readonly #store: TryStore
  readonly #skewMs: number
  readonly #clock: Clock
  readonly #older = new Map<string, Buffer | null>()

  constructor(store: TryStore, plan: FaultPlan, options: FaultyStoreOptions = {}) {
    this.sentence = store.sentence
    this.settleMs = store.settleMs
    this.lending = store.lending
    this.plan = plan
    this.#store = store
    this.#skewMs = options.skewMs ?? 0
    this.#clock = options.clock ?? systemClock
  }

  put(name: string, body: Uint8Array, options: CallOptions = {}): Promise<void> {
    return this.#call({ kind: 'put', name }, options, async () => {
      this.#older.set(name, await this.#store.get(name, Number.MAX_SAFE_INTEGER))
      await this.#store.put(name, body, options)
    })
  }

  putNew(name: string, body: Uint8Array, options: CallOptions = {}): Promise<boolean> {
    return this.#call({ kind: 'putNew', name }, options, () => this.#store.putNew(name, body, options))
  }

  get(name: string, limitBytes: number, options: TryOptions = {}): Promise<Buffer | null> {
    return this.#call({ kind: 'get', name }, options, async (fault) => {
      const body = await this.#lie(name, fault)
      if (body === undefined) return this.#store.get(name, limitBytes, options)
      if (body && body.length > limitBytes) throw fail('store.too_big', { name })
      return body
    })
  }

  getRange(
    name: string,
    offsetBytes: number,
    lengthBytes: number,
    options: CallOptions = {},
  ): Promise<Buffer | null> {
    return this.#call({ kind: 'getRange', name }, options, async (fault) => {
      const end = offsetBytes + lengthBytes
      const body = await this.#lie(name, fault, offsetBytes, end)
      if (body === undefined) return this.#store.getRange(name, offsetBytes, lengthBytes, options)
      if (body && body.length < end) throw fail('store.short_read', { name })
      return body && Buffer.from(body.subarray(offsetBytes, end))
    })
  }

  list(prefix: string, options: CallOptions = {}): AsyncIterable<ObjectInfo> {
    return joinPages((token) => this.listPage(prefix, token, options))
  }

  listPage(prefix: string, token: string | null, options: CallOptions = {}): Promise<ListPage> {
    return this.#call({ kind: 'list', name: prefix }, options, (fault) =>
      fault?.kind === 'missing'
        ? Promise.resolve({ objects: [], next: null })
        : this.#store.listPage(prefix, token, options),
    )
  }

  remove(name: string, options: CallOptions = {}): Promise<void> {
    return this.#call({ kind: 'remove', name }, options, () => this.#store.remove(name, options))
  }

  nowMs(options: CallOptions = {}): Promise<number> {
    return this.#call({ kind: 'nowMs', name: '' }, options, async () => {
      return (await this.#store.nowMs(options)) + this.#skewMs
    })
  }

  close(): void {
    this.#store.close()
  }

  async #call<T>(
    call: StoreCall,
    options: CallOptions,
    work: (fault: Fault | null) => Promise<T>,
  ): Promise<T> {
    const asked = { ...call, index: this.calls.length }
    this.calls.push(asked)
    const fault = this.plan(asked)
    switch (fault?.kind) {
      case 'status':
        throw refused(fault, asked, this.#clock.nowMs())
      case 'cut':
        throw fail('store.cut', { place: 'The faulty store' })
      case 'lost-answer':
        await work(null)
        throw fail('store.cut', { place: 'The faulty store' })
      case 'hangs':
        return untilAborted(options)
      case 'slow':
        await this.#clock.sleep(fault.delayMs, options.signal)
        return work(null)
      default:
        return work(fault ?? null)
    }
  }

  /** What a read finds instead; undefined where it finds the truth. Bits are turned between `from` and `to`. */
  async #lie(
    name: string,
    fault: Fault | null,
    from = 0,
    to = Number.POSITIVE_INFINITY,
  ): Promise<Buffer | null | undefined> {
    if (fault?.kind === 'missing') return null
    if (fault?.kind === 'old') return this.#older.get(name)
    if (fault?.kind !== 'truncated' && fault?.kind !== 'flipped' && fault?.kind !== 'swapped')
      return undefined
    const other = fault.kind === 'swapped' ? await this.#neighbour(name) : name
    const body = await this.#store.get(other ?? name, Number.MAX_SAFE_INTEGER)
    if (body === null || body.length === 0) return body
    if (fault.kind === 'truncated') return body.subarray(0, Math.floor(body.length * fault.part))
    if (fault.kind === 'flipped') {
      const span = Math.max(1, Math.min(body.length, to) - from)
      const at = Math.min(body.length - 1, from + Math.floor(span * fault.part))
      body.writeUInt8(body.readUInt8(at) ^ (1 << (at % 8)), at)
    }
    return body
  }

  async #neighbour(name: string): Promise<string | null> {
    const folder = name.slice(0, name.lastIndexOf('/') + 1)
    for await (const other of this.#store.list(folder)) if (other.name !== name) return other.name
    return null
  }
}

function refused(fault: Fault & { kind: 'status' }, call: FaultyCall, nowMs: number): Error {
  const by: RefusedBy = {
    ...{ place: 'The faulty store', host: 'faulty.example', account: 'faulty', container: 'faulty' },
    ...{ auth: 'key', accessEndsMs: null, name: call.name },
  }
  const retryAfter = fault.retryAfterS === undefined ? null : String(fault.retryAfterS)
  const refusal = { status: fault.status, code: fault.code ?? null, retryAfter, date: null, detail: 'on cue' }
  return refusalError(refusal, by, nowMs)
}

function untilAborted(options: CallOptions): Promise<never> {
  return new Promise((_, reject) => {
    const { signal } = options
    if (signal?.aborted) reject(signal.reason)
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}

/** Mulberry32, public domain: enough to choose faults. @returns numbers of 0 to below 1 */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

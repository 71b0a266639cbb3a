/**
 * The world of the model: one store, its clock, and the PCs that use it. Every call of a store and every wait stops
 * until the scheduler lets it go on, one at a time. A PC that is not let go on is asleep: for an instant or for hours. One
 * that loses its power is gone in the middle of what it was doing, which is done or not.
 */
import { fail } from '../../../shared/errors/index.ts'
import type { CallOptions, ObjectInfo, ObjectStore } from '../../objects/object-store.ts'
import type { Clock } from '../../platform/clock.ts'
import { StoreLaws } from './model-laws.ts'
import type { Seeded } from './seeded.ts'

const minuteMs = 60_000
/** What a call takes of the store's time. */
const callMs = 300

/** One call of a store, or a wait, that has not gone on yet. */
interface Pending {
  pc: PcClock
  /** Not before this time. */
  fromMs: number
  /** What it does to the store, and then the answer to whoever waits. */
  go(): void
  /** The first half only: the answer finds nobody. */
  strand(): void
}

interface Written {
  atMs: number
  body: Buffer
}

/** How the store looked at a time: for lists that lag behind. */
interface Change {
  atMs: number
  by: string
  name: string
  info: ObjectInfo | null
}

export class ModelWorld {
  nowMs = 1_000_000_000_000
  readonly settleMs: number
  readonly objects = new Map<string, Written>()
  readonly laws: StoreLaws
  readonly random: Seeded
  readonly story: string[] = []
  /** How often an answer of the store is lost. */
  lossChance = 0.05
  #pending: Pending[] = []
  #changes: Change[] = []

  constructor(random: Seeded, settleMs: number) {
    this.random = random
    this.settleMs = settleMs
    this.laws = new StoreLaws(this.objects)
  }

  /** What would go on now. */
  get ready(): Pending[] {
    return this.#pending.filter(({ fromMs }) => fromMs <= this.nowMs)
  }

  /** When the next thing goes on, by itself. */
  get nextMs(): number {
    return Math.min(...this.#pending.map(({ fromMs }) => fromMs))
  }

  /** The same of one PC. */
  nextOf(pc: PcClock): number {
    return Math.min(...this.#pending.filter((each) => each.pc === pc).map(({ fromMs }) => fromMs))
  }

  /** Lets one thing go on, and everything that follows from it until it stops again. */
  async step(one: Pending): Promise<void> {
    this.#pending = this.#pending.filter((other) => other !== one)
    one.go()
    await this.calm()
  }

  /** All that can go on without the store and the clock. */
  async calm(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
  }

  wait(pc: PcClock, fromMs: number, go: () => void, strand: () => void = () => {}): () => void {
    const one = { pc, fromMs, go, strand }
    if (!pc.isDead) this.#pending.push(one)
    return () => {
      this.#pending = this.#pending.filter((other) => other !== one)
    }
  }

  /** Power is lost: what a PC had sent may have arrived or not, and nobody learns of it. */
  strike(pc: PcClock): void {
    pc.isDead = true
    const lost = this.#pending.filter((each) => each.pc === pc)
    this.#pending = this.#pending.filter((each) => each.pc !== pc)
    for (const each of lost) if (each.fromMs <= this.nowMs && this.random.chance(0.5)) each.strand()
  }

  tell(line: string): void {
    this.story.push(`${((this.nowMs - 1_000_000_000_000) / minuteMs).toFixed(1)} min  ${line}`)
  }

  write(by: PcClock, name: string, body: Buffer | null): void {
    this.laws.check(name, body, this.nowMs, this.objects.get(name)?.atMs ?? 0)
    if (body === null) this.objects.delete(name)
    else this.objects.set(name, { atMs: this.nowMs, body })
    const info = body && { name, sizeBytes: body.length, writtenAtMs: this.nowMs }
    this.#changes.push({ atMs: this.nowMs, by: by.name, name, info })
  }

  /** What a PC's list shows: its own changes at once, those of others when the store has settled at the latest. */
  listed(by: PcClock, prefix: string): ObjectInfo[] {
    const seenMs = this.settleMs === 0 ? this.nowMs : this.nowMs - this.random.int(this.settleMs)
    const found = new Map<string, ObjectInfo>()
    for (const { atMs, by: writer, name, info } of this.#changes) {
      if (!name.startsWith(prefix) || (writer !== by.name && atMs > seenMs)) continue
      if (info) found.set(name, info)
      else found.delete(name)
    }
    return [...found.values()]
  }
}

/** The clock of a PC: waits end when the scheduler says so. Asleep, it knows of nothing. */
export class PcClock implements Clock {
  readonly world: ModelWorld
  readonly name: string
  /** It lost its power: nothing of it goes on. Another one of the same name may come. */
  isDead = false

  constructor(world: ModelWorld, name: string) {
    this.world = world
    this.name = name
  }

  /** The PC's own clock is wrong by some hours: nothing may depend on it. */
  nowMs(): number {
    return this.world.nowMs + 7 * 3600_000
  }

  monotonicMs(): number {
    return this.world.nowMs
  }

  sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    if (signal?.aborted) return Promise.reject(signal.reason)
    const cancel = this.world.wait(this, this.world.nowMs + durationMs, resolve)
    signal?.addEventListener('abort', () => {
      cancel()
      reject(signal.reason)
    })
    return promise
  }
}

/** The store as a PC sees it, through a wrapper that tries again when an answer is lost. */
export class ModelStore implements ObjectStore {
  readonly sentence = 'the store of the model'
  readonly settleMs: number
  readonly lending = null
  readonly #world: ModelWorld
  readonly #pc: PcClock

  constructor(pc: PcClock) {
    this.#world = pc.world
    this.#pc = pc
    this.settleMs = pc.world.settleMs
  }

  put(name: string, body: Uint8Array, options?: CallOptions): Promise<void> {
    return this.#call(options, () => this.#world.write(this.#pc, name, Buffer.from(body)))
  }

  putNew(name: string, body: Uint8Array, options?: CallOptions): Promise<boolean> {
    const { objects } = this.#world
    return this.#call(options, (isRetry) => {
      const there = objects.get(name)
      if (there) return isRetry && there.body.equals(body)
      this.#world.write(this.#pc, name, Buffer.from(body))
      return true
    })
  }

  get(name: string, limitBytes: number, options?: CallOptions): Promise<Buffer | null> {
    return this.#call(options, () => {
      const body = this.#world.objects.get(name)?.body
      if (body && body.length > limitBytes) throw fail('store.too_big', { name })
      return body ?? null
    })
  }

  getRange(name: string, offset: number, length: number, options?: CallOptions): Promise<Buffer | null> {
    return this.#call(options, () => {
      const body = this.#world.objects.get(name)?.body
      if (body && offset + length > body.length) throw fail('store.short_read', { name })
      return body?.subarray(offset, offset + length) ?? null
    })
  }

  /** In two halves, as a long list comes: what changes in between is seen or not. */
  async *list(prefix: string, options?: CallOptions): AsyncIterable<ObjectInfo> {
    const first = await this.#call(options, () => this.#world.listed(this.#pc, prefix))
    const middle = first.map(({ name }) => name).sort()[Math.floor(first.length / 2)] ?? ''
    yield* first.filter(({ name }) => name <= middle)
    if (first.length < 2) return
    const second = await this.#call(options, () => this.#world.listed(this.#pc, prefix))
    yield* second.filter(({ name }) => name > middle)
  }

  remove(name: string, options?: CallOptions): Promise<void> {
    return this.#call(options, () => {
      if (this.#world.objects.has(name)) this.#world.write(this.#pc, name, null)
    })
  }

  nowMs(options?: CallOptions): Promise<number> {
    return this.#call(options, () => this.#world.nowMs)
  }

  close(): void {}

  #call<T>(options: CallOptions | undefined, work: (isRetry: boolean) => T): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const signal = options?.signal
    let isRetry = false
    let cancel = (): void => {}
    const strand = (): void => {
      try {
        work(isRetry)
      } catch {
        // Nobody learns of it.
      }
    }
    const go = (): void => {
      this.#world.nowMs += callMs
      if (this.#world.random.chance(this.#world.lossChance)) {
        // The answer is lost, and the call is tried again after a while.
        strand()
        isRetry = true
        cancel = this.#world.wait(this.#pc, this.#world.nowMs + 2_000, go, strand)
        return
      }
      try {
        resolve(work(isRetry))
      } catch (error) {
        reject(error)
      }
    }
    if (signal?.aborted) return Promise.reject(signal.reason)
    cancel = this.#world.wait(this.#pc, this.#world.nowMs, go, strand)
    signal?.addEventListener('abort', () => {
      // What was sent may arrive although nobody waits for it any more.
      if (this.#world.random.chance(0.5)) cancel()
      reject(signal.reason)
    })
    return promise
  }
}

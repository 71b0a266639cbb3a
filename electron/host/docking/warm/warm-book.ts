/**
 * How ready docks are, as people see it: of guests of this dock on others, and, as they tell it, of guests of others on
 * this one. Promises that the state follows every change, that a dock hears what is said of it, and that what was
 * reached survives the end of the host. Relies on a dock to speak for its own guests alone.
 */
import { join } from 'node:path'
import { z } from 'zod'
import { dockId } from '../../../../shared/models/dock.ts'
import { type WarmState, type Warmth, warmState } from '../../../../shared/models/warmth.ts'
import type { DockNet } from '../../../docks/dock-net.ts'
import { readJson, writeJsonAtomic } from '../../../platform/atomic-file.ts'
import type { Log } from '../../../platform/log.ts'
import type { StateStore } from '../../state-store.ts'
import { warmChangedEvent } from '../messages.ts'
import { keyOf, type Pair } from './turns.ts'

export interface WarmBookOptions {
  dataDir: string
  net: Pick<DockNet, 'id' | 'emit' | 'onEvent' | 'onOffline' | 'onUnpaired'>
  store: StateStore
  log: Log
}

const reached = z.strictObject({ guestId: z.uuid(), dockId, state: warmState })
const bookFile = z.strictObject({ version: z.literal(1), reached: z.array(reached) })

export class WarmBook {
  readonly #options: WarmBookOptions
  /** Of guests of this dock. */
  readonly #own = new Map<string, Pair & { state: WarmState }>()
  /** Of guests of others, by the dock that told it. */
  readonly #theirs = new Map<string, Warmth[]>()
  #writing: Promise<void> = Promise.resolve()

  private constructor(options: WarmBookOptions) {
    this.#options = options
    const { net } = options
    net.onEvent('warm.changed', ({ dockId }, data) => this.#hear(dockId, data))
    net.onOffline((dockId) => this.#lose(dockId))
    net.onUnpaired((dockId) => this.#lose(dockId))
  }

  /** @throws host.state_unreadable */
  static async open(options: WarmBookOptions): Promise<WarmBook> {
    const book = new WarmBook(options)
    const stored = await readJson(pathIn(options.dataDir), bookFile)
    for (const each of stored?.reached ?? []) book.#own.set(keyOf(each), each)
    return book
  }

  get pairs(): Pair[] {
    return [...this.#own.values()]
  }

  find(pair: Pair): WarmState | null {
    return this.#own.get(keyOf(pair))?.state ?? null
  }

  /** How much of it was there at the last look. */
  percent(pair: Pair): number {
    const state = this.find(pair)
    if (state === null) return 0
    return state.kind === 'ready' ? 100 : state.percent
  }

  set({ guestId, dockId }: Pair, state: WarmState): void {
    const pair = { guestId, dockId }
    if (JSON.stringify(this.find(pair)) === JSON.stringify(state)) return
    this.#own.set(keyOf(pair), { ...pair, state })
    this.#changed(dockId, state.kind !== 'warming')
  }

  /** Nothing is there any more, or nobody wants it there. */
  drop(pair: Pair): void {
    if (this.#own.delete(keyOf(pair))) this.#changed(pair.dockId, true)
  }

  /** Tells a dock all that is known of it. */
  tell(dockId: string): void {
    const warmths = this.#ownWarmths().filter((each) => each.toDockId === dockId)
    this.#options.net.emit(dockId, 'warm.changed', { warmths })
  }

  /** Shows what was known before this host. */
  show(): void {
    const { store } = this.#options
    const warmths = [...this.#ownWarmths(), ...[...this.#theirs.values()].flat()]
    if (JSON.stringify(warmths) !== JSON.stringify(store.state.warmths))
      store.apply({ type: 'warmths.changed', warmths })
  }

  /** Resolves when everything is stored. */
  async close(): Promise<void> {
    await this.#writing
  }

  #ownWarmths(): Warmth[] {
    const fromDockId = this.#options.net.id
    return [...this.#own.values()].map(({ guestId, dockId, state }) => ({
      ...{ guestId, fromDockId, toDockId: dockId, state },
    }))
  }

  #changed(dockId: string, isReached: boolean): void {
    this.show()
    this.tell(dockId)
    if (!isReached) return
    const { dataDir, log } = this.#options
    const write = (): Promise<void> =>
      writeJsonAtomic(pathIn(dataDir), { version: 1, reached: [...this.#own.values()] })
    this.#writing = this.#writing
      .then(write)
      .catch((error: unknown) => log.warn('how ready docks are was not written down', { error }))
  }

  #hear(dockId: string, data: unknown): void {
    const parsed = warmChangedEvent.safeParse(data)
    if (!parsed.success) return
    const here = this.#options.net.id
    const own = parsed.data.warmths.filter((each) => each.fromDockId === dockId && each.toDockId === here)
    this.#theirs.set(dockId, own)
    this.show()
  }

  #lose(dockId: string): void {
    if (this.#theirs.delete(dockId)) this.show()
  }
}

function pathIn(dataDir: string): string {
  return join(dataDir, 'warm-docks.json')
}

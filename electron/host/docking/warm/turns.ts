/**
 * Which guest comes next to be made ready on which dock, and when: once it has run quietly for a while, then again and
 * again, later where the other dock refused it. A person's order goes before everything. Promises that whoever has
 * waited longest comes first. Pure; times are of a monotonic clock.
 */

/** A guest of this dock, and another dock on which it is kept ready. */
export interface Pair {
  guestId: string
  dockId: string
}

export interface WarmTimes {
  /** A guest that was started, moved or copied is left alone for so long. */
  calmMs: number
  /** From the end of one visit to the next: what has changed meanwhile follows. */
  everyMs: number
  /** After one that broke off. */
  retryMs: number
  /** After one that the other dock refused. */
  refusedMs: number
}

export const usualTimes: WarmTimes = {
  calmMs: 60_000,
  everyMs: 10 * 60_000,
  retryMs: 60_000,
  refusedMs: 5 * 60_000,
}

export type TurnEnd = 'ready' | 'broken-off' | 'refused'

export class Turns {
  readonly #times: WarmTimes
  /** When a guest was last seen to be busy. */
  readonly #busyAtMs = new Map<string, number>()
  readonly #notBeforeMs = new Map<string, number>()
  readonly #orders = new Set<string>()

  constructor(times: WarmTimes = usualTimes) {
    this.#times = times
  }

  busy(guestId: string, atMs: number): void {
    this.#busyAtMs.set(guestId, atMs)
  }

  /** A person wants it now. */
  order(pair: Pair): void {
    this.#orders.add(keyOf(pair))
  }

  isOrdered(pair: Pair): boolean {
    return this.#orders.has(keyOf(pair))
  }

  /** @param pairs that could be looked after now @returns whose turn it is, null where it is nobody's */
  next(pairs: readonly Pair[], nowMs: number): Pair | null {
    const ordered = pairs.find((pair) => this.isOrdered(pair))
    if (ordered !== undefined) return ordered
    const due = pairs
      .map((pair) => ({ pair, fromMs: this.#fromMs(pair, nowMs) }))
      .filter(({ fromMs }) => fromMs <= nowMs)
    return due.toSorted((a, b) => a.fromMs - b.fromMs)[0]?.pair ?? null
  }

  ended(pair: Pair, end: TurnEnd, nowMs: number): void {
    const { everyMs, retryMs, refusedMs } = this.#times
    const later = { ready: everyMs, 'broken-off': retryMs, refused: refusedMs }[end]
    this.#orders.delete(keyOf(pair))
    this.#notBeforeMs.set(keyOf(pair), nowMs + later)
  }

  /** One that is seen for the first time has to be calm first, too. */
  #fromMs(pair: Pair, nowMs: number): number {
    if (!this.#busyAtMs.has(pair.guestId)) this.busy(pair.guestId, nowMs)
    const calmAtMs = (this.#busyAtMs.get(pair.guestId) ?? nowMs) + this.#times.calmMs
    return Math.max(calmAtMs, this.#notBeforeMs.get(keyOf(pair)) ?? calmAtMs)
  }
}

export function keyOf({ guestId, dockId }: Pair): string {
  return `${guestId} ${dockId}`
}

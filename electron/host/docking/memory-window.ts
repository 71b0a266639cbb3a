/**
 * How much of the memory stream may be on its way. What is under way when the guest stops must still arrive before
 * it runs again, and QEMU takes what it could hand over for what has arrived: a large window makes it believe
 * in a faster link and stop the guest too early. A small one leaves a fast link idle whenever one of the two hosts
 * is late. So the window follows the rate: what crosses in `slackMs`, and in a round trip. Pure.
 */
import type { FlowStats } from '../../docks/flow.ts'

/** How late the two hosts together may be without the link running dry; also what it adds to the freeze at most. */
const slackMs = 40
const leastBytes = 256 * 1024
const mostBytes = 16 * 1024 * 1024
/** A moment of silence must not make the window small: the rate it follows falls by this factor a reading. */
const decay = 0.7

export class MemoryWindow {
  #last: { atMs: number; ackedBytes: number } | null = null
  #bytesPerMs = 0
  /** The round trip without the queues that the stream itself makes. */
  #leastRttMs = Number.POSITIVE_INFINITY

  /** @returns the window in bytes; null while nothing is known yet */
  next(atMs: number, { ackedBytes, rttMs }: Pick<FlowStats, 'ackedBytes' | 'rttMs'>): number | null {
    const last = this.#last
    this.#last = { atMs, ackedBytes }
    this.#leastRttMs = Math.min(this.#leastRttMs, rttMs ?? Number.POSITIVE_INFINITY)
    if (last === null || atMs <= last.atMs) return null
    this.#bytesPerMs = Math.max((ackedBytes - last.ackedBytes) / (atMs - last.atMs), this.#bytesPerMs * decay)
    const roundTripMs = Number.isFinite(this.#leastRttMs) ? this.#leastRttMs : 0
    const wanted = Math.round(this.#bytesPerMs * (slackMs + roundTripMs))
    return Math.min(mostBytes, Math.max(leastBytes, wanted))
  }
}

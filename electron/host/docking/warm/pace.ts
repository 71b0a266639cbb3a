/**
 * How fast a guest's memory, and its files, go to another dock while nobody waits for them. Promises no more than a share
 * of what the link carries, less while other work is under way, and to give way within a look or two when the guest is
 * slowed by more than 2 %, or when what is sent begins to queue on the link: others use it. Pure.
 */

/** What is known at one instant. */
export interface PaceSample {
  atMs: number
  /** What the other side has taken so far, in bytes. */
  linkBytes: number
  /** Round trip of the channel, its queues included, in ms; null where it is not known. */
  rttMs: number | null
  /** Share by which the guest is slowed; 0.02 is 2 %. */
  slowdown: number
  /** Other moves, checkpoints or restores are under way on this PC. */
  isBusy: boolean
}

/** Of a link that is not known: busy Wi-Fi. */
const unknownLinkBytesPerS = 5e6
const linkShare = 0.3
/** Of the same while other work is under way. */
const busyShare = 0.05
const mostSlowdown = 0.02
/** LEDBAT (RFC 6817) lets a queue of 100 ms build up; ours is a neighbour of screens and calls. */
const mostQueueMs = 60
/** Of QEMU's stream. Pages that are there already cost the link nothing, but reading and hashing them does. */
const paces = { firstBytesPerS: 8e6, leastBytesPerS: 2e6, mostBytesPerS: 64e6 }

export class WarmPace {
  readonly #linkBytesPerS: number
  #last: { atMs: number; linkBytes: number } | null = null
  #restingRttMs = Number.POSITIVE_INFINITY
  #bytesPerS: number = paces.firstBytesPerS

  /** @param linkBytesPerS what the link was seen to carry; null where it is not known */
  constructor(linkBytesPerS: number | null) {
    this.#linkBytesPerS = linkBytesPerS ?? unknownLinkBytesPerS
  }

  /** What files may take of the link, in bytes a second. */
  budget(isBusy: boolean): number {
    return this.#linkBytesPerS * (isBusy ? busyShare : linkShare)
  }

  /** The pace of QEMU's stream from here on, in bytes a second. */
  get bytesPerS(): number {
    return Math.round(this.#bytesPerS)
  }

  see(sample: PaceSample): number {
    const { atMs, linkBytes, rttMs, slowdown, isBusy } = sample
    const last = this.#last
    this.#last = { atMs, linkBytes }
    if (rttMs !== null) this.#restingRttMs = Math.min(this.#restingRttMs, rttMs)
    if (last === null) return this.bytesPerS
    const rate = ((linkBytes - last.linkBytes) * 1000) / Math.max(1, atMs - last.atMs)
    const isQueueing = rttMs !== null && rttMs > this.#restingRttMs + mostQueueMs
    const overBudget = rate / this.budget(isBusy)
    if (slowdown > mostSlowdown || isQueueing) this.#scale(0.5)
    else if (overBudget > 1) this.#scale(Math.max(0.25, 1 / overBudget))
    else this.#scale(Math.min(1.5, 1 / Math.max(overBudget, 0.01)))
    return this.bytesPerS
  }

  #scale(by: number): void {
    const { leastBytesPerS, mostBytesPerS } = paces
    this.#bytesPerS = Math.min(mostBytesPerS, Math.max(leastBytesPerS, this.#bytesPerS * by))
  }
}

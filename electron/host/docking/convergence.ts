/**
 * When QEMU is to stop the guest, and how hard to slow it, while its memory crosses by the page codec. QEMU takes what
 * the codec takes from it for what has crossed: a page that the other side has costs the link nothing, so that QEMU
 * believes in a link a hundred times as fast and would stop the guest with seconds of memory left. Promises a limit
 * under which what is left crosses in `targetMs`, as far as the last moments tell. Pure; relies on QEMU's rule: the guest
 * is stopped when `remaining < bandwidth × downtime-limit` [migration_update_counters in migration/migration.c].
 */

import { BestRate } from './link-rates.ts'

/** What is known at one instant; counters since the start. */
export interface CrossingSample {
  atMs: number
  /** Rounds over memory that QEMU has begun. */
  rounds: number
  /** What QEMU has sent, and what it believes the link to carry, in bytes a second; 0 before it knows. */
  transferredBytes: number
  believedBytesPerS: number
  /** Bytes of the stream in batches that the codec has sent. */
  framedBytes: number
  /** What these batches came to. */
  sentBytes: number
  /** What the far side has taken of that. */
  ackedBytes: number
}

export interface CrossingOptions {
  /** How long the guest may stand still for what is left; and when it has not come to that in a few rounds. */
  targetMs: number
  laterTargetMs: number
  /** What the link carries; null where it is not known. */
  linkBytesPerS: number | null
}

/** While nothing is known of the pages that change, they may not compress at all. */
const unknownCost = 1
const slowLinkBytesPerS = 5e6
/** Costs over shorter stretches of the stream are chance. */
const tellingBytes = 512 * 1024
/** The link's rate over shorter times is that of buffers. */
const tellingMs = 250
/** QEMU measures anew every 100 ms: for so long the highest of what it believed counts. */
const believedMs = 400
const laterRounds = 4
const limits = { leastMs: 1, mostMs: 2000 }

export class Crossing {
  readonly #options: CrossingOptions
  /** How much had been sent when the first round was over: the codec is behind QEMU by what is in between. */
  #firstRoundBytes: number | null = null
  /** From where on the pages that cross are such that have changed. */
  #changedSince: CrossingSample | null = null
  readonly #linkRate = new BestRate(tellingMs)
  #believed: { atMs: number; bytesPerS: number }[] = []

  constructor(options: CrossingOptions) {
    this.#options = options
    this.#linkRate.bytesPerS = options.linkBytesPerS ?? slowLinkBytesPerS
  }

  /** Before anything has crossed. @param believedBytesPerS the most that QEMU may come to believe */
  firstLimitMs(believedBytesPerS: number): number {
    return this.#limitFor(this.#options.targetMs, believedBytesPerS, unknownCost)
  }

  /** @returns the downtime limit to set now, in milliseconds; null while nothing new is known */
  see(sample: CrossingSample): number | null {
    // A link that carries more than it was thought to, does.
    this.#linkRate.see(sample.ackedBytes, sample.atMs)
    const believed = this.#highestBelief(sample)
    if (sample.rounds < 2 || believed === 0) return null
    this.#firstRoundBytes ??= sample.transferredBytes
    if (sample.framedBytes >= this.#firstRoundBytes) this.#changedSince ??= sample
    const { targetMs, laterTargetMs } = this.#options
    const target = sample.rounds >= laterRounds ? laterTargetMs : targetMs
    return this.#limitFor(target, believed, this.#costNow(sample))
  }

  #limitFor(targetMs: number, believedBytesPerS: number, cost: number): number {
    const perByteS = cost / this.#linkRate.bytesPerS
    const limitMs = targetMs / (believedBytesPerS * perByteS)
    return Math.round(Math.min(limits.mostMs, Math.max(limits.leastMs, limitMs)))
  }

  /** What a byte of a page that has changed costs on the link. */
  #costNow(to: CrossingSample): number {
    const from = this.#changedSince
    if (from === null || to.framedBytes - from.framedBytes < tellingBytes) return unknownCost
    const cost = (to.sentBytes - from.sentBytes) / (to.framedBytes - from.framedBytes)
    return Math.max(0.02, Math.min(1, cost))
  }

  #highestBelief({ atMs, believedBytesPerS }: CrossingSample): number {
    this.#believed = this.#believed.filter((each) => atMs - each.atMs < believedMs)
    this.#believed.push({ atMs, bytesPerS: believedBytesPerS })
    return Math.max(...this.#believed.map(({ bytesPerS }) => bytesPerS))
  }
}

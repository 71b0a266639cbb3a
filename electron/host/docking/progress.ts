/**
 * Progress of a migration as people read it: rate, time left as a range, a chart of limited length. Pure;
 * the source feeds it with what QEMU and the channels count.
 */
import type { Progress, ProgressSample, TimeRange } from '../../../shared/models/operation.ts'

/** What was counted at one instant. */
export interface Reading {
  atMs: number
  /** Bytes of the guest that have arrived, over all phases. */
  doneBytes: number
  /** Bytes known to be still to send, over all phases. */
  leftBytes: number
  dirtyRateBytesPerS: number
}

/** The longest chart; a longer one is thinned to half. */
export const maxSamples = 120
const smoothing = 0.35

export class ProgressTracker {
  readonly #startedAtMs: number
  #last: Reading | null = null
  #rateBytesPerS = 0
  #samples: ProgressSample[] = []
  #sampleEveryMs = 200

  constructor(startedAtMs: number) {
    this.#startedAtMs = startedAtMs
  }

  get samples(): ProgressSample[] {
    return this.#samples
  }

  /** Takes a reading. @returns the progress to show */
  take(reading: Reading): Progress {
    const last = this.#last
    if (last === null || reading.atMs > last.atMs) {
      if (last !== null) this.#rateBytesPerS = smoothedRate(this.#rateBytesPerS, last, reading)
      this.#last = reading
      this.#addSample(reading)
    }
    return {
      doneBytes: reading.doneBytes,
      totalBytes: reading.doneBytes + reading.leftBytes,
      rateBytesPerS: Math.round(this.#rateBytesPerS),
      timeLeft: timeLeft(reading.leftBytes, this.#rateBytesPerS, reading.dirtyRateBytesPerS),
    }
  }

  #addSample(reading: Reading): void {
    const atMs = reading.atMs - this.#startedAtMs
    const previous = this.#samples.at(-1)
    if (previous && atMs - previous.atMs < this.#sampleEveryMs) return
    const sample = {
      atMs: Math.round(atMs),
      rateBytesPerS: Math.round(this.#rateBytesPerS),
      dirtyRateBytesPerS: Math.round(reading.dirtyRateBytesPerS),
    }
    this.#samples = [...this.#samples, sample]
    if (this.#samples.length > maxSamples) {
      this.#samples = this.#samples.filter((_, index) => index % 2 === 0)
      this.#sampleEveryMs *= 2
    }
  }
}

function smoothedRate(previous: number, last: Reading, now: Reading): number {
  const rate = (Math.max(0, now.doneBytes - last.doneBytes) * 1000) / (now.atMs - last.atMs)
  return previous === 0 ? rate : previous + (rate - previous) * smoothing
}

/**
 * The time in which the rest crosses the link, from the present rate to what dirtying may add. Null while there
 * is no rate. A guest that dirties as fast as the link carries has no honest upper end: it is capped at tenfold.
 */
export function timeLeft(
  leftBytes: number,
  rateBytesPerS: number,
  dirtyRateBytesPerS: number,
): TimeRange | null {
  if (rateBytesPerS <= 0) return leftBytes === 0 ? { minMs: 0, maxMs: 0 } : null
  const minMs = (leftBytes / rateBytesPerS) * 1000
  const net = Math.max(rateBytesPerS - dirtyRateBytesPerS, rateBytesPerS / 10)
  return { minMs, maxMs: (leftBytes / net) * 1000 * 1.15 }
}

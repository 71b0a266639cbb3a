/**
 * Token buckets by key. Promises bounded memory whatever keys come: a full bucket is the same as none and is
 * forgotten; with too many keys at once, new ones are refused. Relies on a monotonic clock.
 */
import type { Clock } from '../platform/clock.ts'

const maxKeys = 4096
const lookThroughEveryMs = 1000

interface Bucket {
  tokens: number
  atMs: number
}

export class RateLimit {
  readonly #count: number
  readonly #periodMs: number
  readonly #clock: Clock
  readonly #buckets = new Map<string, Bucket>()
  #lookedThroughAtMs = 0

  /** Allows `count` at once and as many in each `periodMs` after. */
  constructor(count: number, periodMs: number, clock: Clock) {
    this.#count = count
    this.#periodMs = periodMs
    this.#clock = clock
  }

  /** Takes a token. @returns false when there is none */
  take(key: string): boolean {
    const bucket = this.#fill(key)
    if (bucket.tokens < 1) return false
    bucket.tokens -= 1
    if (!this.#buckets.has(key)) {
      if (this.#buckets.size >= maxKeys) this.#forgetFull()
      if (this.#buckets.size >= maxKeys) return false
      this.#buckets.set(key, bucket)
    }
    return true
  }

  /** True when `take` would be refused; takes nothing. */
  exhausted(key: string): boolean {
    return this.#buckets.has(key) && this.#fill(key).tokens < 1
  }

  #fill(key: string): Bucket {
    const nowMs = this.#clock.monotonicMs()
    const bucket = this.#buckets.get(key) ?? { tokens: this.#count, atMs: nowMs }
    const gained = ((nowMs - bucket.atMs) / this.#periodMs) * this.#count
    bucket.tokens = Math.min(this.#count, bucket.tokens + gained)
    bucket.atMs = nowMs
    return bucket
  }

  #forgetFull(): void {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#lookedThroughAtMs < lookThroughEveryMs) return
    this.#lookedThroughAtMs = nowMs
    for (const key of this.#buckets.keys()) {
      if (this.#fill(key).tokens >= this.#count) this.#buckets.delete(key)
    }
  }
}

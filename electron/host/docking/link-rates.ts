/**
 * How fast the link to each dock is: from the last move, else from a short probe over the control channel. For
 * estimates, and to choose how memory crosses; nothing that must be right depends on it.
 */
import type { Clock } from '../../platform/clock.ts'
import type { PeerCalls } from '../peer-calls.ts'

const probeBytes = 512 * 1024
/** Enough for what is let through at once, and over quickly on a link where it does not matter. */
const mostProbes = 6
const tellingMs = 120
/** The best rate of a stream, over stretches of a moment. Pure. */
export class BestRate {
  readonly #stretchMs: number
  #from: { bytes: number; atMs: number } | null = null
  bytesPerS = 0

  /** @param stretchMs shorter ones say more about buffers than about the link */
  constructor(stretchMs: number) {
    this.#stretchMs = stretchMs
  }

  /** @param bytes that have arrived so far */
  see(bytes: number, atMs: number): void {
    const from = this.#from
    if (from !== null && atMs - from.atMs < this.#stretchMs) return
    this.#from = { bytes, atMs }
    if (from === null) return
    this.bytesPerS = Math.max(this.bytesPerS, ((bytes - from.bytes) * 1000) / (atMs - from.atMs))
  }
}

export class LinkRates {
  readonly #calls: PeerCalls
  readonly #clock: Clock
  readonly #bytesPerS = new Map<string, number>()

  constructor(calls: PeerCalls, clock: Clock) {
    this.#calls = calls
    this.#clock = clock
  }

  /** What a move was seen to carry at its best. @param isFull whether it took all that the link gives */
  learn(dockId: string, bytesPerS: number, isFull: boolean): void {
    if (isFull || bytesPerS > (this.#bytesPerS.get(dockId) ?? 0)) this.#bytesPerS.set(dockId, bytesPerS)
  }

  /** Bytes per second and round trip in milliseconds; the rate is null where it cannot be measured now. */
  async measure(dockId: string): Promise<{ bytesPerS: number | null; rttMs: number }> {
    const rttMs = this.#calls.net.peers().find((peer) => peer.id === dockId)?.linkRttMs ?? 5
    const known = this.#bytesPerS.get(dockId)
    if (known !== undefined) return { bytesPerS: known, rttMs }
    try {
      const bytesPerS = await this.#probe(dockId, rttMs)
      this.#bytesPerS.set(dockId, bytesPerS)
      return { bytesPerS, rttMs }
    } catch {
      return { bytesPerS: null, rttMs }
    }
  }

  /**
   * The same, for a choice that would be a bad one if the PC had changed from a cable to Wi-Fi since: what is known to be
   * faster than `fastBytesPerS` is measured again.
   */
  async confirm(dockId: string, fastBytesPerS: number): Promise<{ bytesPerS: number | null; rttMs: number }> {
    if ((this.#bytesPerS.get(dockId) ?? 0) >= fastBytesPerS) this.#bytesPerS.delete(dockId)
    return await this.measure(dockId)
  }

  /** A few pieces, one after the other, until they tell: what shapes a link may let the first ones through at once. */
  async #probe(dockId: string, rttMs: number): Promise<number> {
    const padding = 'x'.repeat(probeBytes)
    const took: number[] = []
    let spentMs = 0
    while (took.length < mostProbes && spentMs < tellingMs) {
      const startedMs = this.#clock.monotonicMs()
      await this.#calls.ask(dockId, 'link.probe', { padding }, { timeoutMs: 5000 })
      const tookMs = this.#clock.monotonicMs() - startedMs
      spentMs += tookMs
      took.push(Math.max(1, tookMs - rttMs))
    }
    const telling = (took.length > 1 ? took.slice(1) : took).sort((a, b) => a - b)
    return (probeBytes * 1000) / (telling[Math.floor(telling.length / 2)] ?? 1)
  }
}

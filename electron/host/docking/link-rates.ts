/**
 * How fast the link to each dock is: from the last move, else from a short probe over the control channel. For
 * estimates only; nothing depends on it.
 */
import type { MigrationResult } from '../../../shared/models/operation.ts'
import type { Clock } from '../../platform/clock.ts'
import type { PeerCalls } from '../peer-calls.ts'

const probeBytes = 512 * 1024
/** A move shorter than this says more about its fixed costs than about the link. */
const minTellingBytes = 16 * 1024 * 1024

export class LinkRates {
  readonly #calls: PeerCalls
  readonly #clock: Clock
  readonly #bytesPerS = new Map<string, number>()

  constructor(calls: PeerCalls, clock: Clock) {
    this.#calls = calls
    this.#clock = clock
  }

  learn(dockId: string, result: MigrationResult): void {
    if (result.wireBytes < minTellingBytes || result.totalMs === 0) return
    this.#bytesPerS.set(dockId, (result.wireBytes * 1000) / result.totalMs)
  }

  /** Bytes per second and round trip in milliseconds; the rate is null where it cannot be measured now. */
  async measure(dockId: string): Promise<{ bytesPerS: number | null; rttMs: number }> {
    const rttMs = this.#calls.net.peers().find((peer) => peer.id === dockId)?.linkRttMs ?? 5
    const known = this.#bytesPerS.get(dockId)
    if (known !== undefined) return { bytesPerS: known, rttMs }
    try {
      const startedMs = this.#clock.monotonicMs()
      await this.#calls.ask(dockId, 'link.probe', { padding: 'x'.repeat(probeBytes) }, { timeoutMs: 5000 })
      const tookMs = Math.max(1, this.#clock.monotonicMs() - startedMs - rttMs)
      const bytesPerS = (probeBytes * 1000) / tookMs
      this.#bytesPerS.set(dockId, bytesPerS)
      return { bytesPerS, rttMs }
    } catch {
      return { bytesPerS: null, rttMs }
    }
  }
}

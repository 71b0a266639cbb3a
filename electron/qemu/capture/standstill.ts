/** Times a standstill by QEMU's own clock: from its STOP to its RESUME. */
import type { QmpEvent } from '../qmp/messages.ts'
import type { QmpSession } from '../qmp/session.ts'

export class StandstillWatch {
  #stoppedAtMs: number | null = null
  #resumedAtMs: number | null = null
  /** Stops listening. */
  readonly end: () => void

  /** From now on; the first stop counts, and the first resume after it. */
  constructor(qmp: QmpSession) {
    this.end = qmp.onEvent((event) => this.#onEvent(event))
  }

  /** Milliseconds since 1970; null before. */
  get stoppedAtMs(): number | null {
    return this.#stoppedAtMs
  }

  /** How long the guest stood still; null while it has not gone on. */
  get lengthMs(): number | null {
    if (this.#stoppedAtMs === null || this.#resumedAtMs === null) return null
    return Math.max(0, this.#resumedAtMs - this.#stoppedAtMs)
  }

  #onEvent({ name, timeMs }: QmpEvent): void {
    if (name === 'STOP') this.#stoppedAtMs ??= timeMs
    if (name === 'RESUME' && this.#stoppedAtMs !== null) this.#resumedAtMs ??= timeMs
  }
}

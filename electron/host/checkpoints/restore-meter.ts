/**
 * Counts what of a restored guest is here: its memory by what the vault fetched, its disks by what QEMU has copied. The
 * bytes are those that are in the checkpoint: of a sparse disk of 100 GB with 1 GB in it, 1 GB is still to come.
 */
import type { Progress } from '../../../shared/models/operation.ts'
import type { Clock } from '../../platform/clock.ts'
import type { CheckpointFacts, WorkProgress } from '../../vault/service/vault-service.ts'
import { ProgressTracker } from '../docking/progress.ts'

export class RestoreMeter {
  readonly #clock: Clock
  readonly #tracker: ProgressTracker
  readonly #memoryBytes: number
  /** By node name: what of it is in the checkpoint, and how much of the disk is here, 0 to 1. */
  readonly #disks = new Map<string, { dataBytes: number; fraction: number }>()
  #memoryFraction = 0

  /** @param missingDisks those of which parts are still to come; `hasMemory`: whether that is still to come */
  constructor(clock: Clock, facts: CheckpointFacts, missingDisks: readonly string[], hasMemory: boolean) {
    this.#clock = clock
    this.#tracker = new ProgressTracker(clock.monotonicMs())
    this.#memoryBytes = hasMemory ? facts.memoryDataBytes : 0
    for (const { nodeName, dataBytes } of facts.disks) {
      if (missingDisks.includes(nodeName)) this.#disks.set(nodeName, { dataBytes, fraction: 0 })
    }
  }

  memory({ doneBytes, totalBytes }: WorkProgress): void {
    const whole = totalBytes ?? this.#memoryBytes
    if (whole > 0) this.#memoryFraction = Math.min(1, doneBytes / whole)
  }

  memoryDone(): void {
    this.#memoryFraction = 1
  }

  disk(nodeName: string, fraction: number): void {
    const disk = this.#disks.get(nodeName)
    // A job that was started again counts from the beginning, over what is here already.
    if (disk !== undefined) disk.fraction = Math.max(disk.fraction, Math.min(1, fraction))
  }

  read(): Progress {
    const disks = [...this.#disks.values()]
    const total = disks.reduce((sum, { dataBytes }) => sum + dataBytes, this.#memoryBytes)
    const done = disks.reduce(
      (sum, { dataBytes, fraction }) => sum + dataBytes * fraction,
      this.#memoryBytes * this.#memoryFraction,
    )
    const doneBytes = Math.round(done)
    const atMs = this.#clock.monotonicMs()
    return this.#tracker.take({ atMs, doneBytes, leftBytes: total - doneBytes, dirtyRateBytesPerS: 0 })
  }
}

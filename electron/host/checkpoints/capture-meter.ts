/** Progress of a checkpoint that is being made, told at each new phase and at most five times a second. */
import type { CheckpointPhase, Progress } from '../../../shared/models/operation.ts'
import type { Clock } from '../../platform/clock.ts'
import { ProgressTracker } from '../docking/progress.ts'

/** What is told of a checkpoint that is being made. */
export interface CaptureReport {
  phase: CheckpointPhase
  progress: Progress
  /** Once it is known for how long the guest stood still. */
  freezeMs: number | null
}

const tellEveryMs = 200

export class CaptureMeter {
  readonly #clock: Clock
  readonly #tell: (report: CaptureReport) => void
  readonly #tracker: ProgressTracker
  readonly #estimateBytes: number
  #phase: CheckpointPhase = 'freezing'
  #memoryBytes = 0
  #diskBytes = 0
  #freezeMs: number | null = null
  #toldAtMs = Number.NEGATIVE_INFINITY

  /** @param estimateBytes of guest state to read, as far as is known beforehand */
  constructor(clock: Clock, estimateBytes: number, tell: (report: CaptureReport) => void) {
    this.#clock = clock
    this.#tell = tell
    this.#estimateBytes = estimateBytes
    this.#tracker = new ProgressTracker(clock.monotonicMs())
  }

  get freezeMs(): number | null {
    return this.#freezeMs
  }

  phase(phase: CheckpointPhase): void {
    if (phase === this.#phase) return
    this.#phase = phase
    this.#report()
  }

  frozen(freezeMs: number | null): void {
    this.#freezeMs = freezeMs
    this.#report()
  }

  /** Of guest state read so far. */
  read(memoryBytes: number, diskBytes: number): void {
    this.#memoryBytes = Math.max(this.#memoryBytes, memoryBytes)
    this.#diskBytes = Math.max(this.#diskBytes, diskBytes)
    if (this.#phase === 'freezing' && memoryBytes > 0) this.phase('reading-memory')
    else if (this.#clock.monotonicMs() - this.#toldAtMs >= tellEveryMs) this.#report()
  }

  #report(): void {
    const atMs = this.#clock.monotonicMs()
    this.#toldAtMs = atMs
    const doneBytes = this.#memoryBytes + this.#diskBytes
    // What a disk has in it is known only when it has been read.
    const leftBytes = this.#phase === 'finishing' ? 0 : Math.max(0, this.#estimateBytes - doneBytes)
    const progress = this.#tracker.take({ atMs, doneBytes, leftBytes, dirtyRateBytesPerS: 0 })
    this.#tell({ phase: this.#phase, progress, freezeMs: this.#freezeMs })
  }
}

/**
 * Counts what a move has sent and has to send, over all its phases, and tells the operation. Promises that bytes
 * done never shrink. Relies on QEMU's own counters for memory and disk.
 */
import type { MigrationPhase, MigrationResult, Operation } from '../../../shared/models/operation.ts'
import type { FlowStats } from '../../docks/windowed-joint.ts'
import type { Clock } from '../../platform/clock.ts'
import type { MigrationProgress } from '../../qemu/migration.ts'
import type { RunningOperation } from '../operations.ts'
import type { CheckAnswer, GuestOffer } from './messages.ts'
import { ProgressTracker } from './progress.ts'
import type { Relay } from './relay.ts'

type MigrationWork = Extract<Operation['work'], { kind: 'migration' }>

export class DepartureMeter {
  readonly #clock: Clock
  readonly #operation: RunningOperation
  readonly #startedMs: number
  readonly #tracker: ProgressTracker
  /** Bytes of each missing file, and how many of them are sent. */
  readonly #files = new Map<string, { sizeBytes: number; doneBytes: number }>()
  readonly #diskRelays: Relay[] = []
  /**
   * Of what the guest has, not of what crosses: with the page codec these are not the same. Once memory has begun to
   * cross it is counted to its end as it was, though the codec may have stepped aside.
   */
  #countsByGuest = false
  #disk = { doneBytes: 0, totalBytes: 0 }
  #memory = { doneBytes: 0, leftBytes: 0, wireBytes: 0, dirtyRateBytesPerS: 0, rounds: 0, throttlePercent: 0 }

  constructor(clock: Clock, operation: RunningOperation) {
    this.#clock = clock
    this.#operation = operation
    this.#startedMs = clock.monotonicMs()
    this.#tracker = new ProgressTracker(this.#startedMs)
  }

  /** How memory crosses from here on. */
  transfer(transfer: NonNullable<MigrationWork['transfer']>): void {
    if (this.#memory.doneBytes === 0) this.#countsByGuest = transfer === 'pages'
    this.#publish({ transfer })
  }

  phase(phase: MigrationPhase): void {
    this.#publish({ phase })
  }

  missing(offer: GuestOffer, answer: CheckAnswer): void {
    const ids = new Set([...answer.missingLayers, ...answer.missingBootFiles])
    for (const { id, sizeBytes } of [...offer.layers, ...offer.bootFiles]) {
      if (ids.has(id)) this.#files.set(id, { sizeBytes, doneBytes: 0 })
    }
    this.#disk.totalBytes = offer.topBytes
    this.#memory.leftBytes = offer.definition.memoryBytes
  }

  get missingCount(): number {
    return this.#files.size
  }

  isMissing(id: string): boolean {
    return this.#files.has(id)
  }

  fileProgress(id: string, doneBytes: number): void {
    const file = this.#files.get(id)
    if (file !== undefined) file.doneBytes = doneBytes
    this.#publish({})
  }

  addDisk(relay: Relay): void {
    this.#diskRelays.push(relay)
  }

  diskProgress(jobs: readonly { doneBytes: number; totalBytes: number }[]): void {
    this.#disk = {
      doneBytes: jobs.reduce((sum, job) => sum + job.doneBytes, 0),
      totalBytes: jobs.reduce((sum, job) => sum + job.totalBytes, 0),
    }
    this.#publish({})
  }

  memoryProgress(progress: MigrationProgress, stats: FlowStats): void {
    this.#memory = {
      doneBytes: this.#countsByGuest ? progress.ramTransferredBytes : stats.ackedBytes,
      // Until its first round QEMU does not say how much there is; then the guest's memory is the best guess.
      leftBytes: progress.dirtySyncCount === 0 ? this.#memory.leftBytes : progress.ramRemainingBytes,
      wireBytes: stats.sentBytes,
      dirtyRateBytesPerS: progress.dirtyRateBytesPerSecond,
      rounds: progress.dirtySyncCount,
      throttlePercent: progress.throttlePercent,
    }
    this.#publish({})
  }

  memoryDone(progress: MigrationProgress, stats: FlowStats): void {
    const wireBytes = Math.max(this.#memory.wireBytes, stats.sentBytes)
    this.#memory = {
      ...this.#memory,
      doneBytes: Math.max(this.#memory.doneBytes, progress.ramTransferredBytes),
      wireBytes,
      leftBytes: 0,
      rounds: progress.dirtySyncCount,
    }
    this.#publish({})
  }

  /** @param downtimeMs from the guest's stop here to its run there */
  result(downtimeMs: number): MigrationResult {
    const fileBytes = sum(this.#files, (file) => file.doneBytes)
    const diskBytes = fileBytes + this.#diskRelays.reduce((bytes, relay) => bytes + relay.bytes(), 0)
    const result = {
      totalMs: Math.round(this.#clock.monotonicMs() - this.#startedMs),
      downtimeMs: Math.round(downtimeMs),
      wireBytes: diskBytes + this.#memory.wireBytes,
      memoryBytes: this.#memory.wireBytes,
      diskBytes,
      rounds: this.#memory.rounds,
    }
    // What the last reading left over has crossed since.
    this.#disk.totalBytes = this.#disk.doneBytes
    this.#memory.leftBytes = 0
    this.#publish({ result })
    return result
  }

  #publish(change: Partial<MigrationWork>): void {
    const { work } = this.#operation.view
    if (work.kind !== 'migration') return
    const files = sum(this.#files, (file) => file.doneBytes)
    const filesLeft = sum(this.#files, (file) => file.sizeBytes - file.doneBytes)
    const progress = this.#tracker.take({
      atMs: this.#clock.monotonicMs(),
      doneBytes: files + this.#disk.doneBytes + this.#memory.doneBytes,
      leftBytes:
        filesLeft + Math.max(0, this.#disk.totalBytes - this.#disk.doneBytes) + this.#memory.leftBytes,
      dirtyRateBytesPerS: this.#memory.dirtyRateBytesPerS,
    })
    this.#operation.update({
      progress,
      work: {
        ...work,
        dirtyRateBytesPerS: this.#memory.dirtyRateBytesPerS,
        rounds: this.#memory.rounds,
        throttlePercent: this.#memory.throttlePercent,
        samples: this.#tracker.samples,
        ...change,
      },
    })
  }
}

function sum<T>(map: ReadonlyMap<string, T>, bytes: (item: T) => number): number {
  let total = 0
  for (const item of map.values()) total += bytes(item)
  return total
}

/**
 * Makes checkpoints, each as an operation that holds its guest until all is kept on this PC. Promises that one which is
 * part of something else, a move or a restore, is cancelled with it and never holds it up by failing unless it is
 * asked to. Relies on `capture.ts` for the work and on `uploads.ts` for what comes after.
 */
import { toWdockError, type WdockError } from '../../../shared/errors/index.ts'
import type { Checkpoint, CheckpointLabel, CheckpointReason } from '../../../shared/models/checkpoint.ts'
import type { Operation } from '../../../shared/models/operation.ts'
import type { Guests } from '../guests/guests.ts'
import type { LocalGuest } from '../guests/local-guest.ts'
import type { Operations, RunningOperation } from '../operations.ts'
import { assertCanBeCaptured, type CaptureParts, takeCheckpoint } from './capture.ts'
import type { CaptureReport } from './capture-meter.ts'

export interface MakerParts extends CaptureParts {
  guests: Guests
  operations: Operations
}

export interface MadeCheckpoint {
  operationId: string
  /** Null when it is kept; never rejects. */
  ended: Promise<WdockError | null>
}

type CheckpointWork = Extract<Operation['work'], { kind: 'checkpoint' }>

export class CheckpointMaker {
  readonly #parts: MakerParts

  constructor(parts: MakerParts) {
    this.#parts = parts
  }

  /**
   * Starts to make a checkpoint of a guest of this dock, running, paused or off. The operation ends when all of it is
   * kept on this PC.
   * @throws guest.not_found, guest.busy, guest.wrong_state, vault.none, vault.opening, why the vault does not open
   */
  make(guestId: string, reason: CheckpointReason, label: Partial<CheckpointLabel> = {}): MadeCheckpoint {
    const { guests, operations, desk, random } = this.#parts
    const guest = guests.get(guestId)
    desk.opened()
    assertCanBeCaptured(guest)
    const captureId = random.hex(16)
    const { operation, ended } = operations.run(
      { id: random.uuid(), guestId, guestName: guest.name, work: newWork(captureId, reason) },
      async (running) => {
        const { work } = running.view
        if (work.kind !== 'checkpoint') return
        const checkpoint = await takeCheckpoint(this.#parts, guest, captureId, wantedOf(reason, label), {
          operationId: running.id,
          signal: running.signal,
          tell: (report) => running.update(told(work, report)),
        })
        running.update({ work: finished(work, checkpoint) })
      },
    )
    return { operationId: operation.id, ended }
  }

  /**
   * Keeps the present state of a guest as a part of the operation that holds it. @param tell gets its progress
   * @throws why it could not be kept; host.cancelled when the operation was cancelled
   */
  async makeWithin(
    holder: RunningOperation,
    guest: LocalGuest,
    reason: CheckpointReason,
    tell: (report: CaptureReport) => void,
  ): Promise<Checkpoint> {
    const { id: operationId, signal } = holder
    const captureId = this.#parts.random.hex(16)
    const wanted = wantedOf(reason, {})
    return await takeCheckpoint(this.#parts, guest, captureId, wanted, { operationId, signal, tell })
  }

  /**
   * Makes a checkpoint before what an operation is about to do, beside it on the screen. Whether it succeeds or not,
   * the operation goes on: a failure is told, as an operation that failed.
   * @throws host.cancelled when the operation was cancelled
   */
  async makeBefore(holder: RunningOperation, guest: LocalGuest, reason: CheckpointReason): Promise<void> {
    const { operations, random, clock, log } = this.#parts
    const work = newWork(random.hex(16), reason)
    let view: Operation = {
      id: random.uuid(),
      guestId: guest.id,
      guestName: guest.name,
      // Faces show the newest operation of a guest, and that is the one this belongs to.
      startedAtMs: holder.view.startedAtMs - 1,
      state: { kind: 'running', cancellable: false },
      progress: { doneBytes: 0, totalBytes: null, rateBytesPerS: 0, timeLeft: null },
      work,
    }
    const show = (change: Partial<Operation>): void => {
      view = { ...view, ...change }
      operations.mirror(view)
    }
    try {
      show({})
      const checkpoint = await this.makeWithin(holder, guest, reason, (report) => show(told(work, report)))
      show({ state: { kind: 'done', endedAtMs: clock.nowMs() }, work: finished(work, checkpoint) })
    } catch (thrown) {
      const error = toWdockError(thrown)
      const endedAtMs = clock.nowMs()
      if (holder.signal.aborted || error.code === 'host.cancelled') {
        show({ state: { kind: 'cancelled', endedAtMs } })
        throw error
      }
      log.warn('a checkpoint beforehand failed', { guestId: guest.id, reason, error: error.toJSON() })
      show({ state: { kind: 'failed', endedAtMs, error: error.toJSON() } })
    }
  }
}

function newWork(captureId: string, reason: CheckpointReason): CheckpointWork {
  return { kind: 'checkpoint', checkpointId: captureId, reason, phase: 'freezing', freezeMs: null }
}

function told(work: CheckpointWork, { phase, freezeMs, progress }: CaptureReport) {
  return { progress, work: { ...work, phase, freezeMs } }
}

function finished(work: CheckpointWork, { id, freezeMs }: Checkpoint): CheckpointWork {
  return { ...work, phase: 'finishing', checkpointId: id, freezeMs }
}

function wantedOf(reason: CheckpointReason, label: Partial<CheckpointLabel>) {
  return { reason, label: { name: '', note: '', pinned: false, ...label } }
}

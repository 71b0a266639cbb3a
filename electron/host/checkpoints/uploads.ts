/**
 * Checkpoints on their way into the vault, as operations that people can follow. Such an operation holds no guest: its
 * guest may run, move and be checkpointed again; nor can it be cancelled, for the checkpoint is made, and deleting it
 * gives its upload up. Promises that an upload which is over within a second is not shown at all, that one which
 * ended well leaves the list, as the checkpoint itself says where it is, and that one which failed stays until it is
 * dismissed. Relies on the vault telling `upload.kept` for uploads that it found again.
 */
import type { ErrorShape } from '../../../shared/errors/index.ts'
import type { Checkpoint, CheckpointId } from '../../../shared/models/checkpoint.ts'
import type { Operation, OperationState } from '../../../shared/models/operation.ts'
import type { Clock } from '../../platform/clock.ts'
import type { VaultEvent, WorkProgress } from '../../vault/service/vault-service.ts'
import { ProgressTracker } from '../docking/progress.ts'
import type { Operations } from '../operations.ts'
import type { StateStore } from '../state-store.ts'
import type { VaultDesk } from './vault-desk.ts'

export interface UploadsOptions {
  desk: Pick<VaultDesk, 'onEvent' | 'state'>
  operations: Pick<Operations, 'mirror'>
  store: StateStore
  clock: Clock
}

interface Upload {
  checkpoint: Checkpoint
  startedAtMs: number
  sinceMs: number
  tracker: ProgressTracker
  /** As it was last shown; null while it is not. */
  shown: Operation | null
}

/** Anything that takes longer is shown. */
const showAfterMs = 1000
const showEveryMs = 200

export class Uploads {
  readonly #options: UploadsOptions
  /** By the vault's name for the work. */
  readonly #uploads = new Map<string, Upload>()
  readonly #stops: (() => void)[]

  constructor(options: UploadsOptions) {
    this.#options = options
    const { desk, store } = options
    this.#stops = [
      desk.onEvent((event) => this.#onEvent(event)),
      store.onFact((fact) => {
        if (fact.type === 'checkpoint.removed') this.#forgetCheckpoint(fact.checkpointId)
        if (fact.type === 'vault.changed' && fact.vault.kind !== 'ready') this.#forgetAll()
      }),
    ]
  }

  close(): void {
    for (const stop of this.#stops) stop()
  }

  #onEvent(event: VaultEvent): void {
    switch (event.type) {
      case 'upload.kept':
        this.#begin(event.captureId, event.checkpoint)
        break
      case 'upload.progress':
        this.#progress(event.captureId, event.progress)
        break
      case 'upload.published':
        this.#forget(event.captureId)
        break
      case 'upload.failed':
        this.#failed(event.captureId, event.error)
        break
      default:
    }
  }

  #begin(captureId: string, checkpoint: Checkpoint): void {
    const { clock } = this.#options
    const sinceMs = clock.monotonicMs()
    const tracker = new ProgressTracker(sinceMs)
    this.#uploads.set(captureId, { checkpoint, startedAtMs: clock.nowMs(), sinceMs, tracker, shown: null })
  }

  #progress(captureId: string, { doneBytes, totalBytes }: WorkProgress): void {
    const upload = this.#uploads.get(captureId)
    if (upload === undefined) return
    const atMs = this.#options.clock.monotonicMs()
    if (atMs - upload.sinceMs < (upload.shown === null ? showAfterMs : showEveryMs)) return
    upload.sinceMs = atMs
    const leftBytes = Math.max(0, (totalBytes ?? doneBytes) - doneBytes)
    const progress = upload.tracker.take({ atMs, doneBytes, leftBytes, dirtyRateBytesPerS: 0 })
    this.#show(captureId, upload, { kind: 'running', cancellable: false }, progress)
  }

  #failed(captureId: string, error: ErrorShape): void {
    const upload = this.#uploads.get(captureId)
    if (upload === undefined) return
    const endedAtMs = this.#options.clock.nowMs()
    this.#show(captureId, upload, { kind: 'failed', endedAtMs, error })
    this.#uploads.delete(captureId)
  }

  #show(
    captureId: string,
    upload: Upload,
    state: OperationState,
    progress = upload.shown?.progress ?? nothingYet,
  ): void {
    const { checkpoint, startedAtMs } = upload
    upload.shown = {
      id: uploadOperationId(captureId),
      guestId: checkpoint.guestId,
      guestName: checkpoint.guestName,
      startedAtMs,
      state,
      progress,
      work: {
        kind: 'checkpoint',
        checkpointId: checkpoint.id,
        reason: checkpoint.reason,
        phase: 'uploading',
        freezeMs: checkpoint.freezeMs,
      },
    }
    this.#options.operations.mirror(upload.shown)
  }

  #forgetCheckpoint(id: CheckpointId): void {
    for (const [captureId, { checkpoint }] of this.#uploads) if (checkpoint.id === id) this.#forget(captureId)
  }

  #forgetAll(): void {
    for (const captureId of [...this.#uploads.keys()]) this.#forget(captureId)
  }

  #forget(captureId: string): void {
    const upload = this.#uploads.get(captureId)
    this.#uploads.delete(captureId)
    if (upload === undefined || upload.shown === null) return
    this.#options.store.apply({ type: 'operation.removed', operationId: upload.shown.id })
  }
}

const nothingYet: Operation['progress'] = {
  doneBytes: 0,
  totalBytes: null,
  rateBytesPerS: 0,
  timeLeft: null,
}

export function uploadOperationId(captureId: string): string {
  return `upload-${captureId}`
}

/**
 * Gives a guest its disks back after a freeze: what it wrote meanwhile is copied from the overlay into the top layer while
 * it writes on, then QEMU makes the top layer its disk again, and the overlay goes. Promises that whatever dies at
 * whatever moment, QEMU, this host or the PC, nothing is lost that the guest was told is on its disk, and that any host
 * can call it again and goes on where it stopped. Relies on QEMU's jobs, which stand still when everything is
 * copied (`pending`) until they are told to go on (`job-finalize`).
 *
 * That standstill is what makes it safe. Once the guest writes to the top layer again, the overlay is out of date, and using
 * it at the next start would undo what the guest has written since. So while the job is pending and holds back the
 * guest's writes (its processor runs on), the overlay's file is renamed to say so, and the name is synced.
 */
import { rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fail, toWdockError, WdockError } from '../../shared/errors/index.ts'
import { fsFailure, syncFolder, systemErrorCode } from '../platform/atomic-file.ts'
import { leaveNote, readNote, removeNote } from '../qemu/capture/note.ts'
import { goOn } from '../qemu/capture/run-state.ts'
import { blockCommit, jobComplete, jobDismiss, jobFinalize, queryStatus, stop } from '../qemu/qmp/commands.ts'
import type { QmpSession } from '../qemu/qmp/session.ts'
import { endFrozenExport } from './frozen-export.ts'
import {
  closeOverlay,
  commitJobId,
  type FreezableDisk,
  type OverlayState,
  overlayFiles,
  overlayNode,
  overlayState,
  removeOverlayFiles,
} from './overlay.ts'

export interface ThawOptions {
  /**
   * How long a guest may keep the copy from catching up with its writes. After that it is stopped for the moment
   * that this takes. Default 3 s.
   */
  catchUpMs?: number
}

/**
 * Frozen disks, disks that are only prepared for it, disks half thawed by a host that died: afterwards the guest writes to
 * its top layers, and no overlay, job or export is left. Does nothing for others.
 * @throws disk.thaw_failed: the guest runs on with its overlay, which is used at its next start, or thawed by another
 * call; qemu.gone, qemu.silent
 */
export async function thawDisks(
  qmp: QmpSession,
  disks: readonly FreezableDisk[],
  options: ThawOptions = {},
): Promise<void> {
  await endFrozenExport(qmp)
  for (const disk of disks) await new Thaw(qmp, disk, options.catchUpMs ?? 3000).run()
}

/** Events wake it up; this is for one that was missed. */
const lookAgainMs = 250
const closeTries = 10

class Thaw {
  readonly #qmp: QmpSession
  readonly #disk: FreezableDisk
  readonly #catchUpMs: number
  readonly #jobId: string
  #hasStarted = false
  #askedAtMs: number | null = null
  #failure: string | null = null
  #letGoOn: (() => Promise<void>) | null = null

  constructor(qmp: QmpSession, disk: FreezableDisk, catchUpMs: number) {
    this.#qmp = qmp
    this.#disk = disk
    this.#catchUpMs = catchUpMs
    this.#jobId = commitJobId(disk.nodeName)
  }

  async run(): Promise<void> {
    try {
      await this.#bringBack()
    } catch (error) {
      throw thawFailure(error)
    } finally {
      await this.#letGoOn?.()
    }
    await this.#tidyUp()
  }

  /** Until the guest writes to its top layer. */
  async #bringBack(): Promise<void> {
    for (;;) {
      const listening = new AbortController()
      // Listening before looking: a change in between is not missed.
      const changed = this.#qmp
        .waitForEvent(({ name, data }) => name === 'JOB_STATUS_CHANGE' && data.id === this.#jobId, {
          timeoutMs: lookAgainMs,
          signal: listening.signal,
        })
        // Told by the next look, or the end of this one.
        .catch(() => {})
      try {
        const state = await overlayState(this.#qmp, this.#disk)
        if (state.job === null && state.kind !== 'in-use') return
        if (!(await this.#drive(state))) await changed
      } finally {
        listening.abort()
      }
    }
  }

  /** Does what comes next. @returns false when there is nothing to do but wait for the job */
  async #drive({ job }: OverlayState): Promise<boolean> {
    switch (job?.status) {
      case undefined:
        await this.#start()
        return true
      case 'ready':
        await this.#complete()
        return false
      case 'pending':
        await markOverlay(this.#disk, 'done')
        await jobFinalize(this.#qmp, this.#jobId)
        return true
      case 'concluded':
        this.#failure = job?.error ?? null
        await jobDismiss(this.#qmp, this.#jobId)
        return true
      default:
        return false
    }
  }

  async #start(): Promise<void> {
    // Whatever job there was, the guest writes to the overlay: it is needed.
    await markOverlay(this.#disk, 'live')
    if (this.#hasStarted) {
      throw fail('disk.thaw_failed', {}, { detail: this.#failure ?? 'the job ended by itself' })
    }
    this.#hasStarted = true
    const { nodeName } = this.#disk
    await blockCommit(this.#qmp, {
      jobId: this.#jobId,
      topNode: overlayNode(nodeName),
      baseNode: nodeName,
    })
  }

  /** Everything was copied once; now the job waits for a moment at which the guest has written nothing new. */
  async #complete(): Promise<void> {
    const nowMs = performance.now()
    if (this.#askedAtMs === null) {
      this.#askedAtMs = nowMs
      await jobComplete(this.#qmp, this.#jobId)
    } else if (this.#letGoOn === null && nowMs - this.#askedAtMs > this.#catchUpMs) {
      this.#letGoOn = await holdStill(this.#qmp)
    }
  }

  /** A job lets go of its nodes a moment after its end. */
  async #tidyUp(): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await closeOverlay(this.#qmp, this.#disk)
        break
      } catch (error) {
        if (attempt === closeTries || this.#qmp.isClosed) throw thawFailure(error)
        await wait(20)
      }
    }
    await removeOverlayFiles(this.#disk)
  }
}

/** Gives an overlay's file the name that says what it is, for good, if it has the other one. */
async function markOverlay({ topPath }: FreezableDisk, as: 'live' | 'done'): Promise<void> {
  const files = overlayFiles(topPath)
  const [from, to] = as === 'done' ? [files.live, files.done] : [files.done, files.live]
  try {
    await rename(from, to)
    await syncFolder(dirname(topPath))
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw fsFailure(error, to)
  }
}

/** Stops a guest that runs. A host that dies meanwhile leaves a note for the next one to let it go on. */
async function holdStill(qmp: QmpSession): Promise<() => Promise<void>> {
  const { running } = await queryStatus(qmp)
  if (!running || (await readNote(qmp)) !== null) return async () => {}
  await leaveNote(qmp, 'running')
  await stop(qmp)
  return async () => {
    await goOn(qmp, 'running')
    await removeNote(qmp, 'running')
  }
}

function thawFailure(error: unknown): WdockError {
  const known = toWdockError(error)
  if (['qemu.gone', 'qemu.silent', 'disk.thaw_failed'].includes(known.code)) return known
  const plain = error instanceof WdockError ? (error.detail ?? error.message) : String(error)
  return fail('disk.thaw_failed', {}, { detail: plain, cause: error })
}

/**
 * Takes the memory and devices of a guest at one instant, live, into a receiver that listens on a unix socket. Promises
 * that afterwards QEMU is as it was before, however it ended: the guest runs, or is paused if it was, capabilities
 * and parameters are those found, and nothing of the capture is left. Relies on the guest being ours alone meanwhile
 * (no move, nobody pausing it), and on a receiver that runs in a thread or process of its own: a busy one is felt
 * by the guest.
 *
 * What belongs to the instant besides memory, as freezing the disks, is given as actions that QEMU makes in one
 * transaction while the guest stands still. A freeze of the guest's file systems by an agent in it would go around
 * the same moment: before the last round of a pre-copy (in pre-copy.ts), before `stop` of a background snapshot.
 */
import { fail, toWdockError } from '../../../shared/errors/index.ts'
import { systemClock } from '../../platform/clock.ts'
import { Disposer } from '../../platform/dispose.ts'
import type { Log } from '../../platform/log.ts'
import { unixUri } from '../migration.ts'
import { queryStatus, type TransactionAction } from '../qmp/commands.ts'
import type { QmpSession } from '../qmp/session.ts'
import { captureByBackgroundSnapshot } from './background-snapshot.ts'
import { type CaptureProgress, type CaptureRun, cancelAndWait } from './capture-run.ts'
import { type Before, leaveNote, readNote, removeNote } from './note.ts'
import { captureByPreCopy, downtimeLimitsMs, type Patience } from './pre-copy.ts'
import type { CaptureRoute } from './routes.ts'
import { restoreRunState } from './run-state.ts'
import { borrowSettings, resetSettings } from './settings.ts'
import { StandstillWatch } from './standstill.ts'

export type { CaptureProgress } from './capture-run.ts'

export interface MemoryCaptureOptions {
  /** A paused guest always takes `pre-copy`: QEMU before 8.1 lets a guest go on after a background snapshot. */
  route: CaptureRoute
  /** Where the receiver already listens; QEMU connects once, and closes the connection after the last byte. */
  socketPath: string
  /** Resolves when the receiver has seen the first page section (QEMU_VM_SECTION_PART) of the stream. */
  firstPart: Promise<void>
  /** Made at the instant: all or none, and if none the capture fails. */
  atInstant?: readonly TransactionAction[]
  /** Something waits for the copy, so that a guest which works is not spared (pace.ts). Default: nothing does. */
  hurry?: boolean
  /** Of a pre-copy. Default: 1 s for each downtime limit, 60 s after the last one. */
  patience?: Patience
  onProgress?: (progress: CaptureProgress) => void
  signal?: AbortSignal
  log: Log
}

export interface MemoryCapture {
  /** By the way that was taken. */
  route: CaptureRoute
  /** The instant, milliseconds since 1970 by this PC's clock. */
  atMs: number
  /** For how long the guest stood still; null for one that was paused. */
  freezeMs: number | null
  /** Whether the guest ran, and runs again. */
  wasRunning: boolean
}

/**
 * @returns once QEMU has sent everything and the guest is as it was; the receiver may still be reading
 * @throws qemu.cannot_capture, qemu.memory_too_busy, qemu.migration_failed, qemu.command_failed, host.cancelled,
 * qemu.silent, qemu.gone; nothing has changed then, but perhaps `atInstant`
 */
export async function captureMemory(qmp: QmpSession, options: MemoryCaptureOptions): Promise<MemoryCapture> {
  const { running, status } = await queryStatus(qmp)
  if (!running && status !== 'paused') throw fail('qemu.cannot_capture', { status })
  if ((await readNote(qmp)) !== null) throw fail('qemu.cannot_capture', { status: 'being captured already' })
  const before: Before = running ? 'running' : 'paused'
  const route = running ? options.route : 'pre-copy'
  const undo = new Disposer()
  const watch = new StandstillWatch(qmp)
  try {
    options.signal?.throwIfAborted()
    await leaveNote(qmp, before)
    undo.add('remove the note', () => removeNote(qmp, before))
    const capabilities = route === 'background-snapshot' ? [route] : []
    undo.add(
      'give the settings back',
      await borrowSettings(qmp, { capabilities, downtimeLimitMs: downtimeLimitsMs[0] }),
    )
    undo.add('restore the run state', () => restoreRunState(qmp, before))
    const run = runFrom(qmp, before, options)
    await (route === 'pre-copy' ? captureByPreCopy(run) : captureByBackgroundSnapshot(run))
    const freezeMs = before === 'running' ? watch.lengthMs : null
    return { route, atMs: watch.stoppedAtMs ?? systemClock.nowMs(), freezeMs, wasRunning: running }
  } catch (error) {
    throw options.signal?.aborted ? fail('host.cancelled', {}, { cause: error }) : toWdockError(error)
  } finally {
    watch.end()
    for (const failure of await undo.run()) {
      options.log.warn('a capture was not tidied up', { step: failure.name, error: failure.error })
    }
  }
}

function runFrom(qmp: QmpSession, before: Before, options: MemoryCaptureOptions): CaptureRun {
  return {
    qmp,
    uri: unixUri(options.socketPath),
    before,
    atInstant: options.atInstant ?? [],
    firstPart: options.firstPart,
    hurry: options.hurry ?? false,
    signal: options.signal ?? new AbortController().signal,
    ...(options.patience ? { patience: options.patience } : {}),
    ...(options.onProgress ? { onProgress: options.onProgress } : {}),
  }
}

/**
 * Ends what an earlier host left of a capture in a QEMU that was found again: cancels it, lets the guest go on if it
 * ran, and resets the settings. Safe to call at any time when this host captures nothing of this guest.
 * @returns whether there was one @throws qemu.silent, qemu.gone, qemu.command_failed
 */
export async function settleMemoryCapture(qmp: QmpSession): Promise<boolean> {
  const before = await readNote(qmp)
  if (before === null) return false
  await cancelAndWait(qmp)
  await restoreRunState(qmp, before)
  await resetSettings(qmp)
  await removeNote(qmp, before)
  return true
}

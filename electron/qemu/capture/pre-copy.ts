/**
 * Takes a running guest's memory by a live migration into a receiver on this PC: pages are copied while it runs, those
 * it changes meanwhile again, and the rest while it stands still. Needs no privilege. Promises that the guest
 * runs on whatever happens, and that what is done at the instant is done while it stands still, before its disks
 * take another write. Relies on the settings being borrowed (settings.ts) and the run state being restored by the caller.
 *
 * The guest stands still from QEMU's STOP to our `cont`. The rest of the memory and the devices are written in
 * between, and QEMU gives its disks up as if they went to another PC; taking them back costs a few milliseconds.
 * Changing the disks at `pre-switchover` instead costs one more exchange with QEMU and one more disk to give up
 * and take back: 42 instead of 30 ms between two ticks of the guest (medians, QEMU 7.2, 512 MiB).
 */
import { setTimeout as wait } from 'node:timers/promises'
import { fail } from '../../../shared/errors/index.ts'
import { setParameters, startMigration, waitForMigrationStatus } from '../migration.ts'
import { transaction } from '../qmp/commands.ts'
import { type CaptureRun, cancelAndWait, progressPollMs, tellProgress } from './capture-run.ts'
import { easeOff } from './pace.ts'
import { goOn } from './run-state.ts'

/** The first holds for most guests; one that changes its memory fast needs a longer standstill to be caught. */
export const downtimeLimitsMs = [10, 30, 60, 100, 200, 300] as const

/** How long a guest may change its memory too fast. */
export interface Patience {
  /** Each limit is tried for so long before the next one. */
  stepMs: number
  /** So long after the last limit was set the capture is given up. */
  lastMs: number
}
const usualPatience: Patience = { stepMs: 1000, lastMs: 60_000 }

/** And for so many rounds over what changed. */
const stepPasses = 2
/** QEMU counts the round over the whole memory, and the look at what changed before it. */
const firstPasses = 2

/** @throws qemu.memory_too_busy, qemu.migration_failed, host.cancelled, qemu.command_failed, qemu.gone */
export async function captureByPreCopy(run: CaptureRun): Promise<void> {
  const over = new AbortController()
  const tooBusy = new AbortController()
  try {
    const speedUp = run.hurry ? null : await easeOff(run.qmp, over.signal)
    await startMigration(run.qmp, run.uri)
    const steering = Promise.all([speedUp?.(), raiseLimits(run, over.signal, tooBusy)])
    // Awaited below; until then a failure of it is nobody's.
    steering.catch(() => {})
    try {
      await untilStandstill(run, tooBusy.signal)
      await changeAndGoOn(run)
    } finally {
      over.abort()
      await steering
    }
  } catch (error) {
    await cancelAndWait(run.qmp).catch(() => {})
    throw error
  }
}

/** Timers end at 24.8 days; what bounds a capture is progress, not time. */
const forEverMs = 0x7fffffff

/** Until QEMU has sent everything and the guest stands still. */
async function untilStandstill({ qmp, signal }: CaptureRun, tooBusy: AbortSignal): Promise<void> {
  const either = AbortSignal.any([signal, tooBusy])
  try {
    await waitForMigrationStatus(qmp, ['completed'], { timeoutMs: forEverMs, signal: either })
  } catch (error) {
    throw tooBusy.aborted && !signal.aborted ? fail('qemu.memory_too_busy') : error
  }
}

/**
 * Every command is on its way to QEMU before the first is answered, and QEMU takes them in order. A guest whose disks
 * could not be changed goes on all the same: it is the capture that fails then.
 */
async function changeAndGoOn({ qmp, before, atInstant }: CaptureRun): Promise<void> {
  const changed = atInstant.length === 0 ? Promise.resolve() : transaction(qmp, atInstant)
  const [changes, wentOn] = await Promise.allSettled([changed, goOn(qmp, before)])
  if (wentOn.status === 'rejected') throw wentOn.reason
  if (changes.status === 'rejected') throw changes.reason
}

/** Raises the downtime limit as long as the copy does not end; aborts `tooBusy` when the last one did not help. */
async function raiseLimits(run: CaptureRun, over: AbortSignal, tooBusy: AbortController): Promise<void> {
  const patience = run.patience ?? usualPatience
  const pollMs = Math.min(progressPollMs, patience.stepMs)
  let step = 0
  let sinceMs = performance.now()
  let sincePass = firstPasses
  while (!over.aborted) {
    await wait(pollMs, undefined, { signal: over }).catch(() => {})
    const progress = over.aborted ? null : await tellProgress(run)
    if (progress === null) continue
    if (progress.passes <= firstPasses) sinceMs = performance.now()
    const triedMs = performance.now() - sinceMs
    const limitMs = downtimeLimitsMs[step + 1]
    if (limitMs === undefined) {
      if (triedMs > patience.lastMs) tooBusy.abort()
    } else if (triedMs >= patience.stepMs && progress.passes - sincePass >= stepPasses) {
      step += 1
      sinceMs = performance.now()
      sincePass = progress.passes
      // One that comes too late is refused, or stands until the settings are given back.
      await setParameters(run.qmp, { downtimeLimitMs: limitMs }).catch(() => {})
    }
  }
}

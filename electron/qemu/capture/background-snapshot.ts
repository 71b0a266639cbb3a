/**
 * Takes a running guest's memory by QEMU's background snapshot: the guest stands still while its devices are saved and
 * its memory is write-protected, then runs on while pages are sent, a page that it wants to change first. Ends
 * however busy the guest is. Promises that the guest goes on; relies on the settings being borrowed (settings.ts)
 * and the run state being restored by the caller.
 *
 * It needs userfaultfd, its standstill grows with the memory (QEMU 7.2: 30 ms for 512 MiB, 150 ms for 4 GiB), and a
 * receiver that stops reading holds up the guest's writes. QEMU before 8.1 leaves the memory protected when the
 * snapshot fails or is cancelled, and the guest, QEMU itself included, then hangs for good: see routes.ts.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { fail } from '../../../shared/errors/index.ts'
import { queryMigration, startMigration, waitForMigrationStatus } from '../migration.ts'
import { cont, stop, transaction } from '../qmp/commands.ts'
import {
  type CaptureRun,
  cancelAndWait,
  hasEnded,
  progressPollMs,
  tellProgress,
  waitForEnd,
} from './capture-run.ts'
import { survivesCancelledSnapshot } from './routes.ts'

/** As long as a snapshot may take that must not be cancelled. */
const drainMs = 3600_000

/** The guest must run. @throws qemu.migration_failed, host.cancelled, qemu.command_failed, qemu.gone */
export async function captureByBackgroundSnapshot(run: CaptureRun): Promise<void> {
  const { qmp, uri, atInstant, signal } = run
  try {
    // Not left to QEMU, which would stop the guest by itself: nothing could be done to the disks in that moment.
    const stopped = stop(qmp)
    const changed = atInstant.length === 0 ? Promise.resolve() : transaction(qmp, atInstant)
    const [, changes] = await Promise.allSettled([stopped, changed])
    await stopped
    if (changes.status === 'rejected') throw changes.reason
    if (signal.aborted) throw fail('host.cancelled')
    await startMigration(qmp, uri)
    await untilCompleted(run)
  } catch (error) {
    await letGo(run).catch(() => {})
    throw error
  }
}

/** Lets the guest go on in time, tells of progress, and waits for the end. */
async function untilCompleted(run: CaptureRun): Promise<void> {
  const { qmp, signal } = run
  const ended = new AbortController()
  const completed = waitForMigrationStatus(qmp, ['completed'], { timeoutMs: drainMs, signal })
  const outcomes = await Promise.allSettled([
    completed.finally(() => ended.abort()),
    resumeAtFirstPart(run, ended.signal),
    watch(run, ended.signal),
  ])
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
}

/**
 * QEMU 7.2 lets the guest go on by itself; newer ones leave it as they found it. Not before the first page was sent:
 * only from then on is its memory protected. A second `cont` changes nothing.
 */
async function resumeAtFirstPart({ qmp, firstPart }: CaptureRun, ended: AbortSignal): Promise<void> {
  const end = new Promise<'ended'>((resolve) => {
    ended.addEventListener('abort', () => resolve('ended'), { once: true })
  })
  // A receiver that fails closes its socket, and the migration ends by that.
  const first = firstPart.then(
    () => 'first' as const,
    () => end,
  )
  if ((await Promise.race([first, end])) === 'first') await cont(qmp)
}

async function watch(run: CaptureRun, over: AbortSignal): Promise<void> {
  while (!over.aborted) {
    await wait(progressPollMs, undefined, { signal: over }).catch(() => {})
    if (!over.aborted) await tellProgress(run)
  }
}

/** Ends the migration; where that would be the guest's end, lets it run out into a receiver that nobody reads. */
async function letGo({ qmp }: CaptureRun): Promise<void> {
  if (survivesCancelledSnapshot(qmp)) await cancelAndWait(qmp)
  else if (!hasEnded((await queryMigration(qmp)).status)) await waitForEnd(qmp, drainMs)
}

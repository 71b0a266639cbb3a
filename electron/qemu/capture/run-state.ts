/**
 * Brings a guest back into the run state it had before its state was taken. Promises that a guest which ran runs, that one
 * which was paused is paused and owns its disks again, and that a guest which QEMU stopped for a reason of its own
 * (a full disk, a panic, a shutdown) is left standing.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { isCode } from '../../../shared/errors/index.ts'
import { cont, queryStatus, stop, type VmStatus } from '../qmp/commands.ts'
import type { QmpSession } from '../qmp/session.ts'
import type { Before } from './note.ts'

/** After a migration QEMU needs a moment until it lets the guest go on. */
const unfinishedMs = 5000
const retryMs = 2

/**
 * Lets the guest go on where a migration, or we, stopped it; a paused one only for so long as QEMU takes to read the next
 * command. There is no other way out of `postmigrate`, and into the disks, which QEMU gave up when the migration
 * completed. Both commands are written at once, behind whatever was written before.
 * @throws qemu.command_failed when QEMU still refuses after 5 s
 */
export async function goOn(qmp: QmpSession, before: Before): Promise<void> {
  const endMs = performance.now() + unfinishedMs
  for (;;) {
    const resumed = cont(qmp)
    // Awaited in order below; a refusal of the first must not leave the second unhandled.
    const stopped = before === 'paused' ? stop(qmp) : Promise.resolve()
    stopped.catch(() => {})
    try {
      await resumed
      return await stopped
    } catch (error) {
      // "Migration is not finalized yet": completed has been told, the last cleaning up not been done.
      if (!isCode(error, 'qemu.command_failed') || performance.now() > endMs) throw error
      await wait(retryMs)
    }
  }
}

/** In these the migration has stopped the guest. */
const ofMigration: readonly VmStatus['status'][] = ['postmigrate', 'finish-migrate']

/** Does nothing when the guest is already as it was. @throws what `goOn` throws */
export async function restoreRunState(qmp: QmpSession, before: Before): Promise<void> {
  const { running, status } = await queryStatus(qmp)
  if (before === 'paused' && running) await stop(qmp)
  else if (ofMigration.includes(status)) await goOn(qmp, before)
  else if (before === 'running' && status === 'paused') await goOn(qmp, before)
}

/**
 * Brings a guest back to life on the source after a move that did not happen. Promises that the guest is in the
 * state in which it was before, whatever the migration was doing, and that its QEMU keeps no mirror of it. Must not
 * be called once the guest was given away, but by a person's decision or the other dock's word.
 */
import type { GuestDefinition } from '../../../shared/models/guest-definition.ts'
import { removeMirrors } from '../../disk/mirror.ts'
import {
  cancelMigration,
  clearCapabilities,
  queryMigration,
  waitForMigrationStatus,
} from '../../qemu/migration.ts'
import type { QemuProcess } from '../../qemu/process.ts'
import { cont } from '../../qemu/qmp/commands.ts'
import { queryStatus } from '../../qemu/screen.ts'

const idle: readonly string[] = ['none', 'completed', 'failed', 'cancelled']
const cancelTimeoutMs = 10_000

/** @throws qemu.gone, qemu.silent, qemu.migration_failed when QEMU does not let go of the migration */
export async function resumeHere(process: QemuProcess, wasRunning: boolean): Promise<void> {
  const { qmp } = process
  const { status } = await queryMigration(qmp)
  if (!idle.includes(status)) {
    await cancelMigration(qmp)
    await waitForMigrationStatus(qmp, ['cancelled', 'failed', 'completed'], { timeoutMs: cancelTimeoutMs })
  }
  const now = await queryStatus(qmp)
  if (wasRunning && !now.running) await cont(qmp)
  await clearCapabilities(qmp)
}

/** As `resumeHere`, for a QEMU whose mirrors nobody holds any more: those of an earlier host. */
export async function ensureRunningHere(
  process: QemuProcess,
  definition: GuestDefinition,
  wasRunning: boolean,
): Promise<void> {
  await resumeHere(process, wasRunning)
  const nodes = definition.disks.map((disk) => disk.nodeName)
  if (nodes.length > 0) await removeMirrors(process.qmp, nodes)
}

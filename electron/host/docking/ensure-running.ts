/**
 * Brings a guest back to life on the source after a move that did not happen. Promises that the guest is in the
 * state in which it was before, whatever the migration was doing. Must not be called once the guest was given away,
 * but by a person's decision.
 */
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
export async function ensureRunningHere(process: QemuProcess, wasRunning: boolean): Promise<void> {
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

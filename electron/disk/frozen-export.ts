/**
 * Reads frozen disks: QEMU itself exports each top layer, read-only, over NBD on a unix socket, with the contexts
 * `base:allocation` and `qemu:allocation-depth` (1: in the top layer, 2: in the layer below it, …; 0: nowhere).
 * Promises that an export fails by name and leaves nothing. Relies on the guest being ours alone: a QEMU has one NBD
 * server, which a move needs as well.
 *
 * QEMU's own export rather than a `qemu-nbd --read-only` beside it, for QEMU holds the lock of the file: a reader of
 * its own that hung or outlived its host would refuse the thaw its write lock, and the guest could not have its disk back.
 */
import { fail, isCode, type WdockError } from '../../shared/errors/index.ts'
import {
  blockExportAdd,
  blockExportDel,
  nbdServerStart,
  nbdServerStop,
  queryBlockExports,
} from '../qemu/qmp/commands.ts'
import type { QmpSession } from '../qemu/qmp/session.ts'
import type { FreezableDisk } from './overlay.ts'

/** The NBD export of a frozen disk has the name of its node. */
export function frozenExportName(nodeName: string): string {
  return nodeName
}

const idPrefix = 'frozen-'

/** Serves the top layers of these disks, which must be frozen. @throws disk.frozen_unreadable, qemu.gone */
export async function exportFrozen(
  qmp: QmpSession,
  disks: readonly FreezableDisk[],
  socketPath: string,
): Promise<void> {
  await endFrozenExport(qmp)
  // A server without an export is one that an earlier host could not go on with.
  if ((await queryBlockExports(qmp)).length === 0) await nbdServerStop(qmp).catch(ifRefused)
  try {
    await nbdServerStart(qmp, socketPath)
  } catch (error) {
    throw exportFailure(error)
  }
  try {
    for (const { nodeName } of disks) {
      await blockExportAdd(qmp, {
        id: `${idPrefix}${nodeName}`,
        nodeName,
        name: frozenExportName(nodeName),
        writable: false,
        allocationDepth: true,
      })
    }
  } catch (error) {
    await endFrozenExport(qmp).catch(() => {})
    await nbdServerStop(qmp).catch(() => {})
    throw exportFailure(error)
  }
}

/** Cuts off whoever reads, and ends the server if there is no other export. Does nothing when there is none of ours. */
export async function endFrozenExport(qmp: QmpSession): Promise<void> {
  const all = await queryBlockExports(qmp)
  const ours = all.filter(({ id }) => id.startsWith(idPrefix))
  for (const entry of ours) {
    // One that is shutting down already refuses.
    if (!entry['shutting-down']) await blockExportDel(qmp, entry.id, 'hard').catch(ifRefused)
  }
  if (ours.length > 0 && ours.length === all.length) await nbdServerStop(qmp).catch(ifRefused)
}

function ifRefused(error: unknown): void {
  if (!isCode(error, 'qemu.command_failed')) throw error
}

function exportFailure(error: unknown): unknown {
  if (!isCode(error, 'qemu.command_failed')) return error
  const { detail, message }: WdockError = error
  return fail('disk.frozen_unreadable', {}, { detail: detail ?? message, cause: error })
}

/**
 * Freezes the disks of a running guest at one instant. Beforehand an empty overlay is made for each; at the instant QEMU
 * puts them over the top layers, all in one transaction, while the guest stands still. From then on the guest
 * writes to the overlays, and its top layers are read-only until they are thawed (thaw.ts). Promises that a
 * freeze which fails leaves nothing behind. Relies on the guest being ours alone: no move, no mirror.
 */
import { open, rename } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { fail, WdockError } from '../../shared/errors/index.ts'
import { fsFailure, syncFolder } from '../platform/atomic-file.ts'
import { blockdevAdd, queryNamedBlockNodes, type TransactionAction } from '../qemu/qmp/commands.ts'
import type { QmpSession } from '../qemu/qmp/session.ts'
import { createOverlay } from './image.ts'
import {
  closeOverlay,
  type FreezableDisk,
  overlayFiles,
  overlayNode,
  overlayState,
  removeOverlayFiles,
} from './overlay.ts'

/**
 * Makes the overlays and has QEMU open them; the guest notices nothing. What an earlier freeze left is removed.
 * @throws disk.frozen_already, disk.freeze_failed, host.disk_full; then nothing is left
 */
export async function prepareFreeze(qmp: QmpSession, disks: readonly FreezableDisk[]): Promise<void> {
  for (const disk of disks) {
    const { kind, job } = await overlayState(qmp, disk)
    if (kind === 'in-use' || job !== null) throw fail('disk.frozen_already')
  }
  try {
    for (const disk of disks) {
      await dropOverlay(qmp, disk)
      await makeOverlay(disk, await virtualSizeBytes(qmp, disk))
      await openOverlay(qmp, disk)
    }
  } catch (error) {
    for (const disk of disks) await dropOverlay(qmp, disk).catch(() => {})
    throw freezeFailure(error)
  }
}

/** What QEMU has to do at the instant, all of it or nothing. The overlays must be prepared. */
export function freezeActions(disks: readonly FreezableDisk[]): TransactionAction[] {
  return disks.map(({ nodeName }) => ({
    type: 'blockdev-snapshot',
    data: { node: nodeName, overlay: overlayNode(nodeName) },
  }))
}

async function dropOverlay(qmp: QmpSession, disk: FreezableDisk): Promise<void> {
  await closeOverlay(qmp, disk)
  await removeOverlayFiles(disk)
}

/** Whole, on the disk and under its name before the guest writes to it: a power cut never leaves half a one. */
async function makeOverlay({ topPath }: FreezableDisk, sizeBytes: number): Promise<void> {
  const { part, live } = overlayFiles(topPath)
  await createOverlay(part, { backing: basename(topPath), virtualSizeBytes: sizeBytes })
  try {
    const file = await open(part, 'r')
    await file.sync().finally(() => file.close())
    await rename(part, live)
    await syncFolder(dirname(topPath))
  } catch (error) {
    throw fsFailure(error, live)
  }
}

/** As the top layer was opened (qemu/command-line.ts), without a backing yet: that is what the transaction gives it. */
async function openOverlay(qmp: QmpSession, { nodeName, topPath }: FreezableDisk): Promise<void> {
  await blockdevAdd(qmp, {
    driver: 'qcow2',
    'node-name': overlayNode(nodeName),
    discard: 'unmap',
    'detect-zeroes': 'unmap',
    file: { driver: 'file', filename: overlayFiles(topPath).live, discard: 'unmap' },
    backing: null,
  })
}

async function virtualSizeBytes(qmp: QmpSession, { nodeName }: FreezableDisk): Promise<number> {
  const node = (await queryNamedBlockNodes(qmp)).find((each) => each['node-name'] === nodeName)
  if (node?.image === undefined) throw new Error(`QEMU has no disk ${nodeName}`)
  return node.image['virtual-size']
}

function freezeFailure(error: unknown): WdockError {
  if (error instanceof WdockError && error.code !== 'qemu.command_failed') return error
  const detail = error instanceof WdockError ? (error.detail ?? error.message) : String(error)
  return fail('disk.freeze_failed', {}, { detail, cause: error })
}

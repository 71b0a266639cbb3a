/** What a list shows of a checkpoint, from its manifest: for its summary, and where that was lost. */
import type { CheckpointLabel } from '../../shared/models/checkpoint.ts'
import { type Manifest, regionBytes } from './codec/manifest.ts'
import type { SummaryHead } from './codec/summary.ts'
import { wholeBytesOf } from './manifest-sizes.ts'

/** @param label that it was made with */
export function summaryOfManifest(
  manifest: Manifest,
  label: CheckpointLabel = { name: '', note: '', pinned: false },
): SummaryHead {
  const { head } = manifest
  const { guest, regions } = head
  const disks = regions.filter(({ kind }) => kind === 'disk')
  return {
    version: 1,
    id: head.checkpointId,
    guestId: guest.id,
    guestName: guest.name,
    label,
    atMs: head.atMs,
    byDockId: head.byDockId,
    byDockName: head.byDockName,
    reason: head.reason,
    hasMemory: regions.some(({ kind }) => kind === 'ram'),
    cores: guest.cores,
    memoryBytes: guest.memoryBytes,
    diskBytes: disks.reduce((sum, disk) => sum + regionBytes(disk), 0),
    machine: guest.machine,
    qemuVersion: head.qemuVersion,
    wholeBytes: wholeBytesOf(manifest),
    // Known when it is sent; a lost summary takes it along.
    addedBytes: 0,
    freezeMs: head.freezeMs,
  }
}

/** Of a checkpoint of which nothing can be read. @param atMs when it was written, as far as that is known */
export function damagedHead(id: string, atMs: number): SummaryHead {
  return {
    version: 1,
    id,
    guestId: '00000000-0000-0000-0000-000000000000',
    guestName: '?',
    label: { name: '', note: '', pinned: false },
    atMs,
    byDockId: 'a'.repeat(52),
    byDockName: '?',
    reason: 'person',
    hasMemory: false,
    cores: 1,
    memoryBytes: 0,
    diskBytes: 0,
    machine: '?',
    qemuVersion: '?',
    wholeBytes: 0,
    addedBytes: 0,
    freezeMs: null,
  }
}

/**
 * What a restore replaces on this dock. Promises that until the restored guest has all that it needs, the old one can be
 * put back whole, and that afterwards its disk is in the trash: a crash in between is finished by calling the same
 * again. Relies on the record, which names both.
 */
import { mkdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { GuestState } from '../../../shared/models/guest.ts'
import { fsFailure, syncFolder, systemErrorCode } from '../../platform/atomic-file.ts'
import { topPath } from '../guests/guest-launch.ts'
import { writeGuestRecord } from '../guests/guest-record.ts'
import type { LocalGuest } from '../guests/local-guest.ts'
import type { Trash } from '../guests/trash.ts'

const replacedFolder = 'replaced'

/** Ends what was restored so far, and makes the guest what it was, switched off. @throws host.disk_full, … */
export async function putBack(guest: LocalGuest, state: GuestState): Promise<void> {
  const { restore, definition } = guest.record
  await guest.discardProcess()
  guest.setRemotes(new Map())
  const previous = restore?.previous
  if (previous !== undefined && previous !== null) {
    // The record goes last: as long as it names them, a crash in between is mended at the next start.
    for (const disk of definition.disks) await rm(topPath(guest, disk), { force: true })
    await guest.changeRecord({
      definition: previous.definition,
      createdAtMs: previous.createdAtMs,
      bootedAtMs: null,
      restore: undefined,
    })
  }
  guest.setState(state)
  await guest.refreshDiskUse()
}

/** Moves the old disks into the trash, as a guest that can be brought back from there. */
export async function trashPrevious(guest: LocalGuest, trash: Trash): Promise<void> {
  const { restore, homeDockId } = guest.record
  const previous = restore?.previous ?? null
  if (restore === undefined || previous === null) return
  const { definition, createdAtMs } = previous
  const folder = join(guest.folder, replacedFolder)
  const tops = definition.disks.map((disk) => topPath(guest, disk))
  const found = await Promise.all([folder, ...tops].map(exists))
  // Nothing is left of it when an earlier host came as far as the trash.
  if (found.includes(true)) {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const rest = { bootedAtMs: null, complete: true, arrival: null }
    await writeGuestRecord(folder, { version: 1, definition, homeDockId, createdAtMs, ...rest })
    for (const disk of definition.disks) await move(topPath(guest, disk), topPath({ folder }, disk))
    await syncFolder(folder)
    await trash.put(folder, guest.id)
  }
  await guest.changeRecord({ restore: { ...restore, previous: null } })
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null
}

async function move(from: string, to: string): Promise<void> {
  await rename(from, to).catch((error: unknown) => {
    if (systemErrorCode(error) !== 'ENOENT') throw fsFailure(error, from)
  })
}

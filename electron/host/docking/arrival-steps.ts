/** Single steps of an arrival that need nothing of the list it stands on. */
import { rm } from 'node:fs/promises'
import { fail, toWdockError } from '../../../shared/errors/index.ts'
import { createEmpty, createOverlay } from '../../disk/image.ts'
import { backingFromGuest } from '../../disk/layers.ts'
import { endExport } from '../../disk/mirror.ts'
import type { QmpSession } from '../../qemu/qmp/session.ts'
import { queryStatus } from '../../qemu/screen.ts'
import type { Guests } from '../guests/guests.ts'
import type { LocalGuest } from '../guests/local-guest.ts'
import type { Journal } from './journal.ts'

/** Empty top layers, into which the source's are mirrored. @throws host.disk_full, disk.image_tool_failed */
export async function createTops(guest: LocalGuest): Promise<void> {
  for (const disk of guest.definition.disks) {
    const path = guest.topPath(disk.nodeName)
    await rm(path, { force: true })
    const { virtualSizeBytes } = disk
    const below = disk.layers.at(-1)
    if (below === undefined) await createEmpty(path, virtualSizeBytes)
    else await createOverlay(path, { backing: backingFromGuest(below), virtualSizeBytes })
  }
}

/**
 * For a QEMU that an earlier host, or an earlier moment, left in wait: `cont` before everything has arrived would
 * make it run by itself later. @throws migration.not_arrived
 */
export async function assertArrived(guestName: string, qmp: QmpSession): Promise<void> {
  const { status } = await queryStatus(qmp)
  if (status === 'inmigrate' || status === 'prelaunch')
    throw fail('migration.not_arrived', { name: guestName })
  // Already ended, unless the earlier host died in between.
  await endExport(qmp).catch(() => undefined)
}

/**
 * The guest goes from here, and then the journal: a crash in between, or a disk that could not be kept, is found by
 * it at the next start.
 */
export async function clearAway(guests: Guests, journal: Journal, keepsDisk: boolean): Promise<void> {
  const { guestId } = journal.head
  try {
    await (keepsDisk ? guests.giveUp(guestId) : guests.forget(guestId))
  } catch (error) {
    guests.find(guestId)?.setState({ kind: 'failed', error: toWdockError(error).toJSON() })
    throw error
  }
  await journal.remove()
}

/** A peer may only send what it announced. @throws dock.bad_message */
export function assertOffered(offered: readonly { id: string }[] | undefined, id: string): void {
  if (offered?.some((each) => each.id === id)) return
  throw fail('dock.bad_message', {}, { detail: `${id} was not announced` })
}

/** The ids of what is not here. */
export async function lacking(
  needs: readonly { id: string }[],
  has: (id: string) => Promise<boolean>,
): Promise<string[]> {
  const held = await Promise.all(needs.map((need) => has(need.id)))
  return needs.filter((_, index) => !held[index]).map((need) => need.id)
}

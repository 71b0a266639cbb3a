/**
 * What this dock remembers of a guest: one versioned file in the guest's folder, written atomically. Relies on
 * the definition, which is all that travels to another dock.
 */
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { checkpointId } from '../../../shared/models/checkpoint.ts'
import { dockId } from '../../../shared/models/dock.ts'
import { guestDefinition } from '../../../shared/models/guest-definition.ts'
import { readJson, writeJsonAtomic } from '../../platform/atomic-file.ts'
import type { Log } from '../../platform/log.ts'

/** A restore that has not ended: the guest has not everything yet. */
export const unfinishedRestore = z.strictObject({
  /** The vault's name for the work. */
  restoreId: z.string(),
  checkpointId,
  /** Set where it was lent. */
  link: z.string().nullable(),
  /** Until it is here, the end of this program is the end of the guest, whose disk may then be torn. */
  memory: z.enum(['coming', 'here']),
  /** The disks of which parts are still to come. */
  disks: z.array(z.string()),
  /** What it replaces, to be put back when it fails, and into the trash when it has succeeded. */
  previous: z.strictObject({ definition: guestDefinition, createdAtMs: z.number() }).nullable(),
})
export type UnfinishedRestore = z.infer<typeof unfinishedRestore>

export const guestRecord = z.strictObject({
  version: z.literal(1),
  definition: guestDefinition,
  homeDockId: dockId,
  createdAtMs: z.number(),
  /** When its kernel was started; null when it is off. */
  bootedAtMs: z.number().nullable(),
  /** False while it is created: a guest that is still half made at the next start is removed. */
  complete: z.boolean(),
  /** Set while it arrives from another dock and does not belong here yet. */
  arrival: z.strictObject({ migrationId: z.uuid(), fromDockId: dockId }).nullable(),
  /** Missing where it has all that it is made of. */
  restore: unfinishedRestore.optional(),
})
export type GuestRecord = z.infer<typeof guestRecord>

const recordName = 'guest.json'

export async function writeGuestRecord(folder: string, record: GuestRecord): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await writeJsonAtomic(join(folder, recordName), record)
}

/** The record in a guest's folder. @returns null when there is none @throws host.state_unreadable */
export async function readGuestRecord(folder: string): Promise<GuestRecord | null> {
  return await readJson(join(folder, recordName), guestRecord)
}

/** Every guest of a folder of guests. A record that cannot be read is left as it is and logged. */
export async function readGuestRecords(guestsDir: string, log: Log): Promise<GuestRecord[]> {
  const names = await readdir(guestsDir).catch(() => [])
  const records: GuestRecord[] = []
  for (const name of names) {
    try {
      const record = await readGuestRecord(join(guestsDir, name))
      if (record && record.definition.id === name) records.push(record)
    } catch (error) {
      log.error('a guest cannot be read', { folder: name, error })
    }
  }
  return records
}

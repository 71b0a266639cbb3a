/**
 * The journal of a migration: which side may run the guest, remembered across crashes. Promises that a stage
 * that was recorded is read again after a power cut, and that recording one costs a single synced write of a
 * preallocated block: no rename, no growth of the file, because one of these writes happens while the guest
 * stands still. Relies on a file system that writes a 512-byte sector whole.
 */
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { mkdir, open, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { dockId } from '../../../shared/models/dock.ts'
import { fsFailure, syncFolder, writeFileAtomic } from '../../platform/atomic-file.ts'
import type { Log } from '../../platform/log.ts'

export const journalHead = z.discriminatedUnion('side', [
  z.strictObject({
    version: z.literal(1),
    side: z.literal('source'),
    migrationId: z.uuid(),
    guestId: z.uuid(),
    guestName: z.string(),
    otherDockId: dockId,
    startedAtMs: z.number(),
    /** Whether the guest ran when the migration started; a paused guest arrives paused. */
    wasRunning: z.boolean(),
  }),
  z.strictObject({
    version: z.literal(1),
    side: z.literal('destination'),
    migrationId: z.uuid(),
    guestId: z.uuid(),
    guestName: z.string(),
    otherDockId: dockId,
    startedAtMs: z.number(),
  }),
])
export type JournalHead = z.infer<typeof journalHead>

/**
 * Source: `open` → `given-away`. Destination: `open` → `switching` → `committed`; where it runs before all of its
 * memory (post-copy) `switching` → `fetching` → `committed`, the last when it has all of it, or never will.
 * From `given-away` on, the source never resumes by itself. Before `switching`, the destination may forget.
 */
export const journalStage = z.enum(['open', 'given-away', 'switching', 'fetching', 'committed'])
export type JournalStage = z.infer<typeof journalStage>

const headBytes = 4096
const slotBytes = 512
const slots = 8

/** One migration's journal. */
export class Journal {
  readonly head: JournalHead
  readonly #path: string
  #stage: JournalStage
  #nextSlot: number

  private constructor(path: string, head: JournalHead, stage: JournalStage, nextSlot: number) {
    this.#path = path
    this.head = head
    this.#stage = stage
    this.#nextSlot = nextSlot
  }

  /** Creates the file with room for every later stage, synced. @throws host.disk_full, host.no_permission */
  static async create(folder: string, head: JournalHead): Promise<Journal> {
    await mkdir(folder, { recursive: true, mode: 0o700 }).catch((error) => {
      throw fsFailure(error, folder)
    })
    const path = journalPath(folder, head)
    const content = Buffer.alloc(headBytes + slots * slotBytes)
    content.write(`${JSON.stringify(head)}\n`)
    writeSlot(content.subarray(headBytes, headBytes + slotBytes), 'open')
    await writeFileAtomic(path, content)
    return new Journal(path, head, 'open', 1)
  }

  /** Reads a journal back. @returns null when the file is no journal */
  static async read(path: string): Promise<Journal | null> {
    const content = await readFile(path)
    const head = parseHead(content)
    if (head === null) return null
    let stage: JournalStage = 'open'
    let next = 0
    for (let slot = 0; slot < slots; slot += 1) {
      const found = readSlot(
        content.subarray(headBytes + slot * slotBytes, headBytes + (slot + 1) * slotBytes),
      )
      if (found === null) break
      stage = found
      next = slot + 1
    }
    return new Journal(path, head, stage, next)
  }

  get stage(): JournalStage {
    return this.#stage
  }

  /** Records a stage; it is on the disk when this resolves. @throws host.disk_full (copy on write), host.no_permission */
  async record(stage: JournalStage): Promise<void> {
    const slot = Buffer.alloc(slotBytes)
    writeSlot(slot, stage)
    try {
      const file = await open(this.#path, constants.O_RDWR | constants.O_DSYNC)
      try {
        await file.write(slot, 0, slotBytes, headBytes + this.#nextSlot * slotBytes)
      } finally {
        await file.close()
      }
    } catch (error) {
      throw fsFailure(error, this.#path)
    }
    this.#nextSlot += 1
    this.#stage = stage
  }

  /** The migration is settled: nothing needs to be remembered. */
  async remove(): Promise<void> {
    await rm(this.#path, { force: true })
    await syncFolder(join(this.#path, '..')).catch(() => undefined)
  }
}

/** A journal that cannot be read, and the guest it decides on, as its file name says. */
export interface UnreadableJournal {
  path: string
  guestId: string
}

/** Every journal of a folder. One that cannot be read is left where it is, logged, and told by its guest. */
export async function readJournals(
  folder: string,
  log: Log,
): Promise<{ journals: Journal[]; unreadable: UnreadableJournal[] }> {
  const names = await readdir(folder).catch(() => [])
  const journals: Journal[] = []
  const unreadable: UnreadableJournal[] = []
  for (const name of names.filter((each) => each.endsWith(ending))) {
    const path = join(folder, name)
    const journal = await Journal.read(path).catch(() => null)
    if (journal !== null) journals.push(journal)
    else {
      log.error('a migration journal cannot be read', { file: name })
      unreadable.push({ path, guestId: name.slice(0, uuidLength) })
    }
  }
  return { journals, unreadable }
}

const ending = '.journal'
const uuidLength = 36

/** The guest comes first, so that a journal that cannot be read still says whom it concerns. */
function journalPath(folder: string, head: JournalHead): string {
  return join(folder, `${head.guestId}_${head.migrationId}_${head.side}${ending}`)
}

function parseHead(content: Buffer): JournalHead | null {
  const end = content.indexOf('\n')
  if (end < 0 || content.length < headBytes + slotBytes) return null
  try {
    return journalHead.parse(JSON.parse(content.toString('utf8', 0, end)))
  } catch {
    return null
  }
}

function checksum(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}

function writeSlot(slot: Buffer, stage: JournalStage): void {
  slot.write(`${stage} ${checksum(stage)}\n`)
}

function readSlot(slot: Buffer): JournalStage | null {
  const end = slot.indexOf('\n')
  if (end < 0) return null
  const [name, sum] = slot.toString('utf8', 0, end).split(' ')
  const stage = journalStage.safeParse(name)
  return stage.success && sum === checksum(stage.data) ? stage.data : null
}

/**
 * All that this dock keeps of guests' memory: how much, of whom, and letting go of it. One folder for each
 * guest, of which KEPT.md tells. Promises that of what is forgotten nothing can be read any more, even after
 * a crash half way; and that nothing here needs to open what is kept. Relies on the folder being the dock's
 * own.
 */
import type { Stats } from 'node:fs'
import { chmod, mkdir, readdir, readFile, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { z } from 'zod'
import {
  fsFailure,
  readJson,
  syncFolder,
  systemErrorCode,
  writeFileAtomic,
} from '../../platform/atomic-file.ts'
import type { Log } from '../../platform/log.ts'
import { type Random, systemRandom } from '../../platform/random.ts'
import { keptFiles } from './kept-files.ts'
import { keyBytes } from './kept-seal.ts'
import { visitNote } from './visit-note.ts'

export interface KeptStoreOptions {
  /** Made when something is kept. */
  folder: string
  /** A file of 32 bytes; made when missing. */
  dockKeyPath: string
  log: Log
  random?: Random
}

/** What is kept of one guest, for people. */
export interface KeptGuest {
  guestId: string
  /** As it was called at its last visit; null when it is not known. */
  guestName: string | null
  /** With whom the last visit was; null when it is not known, or nothing can be read any more. */
  dockId: string | null
  /** Of the disk. */
  bytes: number
  usedAtMs: number
}

const guestIdShape = z.uuid()
/** What `stat` counts blocks in, whatever the file system's are (stat(2)). */
const statBlockBytes = 512

export class KeptStore {
  readonly #folder: string
  readonly #dockKeyPath: string
  readonly #log: Log
  readonly #random: Random
  #dockKey: Promise<Buffer> | null = null

  constructor(options: KeptStoreOptions) {
    this.#folder = options.folder
    this.#dockKeyPath = options.dockKeyPath
    this.#log = options.log
    this.#random = options.random ?? systemRandom
  }

  /** What everything kept is sealed with. @throws host.disk_full, host.no_permission */
  async dockKey(): Promise<Buffer> {
    this.#dockKey ??= this.#loadKey()
    try {
      return await this.#dockKey
    } catch (error) {
      this.#dockKey = null
      throw fsFailure(error, this.#dockKeyPath)
    }
  }

  /** @throws RangeError when it is not the id of a guest */
  guestFolder(guestId: string): string {
    if (!guestIdShape.safeParse(guestId).success) throw new RangeError('not the id of a guest')
    return join(this.#folder, guestId)
  }

  /** In no order. What is being removed or written meanwhile may be missing. @throws host.no_permission */
  async list(): Promise<KeptGuest[]> {
    const guests = await Promise.all((await this.#guestIds()).map((guestId) => this.#look(guestId)))
    return guests.filter((guest) => guest !== null)
  }

  /**
   * Removes those longest unused until all fit.
   * @param busy guests that are never removed: a visit of theirs is under way
   */
  async trim(maxBytes: number, busy: ReadonlySet<string>): Promise<void> {
    const guests = await this.list()
    let left = guests.reduce((sum, { bytes }) => sum + bytes, 0)
    for (const { guestId, bytes } of guests.toSorted((a, b) => a.usedAtMs - b.usedAtMs)) {
      if (left <= maxBytes) return
      if (busy.has(guestId)) continue
      await this.forget(guestId)
      left -= bytes
    }
  }

  /** No error when nothing is kept of this guest. @throws host.no_permission */
  async forget(guestId: string): Promise<void> {
    await this.#forgetThose([guestId])
  }

  /** @throws host.no_permission */
  async forgetWhere(isUnwanted: (guest: KeptGuest) => boolean): Promise<void> {
    const unwanted = (await this.list()).filter((guest) => isUnwanted(guest))
    await this.#forgetThose(unwanted.map(({ guestId }) => guestId))
  }

  /** First nothing of any of them can be read, then it is removed. */
  async #forgetThose(guestIds: readonly string[]): Promise<void> {
    const folders = guestIds.map((guestId) => this.guestFolder(guestId))
    try {
      for (const folder of folders) await removeSalt(folder)
      for (const folder of folders) await rm(folder, { recursive: true, force: true })
    } catch (error) {
      throw fsFailure(error, this.#folder)
    }
    for (const guestId of guestIds) this.#log.info('kept pages of a guest were removed', { guestId })
  }

  async #guestIds(): Promise<string[]> {
    try {
      return (await readdir(this.#folder)).filter((name) => guestIdShape.safeParse(name).success)
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return []
      throw fsFailure(error, this.#folder)
    }
  }

  async #look(guestId: string): Promise<KeptGuest | null> {
    const folder = this.guestFolder(guestId)
    const names = await readdir(folder).catch(() => null)
    const facts = await factsOf(folder)
    if (names === null || facts === null) return null
    const files = await Promise.all(names.map((name) => factsOf(join(folder, name))))
    const bytes = files.reduce((sum, file) => sum + (file?.blocks ?? 0) * statBlockBytes, 0)
    // Forgetting that was cut off has removed the salt, and left the note perhaps.
    const isReadable = names.includes(basename(keptFiles(folder).salt))
    const note = isReadable ? await readJson(keptFiles(folder).note, visitNote).catch(() => null) : null
    return {
      guestId,
      guestName: note?.guestName ?? null,
      dockId: note?.dockId ?? null,
      bytes,
      usedAtMs: note?.atMs ?? Math.round(facts.mtimeMs),
    }
  }

  async #loadKey(): Promise<Buffer> {
    const found = await readFile(this.#dockKeyPath).catch((error: unknown) => {
      if (systemErrorCode(error) === 'ENOENT') return null
      throw error
    })
    if (found?.length === keyBytes) {
      await chmod(this.#dockKeyPath, 0o600)
      return found
    }
    // What was sealed with the old one is found to be unreadable, and removed.
    if (found !== null) this.#log.warn('the key of kept pages was damaged and is made anew')
    const key = this.#random.bytes(keyBytes)
    await mkdir(dirname(this.#dockKeyPath), { recursive: true, mode: 0o700 })
    await writeFileAtomic(this.#dockKeyPath, key)
    return key
  }
}

async function removeSalt(folder: string): Promise<void> {
  try {
    await rm(keptFiles(folder).salt, { force: true })
    await syncFolder(folder)
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error
  }
}

async function factsOf(path: string): Promise<Stats | null> {
  return await stat(path).catch(() => null)
}

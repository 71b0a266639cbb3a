/**
 * The trash: guests that were deleted or given up, whole, until they are brought back or 30 days have passed.
 * Promises that putting a guest into it moves its folder and loses nothing, an earlier copy of the same guest
 * included.
 */
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fsFailure } from '../../platform/atomic-file.ts'

const keptMs = 30 * 24 * 3600 * 1000

/** One that nobody can bring back any more. */
export interface DeletedGuest {
  id: string
  trashedAtMs: number
}

export class Trash {
  readonly #folder: string

  constructor(dataDir: string) {
    this.#folder = join(dataDir, 'trash')
  }

  /** Where the newest copy of a guest lies, if there is one. */
  path(guestId: string): string {
    return join(this.#folder, guestId)
  }

  /** Moves a guest's folder into the trash. @returns where it is now @throws host.no_permission, host.disk_full */
  async put(guestFolder: string, guestId: string): Promise<string> {
    const target = this.path(guestId)
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 })
      await this.#setAside(target)
      await rename(guestFolder, target)
      return target
    } catch (error) {
      throw fsFailure(error, this.#folder)
    }
  }

  /** An earlier copy of the same guest lies on beside the new one, under a number. */
  async #setAside(path: string): Promise<void> {
    const names = new Set(await readdir(this.#folder))
    let aside = path
    for (let n = 1; names.has(basename(aside)); n += 1) aside = `${path}.${n}`
    if (aside !== path) await rename(path, aside)
  }

  /** Moves a guest's folder back. @throws host.no_permission, host.disk_full */
  async takeBack(guestFolder: string, guestId: string): Promise<void> {
    try {
      await mkdir(dirname(guestFolder), { recursive: true, mode: 0o700 })
      await rename(this.path(guestId), guestFolder)
    } catch (error) {
      throw fsFailure(error, this.#folder)
    }
  }

  /** Deletes for good what has lain here for 30 days. @returns whom, an earlier copy like any other */
  async sweep(nowMs: number): Promise<DeletedGuest[]> {
    const deleted: DeletedGuest[] = []
    for (const name of await readdir(this.#folder).catch(() => [])) {
      const path = join(this.#folder, name)
      const found = await stat(path).catch(() => null)
      if (!found || nowMs - found.ctimeMs <= keptMs) continue
      await rm(path, { recursive: true, force: true })
      deleted.push({ id: guestIdOf(name), trashedAtMs: found.ctimeMs })
    }
    return deleted
  }
}

/** An earlier copy has a number behind the id; it was set aside when the newer one came, and goes with it. */
function guestIdOf(name: string): string {
  return name.replace(/\.\d+$/, '')
}

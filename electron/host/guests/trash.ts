/**
 * The trash: guests that were deleted, whole, until they are brought back or 30 days have passed. Promises that
 * deleting a guest moves its folder and loses nothing.
 */
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fsFailure } from '../../platform/atomic-file.ts'

const keptMs = 30 * 24 * 3600 * 1000

export class Trash {
  readonly #folder: string

  constructor(dataDir: string) {
    this.#folder = join(dataDir, 'trash')
  }

  get folder(): string {
    return this.#folder
  }

  /** Moves a guest's folder into the trash. @returns where it is now */
  async put(guestFolder: string, guestId: string): Promise<string> {
    const target = join(this.#folder, guestId)
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 })
      await rm(target, { recursive: true, force: true })
      await rename(guestFolder, target)
      return target
    } catch (error) {
      throw fsFailure(error, this.#folder)
    }
  }

  /** Moves a guest's folder back. @returns false when the trash does not have it */
  async takeBack(guestFolder: string, guestId: string): Promise<boolean> {
    return await rename(join(this.#folder, guestId), guestFolder).then(
      () => true,
      () => false,
    )
  }

  /** Ids of the guests in the trash. */
  async list(): Promise<string[]> {
    return await readdir(this.#folder).catch(() => [])
  }

  /** Deletes for good what has lain here for 30 days. */
  async sweep(nowMs: number): Promise<void> {
    for (const id of await this.list()) {
      const path = join(this.#folder, id)
      const found = await stat(path).catch(() => null)
      if (found && nowMs - found.ctimeMs > keptMs) await rm(path, { recursive: true, force: true })
    }
  }
}

/**
 * Objects of a vault that never change, kept on this PC as they are in the store: sealed. A cache: what is not there or
 * cannot be read is fetched, and what cannot be kept is not; damage shows when an object is opened. One folder for
 * each vault; one process at a time.
 */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Log } from '../platform/log.ts'
import { type Random, systemRandom } from '../platform/random.ts'
import { isObjectId, type Prefix } from './names.ts'

export class ObjectCache {
  readonly #folder: string
  readonly #log: Log
  readonly #random: Random

  /** @param folder made where there is none */
  constructor(folder: string, log: Log, random: Random = systemRandom) {
    this.#folder = folder
    this.#log = log
    this.#random = random
  }

  async get(name: string): Promise<Buffer | null> {
    const path = this.#path(name)
    return path === null ? null : await readFile(path).catch(() => null)
  }

  async put(name: string, sealed: Buffer): Promise<void> {
    const path = this.#path(name)
    if (path === null) return
    const temporary = join(this.#folder, `.${this.#random.hex(8)}.tmp`)
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 })
      // Not synced: after a power cut it is fetched again.
      await writeFile(temporary, sealed, { mode: 0o600, flag: 'wx' })
      await rename(temporary, path)
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => {})
      this.#log.warn('an object could not be kept on this PC', { name, error })
    }
  }

  async forget(name: string): Promise<void> {
    const path = this.#path(name)
    if (path !== null) await rm(path, { force: true }).catch(() => {})
  }

  /** Drops all objects of a kind but these, and what a crash left. */
  async keepOnly(prefix: Prefix, ids: ReadonlySet<string>): Promise<void> {
    const kind = `${prefix.slice(0, -1)}-`
    const names = await readdir(this.#folder).catch(() => [])
    for (const name of names) {
      const id = name.startsWith(kind) ? name.slice(kind.length) : ''
      if (isObjectId(id) && !ids.has(id)) await rm(join(this.#folder, name), { force: true }).catch(() => {})
    }
  }

  /** Removes everything. */
  async wipe(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
  }

  /** `summaries/<id>` is the file `summaries-<id>`; null for names that could lead out of the folder. */
  #path(name: string): string | null {
    const match = /^([a-z]+)(?:\/([0-9a-f]{32}))?$/.exec(name)
    if (match === null) return null
    return join(this.#folder, match[2] === undefined ? `${match[1]}` : `${match[1]}-${match[2]}`)
  }
}

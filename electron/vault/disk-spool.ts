/**
 * The spool of an upload as a folder of this PC: `upload.json`, `<pack>.pack` with `<pack>.ids` beside it, `manifest`
 * and `summary`. Promises that a pack is there only when all of it is, with what lies in it, whatever ended the program
 * before; and that a full disk is told as such. All but `upload.json` is sealed.
 */
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { fail, isCode } from '../../shared/errors/index.ts'
import { formatBytes } from '../../shared/format.ts'
import type { PackContents } from '../pages/known-pages.ts'
import { type PackFile, packBytes } from '../pages/pack-writer.ts'
import { fsFailure, readJson, syncFolder, writeFileAtomic, writeJsonAtomic } from '../platform/atomic-file.ts'
import { limits } from './codec/limits.ts'
import { decodeIndex, encodeIndex } from './codec/page-index-file.ts'
import { isObjectId } from './names.ts'
import { type Spool, type SpooledPack, type SpoolPart, type SpoolState, spoolState } from './spool.ts'
import type { Sealer } from './vault-objects.ts'

/** Left free for everybody else, bytes. */
const reserveBytes = 64 * 1024 ** 2
const stateFile = 'upload.json'

/** How much is free where a folder is, bytes. */
export type FreeBytes = (folder: string) => Promise<number>

const freeBytesOf: FreeBytes = async (folder) => {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}

/** The uploads of this PC, each in a folder of its own. */
export class DiskSpools {
  readonly #folder: string
  readonly #sealer: Sealer
  readonly #freeBytes: FreeBytes

  /** @param folder made where there is none */
  constructor(folder: string, sealer: Sealer, freeBytes: FreeBytes = freeBytesOf) {
    this.#folder = folder
    this.#sealer = sealer
    this.#freeBytes = freeBytes
  }

  /**
   * A spool for a new upload.
   * @param expectedBytes what it is going to hold, about
   * @throws vault.spool_full, host.disk_full, host.no_permission
   */
  async create(id: string, expectedBytes: number): Promise<DiskSpool> {
    const folder = join(this.#folder, id)
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await syncFolder(this.#folder)
    } catch (error) {
      throw fsFailure(error, folder)
    }
    const spool = this.#open(id)
    try {
      await spool.checkSpace(expectedBytes)
    } catch (error) {
      await spool.remove()
      throw error
    }
    return spool
  }

  /** What an earlier run of the program left, of any vault. */
  async left(): Promise<DiskSpool[]> {
    const names = await readdir(this.#folder).catch(() => [])
    return names.filter(isObjectId).map((id) => this.#open(id))
  }

  #open(id: string): DiskSpool {
    return new DiskSpool(this.#folder, id, this.#sealer, this.#freeBytes)
  }
}

export class DiskSpool implements Spool {
  /** The name it was created with. */
  readonly id: string
  readonly #folder: string
  readonly #sealer: Sealer
  readonly #freeBytes: FreeBytes

  constructor(parent: string, id: string, sealer: Sealer, freeBytes: FreeBytes) {
    this.id = id
    this.#folder = join(parent, id)
    this.#sealer = sealer
    this.#freeBytes = freeBytes
  }

  /** @throws vault.spool_full */
  async checkSpace(neededBytes: number): Promise<void> {
    const freeBytes = await this.#freeBytes(this.#folder).catch(() => Number.POSITIVE_INFINITY)
    if (freeBytes < neededBytes + reserveBytes) throw this.#full(neededBytes + reserveBytes, freeBytes)
  }

  async readState(): Promise<SpoolState | null> {
    return await readJson(join(this.#folder, stateFile), spoolState)
  }

  async writeState(state: SpoolState): Promise<void> {
    await writeJsonAtomic(join(this.#folder, stateFile), state)
  }

  async begin(packId: Buffer): Promise<PackFile> {
    await this.checkSpace(packBytes)
    const id = packId.toString('hex')
    const path = this.#path(id, 'part')
    let file: FileHandle
    try {
      file = await open(path, 'wx', 0o600)
    } catch (error) {
      throw this.#failure(error, path)
    }
    return {
      write: async (bytes) => {
        try {
          await file.writeFile(bytes)
        } catch (error) {
          throw this.#failure(error, path)
        }
      },
      finish: async (contents) => {
        try {
          await file.sync().finally(() => file.close())
          await writeFileAtomic(
            this.#path(id, 'ids'),
            this.#sealer.seal(idsName(id), encodeIndex([contents])),
          )
          await rename(path, this.#path(id, 'pack'))
          await syncFolder(this.#folder)
        } catch (error) {
          throw this.#failure(error, path)
        }
      },
      discard: async () => {
        await file.close().catch(() => {})
        await rm(path, { force: true })
      },
    }
  }

  async packs(): Promise<SpooledPack[]> {
    const found: SpooledPack[] = []
    for (const name of await readdir(this.#folder)) {
      const id = name.slice(0, -'.pack'.length)
      if (!name.endsWith('.pack') || !isObjectId(id)) continue
      found.push({ id, sizeBytes: (await stat(join(this.#folder, name))).size })
    }
    return found
  }

  async readPack(id: string): Promise<Buffer> {
    return await this.#read(this.#path(id, 'pack'))
  }

  async contents(id: string): Promise<PackContents> {
    const name = idsName(id)
    const payload = this.#sealer.open(name, await this.#read(this.#path(id, 'ids')), limits.packBytes)
    const [contents] = decodeIndex(name, payload)
    if (contents === undefined) throw fail('vault.damaged_object', { name })
    return contents
  }

  async writePart(part: SpoolPart, payload: Buffer): Promise<void> {
    try {
      await writeFileAtomic(join(this.#folder, part), this.#sealer.seal(`spool/${part}`, payload))
    } catch (error) {
      throw this.#failure(error, join(this.#folder, part))
    }
  }

  async readPart(part: SpoolPart): Promise<Buffer> {
    const sealed = await this.#read(join(this.#folder, part))
    return this.#sealer.open(`spool/${part}`, sealed, limits.manifestBytes)
  }

  packFile(id: string): string {
    return this.#path(id, 'pack')
  }

  async keepOnly(ids: ReadonlySet<string>): Promise<void> {
    for (const { id } of await this.packs()) {
      if (ids.has(id)) continue
      await rm(this.#path(id, 'pack'), { force: true })
      await rm(this.#path(id, 'ids'), { force: true })
    }
  }

  async clear(): Promise<void> {
    for (const name of await readdir(this.#folder)) {
      if (name !== stateFile) await rm(join(this.#folder, name), { force: true, recursive: true })
    }
  }

  /** Without a state it is nobody's: what a crash leaves of it from here on is removed by the next run. */
  async remove(): Promise<void> {
    await rm(join(this.#folder, stateFile), { force: true })
    await syncFolder(this.#folder).catch(() => {})
    await this.clear()
    await rm(this.#folder, { force: true, recursive: true })
  }

  #path(id: string, kind: 'part' | 'pack' | 'ids'): string {
    return join(this.#folder, `${id}.${kind}`)
  }

  async #read(path: string): Promise<Buffer> {
    try {
      return await readFile(path)
    } catch (error) {
      throw fail('vault.damaged_object', { name: path }, { detail: String(error), cause: error })
    }
  }

  #full(neededBytes: number, freeBytes: number) {
    return fail('vault.spool_full', {
      needed: formatBytes(neededBytes),
      free: formatBytes(freeBytes),
      path: this.#folder,
    })
  }

  /** A disk that became full on the way is told in the same words. */
  #failure(error: unknown, path: string) {
    const failure = fsFailure(error, path)
    return isCode(failure, 'host.disk_full') ? this.#full(packBytes, 0) : failure
  }
}

function idsName(id: string): string {
  return `spool/${id}`
}

/**
 * The folder below which objects lie: whether it is still the one that was opened, and what is ours in it. A drive
 * that is pulled out leaves an empty mount point behind, into which nothing may be written. Promises: every writer
 * sees `store.folder_missing` until the same folder is back; temporary files of crashed writers go after an hour.
 *
 *   <folder>/.wdock/id         random, made by the first writer: tells the folder from an empty mount point
 *   <folder>/.wdock/<random>   what is being written
 */
import type { Stats } from 'node:fs'
import { link, mkdir, open, readdir, readFile, rm, stat, statfs, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fail } from '../../shared/errors/index.ts'
import { syncFolder, systemErrorCode } from '../platform/atomic-file.ts'
import type { Random } from '../platform/random.ts'
import { folderFailure } from './folder-failures.ts'

const ownFolder = '.wdock'
const leftOverAfterMs = 3_600_000
/**
 * File systems that other PCs write to: their magic numbers (statfs(2)). FUSE can be sshfs or a local NTFS drive;
 * taking a drive for a share only makes sweeps wait.
 */
const networkFileSystems: ReadonlySet<number> = new Set([
  0x6969, // NFS
  0xff534d42, // CIFS
  0xfe534d42, // SMB2
  0x517b, // SMB
  0x65735546, // FUSE
  0x01021997, // 9P
  0x6a656a63, // virtiofs
  0x5346414f, // AFS
  0x6b414653, // kAFS
  0x00c36400, // Ceph
  0x73757245, // Coda
])
/** NFS caches what a folder holds for up to a minute (acdirmax, nfs(5)). */
const networkSettleMs = 60_000

/** Makes `folder` durable; where a file system cannot (some network ones), the server decides when it is. */
export async function syncNames(folder: string): Promise<void> {
  try {
    await syncFolder(folder)
  } catch (error) {
    if (!cannot(error)) throw error
  }
}

/** Whether a file system does not have what was asked of it, as FAT has no hard links. */
export function cannot(error: unknown): boolean {
  return ['EINVAL', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EPERM'].includes(systemErrorCode(error) ?? '')
}

export class FolderRoot {
  readonly path: string
  readonly settleMs: number
  readonly #random: Random
  #device: number
  #inode: number
  /** What `.wdock/id` says; null until it was read or written. */
  #id: string | null = null
  #prepared: Promise<void> | null = null

  private constructor(
    path: string,
    settleMs: number,
    identity: { dev: number; ino: number },
    random: Random,
  ) {
    this.path = path
    this.settleMs = settleMs
    this.#random = random
    this.#device = identity.dev
    this.#inode = identity.ino
  }

  /** @throws store.folder_missing, store.not_a_folder, store.no_permission, … */
  static async open(path: string, random: Random): Promise<FolderRoot> {
    try {
      const found = await stat(path)
      if (!found.isDirectory()) throw fail('store.not_a_folder', { path })
      // The type comes as a signed number on some platforms.
      const kind = (await statfs(path)).type >>> 0
      const root = new FolderRoot(path, networkFileSystems.has(kind) ? networkSettleMs : 0, found, random)
      root.#id = await root.#readId()
      return root
    } catch (error) {
      throw folderFailure(error, path)
    }
  }

  /** @throws store.folder_missing when another folder, or none, is at the path now */
  async check(): Promise<void> {
    let found: Stats
    try {
      found = await stat(this.path)
    } catch (error) {
      throw folderFailure(error, this.path)
    }
    if (found.dev === this.#device && found.ino === this.#inode) return
    // The same drive may come back under another device number.
    if (this.#id === null || (await this.#readId()) !== this.#id) {
      throw fail('store.folder_missing', { path: this.path })
    }
    this.#device = found.dev
    this.#inode = found.ino
  }

  /** Writes `body` into a file of its own, on the disk when this resolves. @returns its path */
  async writeTemporary(body: Uint8Array, signal?: AbortSignal): Promise<string> {
    await this.check()
    await this.#prepare()
    const path = this.temporaryPath()
    try {
      const file = await open(path, 'wx', 0o600).catch(async (error: unknown) => {
        if (systemErrorCode(error) !== 'ENOENT') throw error
        // Somebody tidied up what looked like nothing.
        this.#prepared = null
        await this.#prepare()
        return open(path, 'wx', 0o600)
      })
      try {
        await file.writeFile(body, signal ? { signal } : {})
        await file.sync()
      } finally {
        await file.close()
      }
      return path
    } catch (error) {
      await unlink(path).catch(() => {})
      throw error
    }
  }

  temporaryPath(): string {
    return join(this.path, ownFolder, this.#random.hex(8))
  }

  /** The time that the file system gives a file which it writes now. */
  async nowMs(): Promise<number> {
    const path = await this.writeTemporary(new Uint8Array(1))
    const { mtimeMs } = await stat(path)
    await unlink(path)
    return mtimeMs
  }

  async #readId(): Promise<string | null> {
    try {
      return await readFile(join(this.path, ownFolder, 'id'), 'utf8')
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return null
      throw error
    }
  }

  /** Before the first write: our folder, its id, and the left-overs of crashed writers. */
  #prepare(): Promise<void> {
    this.#prepared ??= this.#doPrepare().catch((error: unknown) => {
      this.#prepared = null
      throw error
    })
    return this.#prepared
  }

  async #doPrepare(): Promise<void> {
    const own = join(this.path, ownFolder)
    try {
      await mkdir(own, { mode: 0o700 })
      await syncNames(this.path)
    } catch (error) {
      if (systemErrorCode(error) !== 'EEXIST') throw error
    }
    this.#id = (await this.#readId()) ?? (await this.#makeId(own, this.#id ?? this.#random.hex(16)))
    await removeLeftOvers(own, this.temporaryPath())
  }

  /** Of several first writers all end with the same id. */
  async #makeId(own: string, id: string): Promise<string> {
    const temporary = this.temporaryPath()
    await writeFile(temporary, id, { mode: 0o600, flag: 'wx', flush: true })
    try {
      await link(temporary, join(own, 'id'))
    } catch (error) {
      if (!cannot(error)) keepFirst(error)
      else await writeFile(join(own, 'id'), id, { mode: 0o600, flag: 'wx', flush: true }).catch(keepFirst)
    } finally {
      await unlink(temporary)
    }
    await syncNames(own)
    return (await this.#readId()) ?? id
  }
}

function keepFirst(error: unknown): void {
  if (systemErrorCode(error) !== 'EEXIST') throw error
}

/** By the clock of the file system: this PC's may be wrong. */
async function removeLeftOvers(own: string, probe: string): Promise<void> {
  await writeFile(probe, '', { mode: 0o600, flag: 'wx' })
  const { mtimeMs: nowMs } = await stat(probe)
  await unlink(probe)
  for (const name of await readdir(own)) {
    if (name === 'id') continue
    const path = join(own, name)
    const written = await stat(path).catch(() => null)
    if (written && written.mtimeMs < nowMs - leftOverAfterMs) {
      await rm(path, { recursive: true, force: true }).catch(() => {})
    }
  }
}

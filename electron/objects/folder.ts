/**
 * A store in a folder: a disk, a USB stick, a NAS. Promises what object-store.ts does, also across a power cut: a
 * temporary file, fsync, one atomic step to the name, fsync of the folder; a removed object stays removed.
 *
 * `putNew` needs a step that fails when the name is taken. link(2) is one. File systems without hard links (exFAT,
 * FAT, some network ones) have another: rename(2) of a folder onto a folder that is not empty. There an object is a
 * folder with one file, `.content`; creating the name itself and then filling it would show half an object, and an
 * empty one means something in a vault. Both forms are read everywhere, so that a vault can be copied.
 *
 * Relies on Linux's rename(2) and on nobody else changing files below the folder.
 */
import { link, mkdir, open, readdir, rename, rm, rmdir, stat, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fail } from '../../shared/errors/index.ts'
import { systemErrorCode } from '../platform/atomic-file.ts'
import { type Random, systemRandom } from '../platform/random.ts'
import { folderFailure, isAbsence } from './folder-failures.ts'
import { contentName, readFolder } from './folder-list.ts'
import { cannot, FolderRoot, syncNames } from './folder-root.ts'
import { checkName, checkPrefix } from './names.ts'
import type { CallOptions, ObjectInfo } from './object-store.ts'
import { joinPages, type ListPage, type TryOptions, type TryStore } from './tries.ts'

/** How many times a step is tried that another writer got in the way of. */
const maxTurns = 20
/** A page of a list ends after so many folders, or with the folder that brings it to so many objects. */
const pageFolders = 256
const pageObjects = 1000

export interface FolderOptions {
  random?: Random
  /** Makes the folder, for this user alone, where only the one above it is there. */
  makes?: boolean
  /** Stands in for link(2), to try a file system that has none. */
  link?: (from: string, to: string) => Promise<void>
}

/**
 * The folder at `path`, which must exist or be made. Nothing else is written before the first object is.
 * @throws store.folder_missing, store.not_a_folder, store.no_permission, store.drive_failed
 */
export async function openFolder(path: string, options: FolderOptions = {}): Promise<TryStore> {
  if (options.makes) await makeFolder(path)
  const root = await FolderRoot.open(path, options.random ?? systemRandom)
  return new FolderStore(root, options.link ?? link)
}

async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 })
    await syncNames(dirname(path))
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw folderFailure(error, path)
  }
}

class FolderStore implements TryStore {
  readonly sentence: string
  readonly settleMs: number
  readonly lending = null
  readonly #root: FolderRoot
  readonly #link: (from: string, to: string) => Promise<void>

  constructor(root: FolderRoot, makeLink: (from: string, to: string) => Promise<void>) {
    this.#root = root
    this.#link = makeLink
    this.sentence = `the folder ${root.path}`
    this.settleMs = root.settleMs
  }

  put(name: string, body: Uint8Array, options: CallOptions = {}): Promise<void> {
    return this.#write(name, body, options, async (temporary, target) => {
      await this.#inFolder(target, () => renameOver(temporary, target))
      await syncNames(dirname(target))
    })
  }

  putNew(name: string, body: Uint8Array, options: CallOptions = {}): Promise<boolean> {
    return this.#write(name, body, options, async (temporary, target) => {
      const isNew = await this.#inFolder(target, () => this.#claim(temporary, target))
      if (isNew) await syncNames(dirname(target))
      return isNew
    })
  }

  get(name: string, limitBytes: number, options: TryOptions = {}): Promise<Buffer | null> {
    return this.#read(name, options, (sizeBytes) => {
      if (sizeBytes > limitBytes) throw fail('store.too_big', { name })
      return { offsetBytes: 0, lengthBytes: sizeBytes }
    })
  }

  getRange(
    name: string,
    offsetBytes: number,
    lengthBytes: number,
    options: CallOptions = {},
  ): Promise<Buffer | null> {
    return this.#read(name, options, (sizeBytes) => {
      if (offsetBytes + lengthBytes > sizeBytes) throw fail('store.short_read', { name })
      return { offsetBytes, lengthBytes }
    })
  }

  list(prefix: string, options: CallOptions = {}): AsyncIterable<ObjectInfo> {
    return joinPages((token) => this.listPage(prefix, token, options))
  }

  /** A page is some folders; the token says which ones are left to read. */
  async listPage(prefix: string, token: string | null, options: CallOptions = {}): Promise<ListPage> {
    checkPrefix(prefix)
    options.signal?.throwIfAborted()
    let left = token === null ? [prefix.slice(0, prefix.lastIndexOf('/') + 1)] : token.split('\0')
    const objects: ObjectInfo[] = []
    try {
      await this.#root.check()
      for (let read = 0; read < pageFolders && objects.length < pageObjects && left.length > 0; read++) {
        const [folder = '', ...rest] = left
        const found = await readFolder(this.#root.path, folder, prefix)
        options.signal?.throwIfAborted()
        for (const object of found.objects) objects.push(object)
        left = [...found.folders, ...rest]
      }
      return { objects, next: left.length > 0 ? left.join('\0') : null }
    } catch (error) {
      throw folderFailure(error, join(this.#root.path, prefix), options.signal)
    }
  }

  async remove(name: string, options: CallOptions = {}): Promise<void> {
    const target = this.#target(name, options)
    try {
      await this.#root.check()
      if (await removeEither(target)) await syncNames(dirname(target))
    } catch (error) {
      throw folderFailure(error, target, options.signal)
    }
  }

  async nowMs(options: CallOptions = {}): Promise<number> {
    options.signal?.throwIfAborted()
    try {
      return await this.#root.nowMs()
    } catch (error) {
      throw folderFailure(error, this.#root.path, options.signal)
    }
  }

  close(): void {}

  #target(name: string, options: CallOptions): string {
    checkName(name)
    options.signal?.throwIfAborted()
    return join(this.#root.path, name)
  }

  /** Writes a temporary file, lets `place` bring it to its name, and leaves nothing else behind. */
  async #write<T>(
    name: string,
    body: Uint8Array,
    options: CallOptions,
    place: (temporary: string, target: string) => Promise<T>,
  ): Promise<T> {
    const target = this.#target(name, options)
    let temporary: string | null = null
    try {
      temporary = await this.#root.writeTemporary(body, options.signal)
      options.signal?.throwIfAborted()
      return await place(temporary, target)
    } catch (error) {
      throw folderFailure(error, this.#root.path, options.signal)
    } finally {
      if (temporary !== null) await rm(temporary, { recursive: true, force: true }).catch(() => {})
    }
  }

  /** Runs a step that needs the folder of `target`, making that folder where it is missing. */
  async #inFolder<T>(target: string, step: () => Promise<T>): Promise<T> {
    for (let turn = 1; ; turn++) {
      try {
        return await step()
      } catch (error) {
        if (systemErrorCode(error) !== 'ENOENT' || turn >= maxTurns) throw error
        await makeFolders(this.#root.path, dirname(target))
      }
    }
  }

  /** @returns false when the name is taken */
  async #claim(temporary: string, target: string): Promise<boolean> {
    try {
      await this.#link(temporary, target)
      return true
    } catch (error) {
      const isTaken = systemErrorCode(error) === 'EEXIST'
      if (!isTaken && !cannot(error)) throw error
      // Of an object that was being removed, an empty folder may be left.
      if (isTaken && !(await isEmptyFolder(target))) return false
      return claimAsFolder(temporary, target)
    }
  }

  async #read(
    name: string,
    options: TryOptions,
    choose: (sizeBytes: number) => { offsetBytes: number; lengthBytes: number },
  ): Promise<Buffer | null> {
    const target = this.#target(name, options)
    try {
      const file = await openEither(target)
      if (file === null) {
        // No object, or no drive?
        await this.#root.check()
        return null
      }
      try {
        const { offsetBytes, lengthBytes } = choose((await file.stat()).size)
        options.onSize?.(lengthBytes)
        return await readExactly(file, name, offsetBytes, lengthBytes, options.signal)
      } finally {
        await file.close()
      }
    } catch (error) {
      throw folderFailure(error, target, options.signal)
    }
  }
}

type File = Awaited<ReturnType<typeof open>>

const chunkBytes = 4 * 1024 * 1024

async function readExactly(
  file: File,
  name: string,
  offsetBytes: number,
  lengthBytes: number,
  signal: AbortSignal | undefined,
): Promise<Buffer> {
  const body = Buffer.allocUnsafe(lengthBytes)
  for (let done = 0; done < lengthBytes; ) {
    signal?.throwIfAborted()
    const wanted = Math.min(chunkBytes, lengthBytes - done)
    const { bytesRead } = await file.read(body, done, wanted, offsetBytes + done)
    if (bytesRead === 0) throw fail('store.short_read', { name })
    done += bytesRead
  }
  return body
}

/** An object in either form. Opening a folder to read succeeds: what it is shows afterwards. */
async function openEither(target: string): Promise<File | null> {
  const file = await openOrNull(target)
  if (file === null || !(await isFolder(file))) return file
  await file.close()
  return openOrNull(join(target, contentName))
}

async function isFolder(file: File): Promise<boolean> {
  try {
    return (await file.stat()).isDirectory()
  } catch (error) {
    await file.close()
    throw error
  }
}

async function openOrNull(path: string): Promise<File | null> {
  try {
    return await open(path, 'r')
  } catch (error) {
    if (isAbsence(error)) return null
    throw error
  }
}

/** rename(2) of a file over an object in either form. */
async function renameOver(temporary: string, target: string): Promise<void> {
  for (let turn = 1; ; turn++) {
    try {
      return await rename(temporary, target)
    } catch (error) {
      if (systemErrorCode(error) !== 'EISDIR' || turn >= maxTurns) throw error
    }
    // Taken away meanwhile by a removal: its name is free again.
    const found = await readdir(target).catch(() => null)
    if (found?.some((entry) => entry !== contentName)) throw fail('store.in_the_way', { path: target })
    try {
      await rename(temporary, join(target, contentName))
      return await syncNames(target)
    } catch (error) {
      if (!isAbsence(error)) throw error
    }
  }
}

/** rename(2): "newpath … either does not exist, or … an empty directory", else EEXIST, ENOTEMPTY, or ENOTDIR. */
async function claimAsFolder(temporary: string, target: string): Promise<boolean> {
  const folder = `${temporary}-folder`
  await mkdir(folder, { mode: 0o700 })
  try {
    await rename(temporary, join(folder, contentName))
    await syncNames(folder)
    try {
      await rename(folder, target)
      return true
    } catch (error) {
      // Back, in case the folder above is only missing and the step comes again.
      await rename(join(folder, contentName), temporary)
      const code = systemErrorCode(error) ?? ''
      // ENOTDIR: the name is a file, or what should be the folder above it is one.
      const taken = code === 'ENOTDIR' ? await exists(target) : code === 'EEXIST' || code === 'ENOTEMPTY'
      if (!taken) throw error
      return false
    }
  } finally {
    await rmdir(folder).catch(() => {})
  }
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null
}

async function isEmptyFolder(path: string): Promise<boolean> {
  try {
    return (await readdir(path)).length === 0
  } catch (error) {
    if (isAbsence(error)) return false
    throw error
  }
}

/** @returns false when there was nothing */
async function removeEither(target: string): Promise<boolean> {
  try {
    await unlink(target)
    return true
  } catch (error) {
    if (isAbsence(error)) return false
    // EISDIR on Linux, EPERM in POSIX.
    if (!['EISDIR', 'EPERM'].includes(systemErrorCode(error) ?? '')) throw error
  }
  try {
    await unlink(join(target, contentName))
  } catch (error) {
    if (!isAbsence(error)) throw error
  }
  // Not empty any more where somebody has taken the name again.
  await rmdir(target).catch(() => {})
  return true
}

/** The folders between `root` and `folder`, each durable before the next. `root` itself is never made. */
async function makeFolders(root: string, folder: string): Promise<void> {
  if (folder === root) throw fail('store.folder_missing', { path: root })
  try {
    await mkdir(folder, { mode: 0o700 })
  } catch (error) {
    const code = systemErrorCode(error)
    if (code === 'EEXIST') return
    if (code !== 'ENOENT') throw error
    await makeFolders(root, dirname(folder))
    return makeFolders(root, folder)
  }
  await syncNames(dirname(folder))
}

/**
 * Which pages content consists of that never changes: layers of disks below the top, files to boot from. A capture that
 * finds them here need not read that content again. Kept on this PC, in files that are mostly holes: a cache.
 * Promises that ids are only found which were committed for that name and place, whatever has become of the file, and
 * that what is wrong with it is no error. Relies on names meaning one content for ever, and on ids being keyed, so that
 * they tell nothing (FORMAT.md).
 *
 * ```
 * file = chunk of 4096 pages …       chunk = 16 bytes a page, SHA-256 of name ‖ chunk number (u64) ‖ those bytes
 * page = its id, or ff … ff for zeros, or 00 … 00 for unknown
 * ```
 *
 * Memory: one chunk for each file that is open.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, mkdir, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { pageIdBytes } from '../pages/page-id.ts'
import type { Log } from '../platform/log.ts'
import { type Random, systemRandom } from '../platform/random.ts'

/** Of one chunk. */
export const chunkPages = 4096
const idsBytes = chunkPages * pageIdBytes
const chunkBytes = idsBytes + 32

const unknown = Buffer.alloc(pageIdBytes)
/** What `FoundIds.idOf` says of a page of zeros. */
export const zeroPageId = Buffer.alloc(pageIdBytes, 0xff)

/** What takes more is let go of, the longest unused first, and what a crash left with it. 256 MB are the ids of 64 GB. */
const mostBytes = 256_000_000

export class ContentIds {
  readonly #folder: string
  readonly #log: Log
  readonly #random: Random
  readonly #mostBytes: number

  /** @param folder made where there is none @param options for tests */
  constructor(folder: string, log: Log, options: { random?: Random; mostBytes?: number } = {}) {
    this.#folder = folder
    this.#log = log
    this.#random = options.random ?? systemRandom
    this.#mostBytes = options.mostBytes ?? mostBytes
  }

  /** @param name hexadecimal digits @returns null when nothing is known of it */
  async find(name: string): Promise<FoundIds | null> {
    const path = join(this.#folder, name)
    const file = await open(path, 'r').catch(() => null)
    if (file === null) return null
    const now = new Date()
    await utimes(path, now, now).catch(() => {})
    return new FoundIds(name, file, () => rm(path, { force: true }).catch(() => {}))
  }

  /** What is put there is found once it was committed. */
  async make(name: string): Promise<MadeIds> {
    const temporary = join(this.#folder, `.${this.#random.hex(8)}.tmp`)
    const opened = await this.#open(temporary)
    return new MadeIds(name, opened, async (isWhole) => {
      if (!isWhole) return await rm(temporary, { force: true }).catch(() => {})
      await rename(temporary, join(this.#folder, name)).catch((error: unknown) => this.#warn(error))
      await this.#letGo()
    })
  }

  async #open(path: string): Promise<FileHandle | null> {
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 })
      return await open(path, 'wx', 0o600)
    } catch (error) {
      this.#warn(error)
      return null
    }
  }

  async #letGo(): Promise<void> {
    const names = await readdir(this.#folder).catch(() => [])
    const files = await Promise.all(
      names.map(async (name) => {
        const path = join(this.#folder, name)
        const facts = await stat(path).catch(() => null)
        // Holes take no room (stat(2): blocks of 512 bytes).
        return { path, usedMs: facts?.mtimeMs ?? 0, bytes: (facts?.blocks ?? 0) * 512 }
      }),
    )
    let left = files.reduce((sum, { bytes }) => sum + bytes, 0)
    for (const { path, bytes } of files.toSorted((a, b) => a.usedMs - b.usedMs)) {
      if (left <= this.#mostBytes) return
      await rm(path, { force: true }).catch(() => {})
      left -= bytes
    }
  }

  #warn(error: unknown): void {
    this.#log.warn('what a disk consists of could not be kept on this PC', { error })
  }
}

/** Ids of one content, read from its start to its end. */
export class FoundIds {
  readonly #name: string
  readonly #file: FileHandle
  readonly #forget: () => Promise<void>
  readonly #chunk = Buffer.allocUnsafeSlow(chunkBytes)
  #number = -1
  #isSound = false

  constructor(name: string, file: FileHandle, forget: () => Promise<void>) {
    this.#name = name
    this.#file = file
    this.#forget = forget
  }

  /** Makes `idOf` usable for the chunk of this page, and for no other. @returns what to wait for, if anything */
  reach(page: number): Promise<void> | undefined {
    const number = Math.floor(page / chunkPages)
    return number === this.#number ? undefined : this.#load(number)
  }

  /** @returns `zeroPageId`, an id as a part of a buffer that is used again, or null where nothing is known */
  idOf(page: number): Buffer | null {
    const at = (page % chunkPages) * pageIdBytes
    const id = this.#chunk.subarray(at, at + pageIdBytes)
    if (!this.#isSound || id.equals(unknown)) return null
    return id.equals(zeroPageId) ? zeroPageId : id
  }

  /** Content that it does not know was there after all: it is made anew the next time. */
  async forget(): Promise<void> {
    await this.#forget()
  }

  async close(): Promise<void> {
    await this.#file.close()
  }

  async #load(number: number): Promise<void> {
    this.#number = number
    const { bytesRead } = await this.#file
      .read(this.#chunk, 0, chunkBytes, number * chunkBytes)
      .catch(() => ({ bytesRead: 0 }))
    const [ids, sum] = [this.#chunk.subarray(0, idsBytes), this.#chunk.subarray(idsBytes)]
    this.#isSound = bytesRead === chunkBytes && sumOf(this.#name, number, ids).equals(sum)
  }
}

/** Ids on their way into a file, from the start of the content to its end. */
export class MadeIds {
  readonly #name: string
  readonly #file: FileHandle | null
  readonly #end: (isWhole: boolean) => Promise<void>
  readonly #chunk = Buffer.alloc(idsBytes)
  #number = 0
  #isEmpty = true
  #writing: Promise<void> = Promise.resolve()
  #isBroken = false

  constructor(name: string, file: FileHandle | null, end: (isWhole: boolean) => Promise<void>) {
    this.#name = name
    this.#file = file
    this.#end = end
  }

  /** @param id 16 bytes; copied */
  page(page: number, id: Buffer): void {
    this.#put(page, id)
  }

  zeros(page: number, count: number): void {
    for (let at = page; at < page + count; at += 1) this.#put(at, zeroPageId)
  }

  /** Nothing of it stays when it could not be written. */
  async commit(): Promise<void> {
    this.#endChunk()
    await this.#close(true)
  }

  async discard(): Promise<void> {
    this.#isBroken = true
    await this.#close(false)
  }

  #put(page: number, id: Buffer): void {
    const number = Math.floor(page / chunkPages)
    if (number !== this.#number) this.#endChunk()
    this.#number = number
    this.#isEmpty = false
    this.#chunk.set(id, (page % chunkPages) * pageIdBytes)
  }

  #endChunk(): void {
    if (this.#isEmpty) return
    const [number, file] = [this.#number, this.#file]
    const bytes = Buffer.concat([this.#chunk, sumOf(this.#name, number, this.#chunk)])
    this.#chunk.fill(0)
    this.#isEmpty = true
    this.#writing = this.#writing.then(async () => {
      if (file === null || this.#isBroken) return
      await file.write(bytes, 0, bytes.length, number * chunkBytes).catch(() => {
        this.#isBroken = true
      })
    })
  }

  async #close(isWhole: boolean): Promise<void> {
    await this.#writing
    if (this.#file === null) return
    await this.#file.close().catch(() => {
      this.#isBroken = true
    })
    await this.#end(isWhole && !this.#isBroken)
  }
}

function sumOf(name: string, number: number, ids: Buffer): Buffer {
  const place = Buffer.alloc(8)
  place.writeBigUInt64LE(BigInt(number))
  return createHash('sha256').update(name, 'utf8').update(place).update(ids).digest()
}

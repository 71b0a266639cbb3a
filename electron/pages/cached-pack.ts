/**
 * One pack in the local store of frames: either whole, or the frames that were fetched so far, at their own
 * offsets in a sparse file beside a journal of which are there. Promises that after a crash, a power cut too, a
 * frame is either given as it was put or is not there; of a whole pack it promises what the file system does:
 * the seal of a frame shows the rest. Holds sealed bytes only.
 *
 * The journal has a record for each frame, written once the frame's bytes are: `u32 offset ‖ u32 length ‖ u32
 * CRC-32 of the sealed frame ‖ u32 CRC-32 of the 12 bytes before`. It is read up to the first record that is
 * not one.
 */
import { type FileHandle, open, rm } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { systemErrorCode } from '../platform/atomic-file.ts'

const recordBytes = 16
/** The most that a journal is read of: 64 k frames, 16 times those of a pack. */
const journalLimitBytes = 65_536 * recordBytes

interface Part {
  length: number
  checksum: number
}

interface Files {
  data: FileHandle
  /** Null for a whole pack. */
  parts: { journal: FileHandle; byOffset: Map<number, Part>; endBytes: number } | null
}

export interface CachedPackPaths {
  data: string
  /** Null for a whole pack. */
  journal: string | null
}

export class CachedPack {
  readonly #paths: CachedPackPaths
  #files: Promise<Files> | null = null
  #users = 0
  /** The last one to use the files closes them. */
  #closing = false
  #removed = false

  constructor(paths: CachedPackPaths) {
    this.#paths = paths
  }

  get isWhole(): boolean {
    return this.#paths.journal === null
  }

  /** Where its bytes are. */
  get path(): string {
    return this.#paths.data
  }

  get inUse(): boolean {
    return this.#users > 0
  }

  /** Whether the frame is there, as far as can be told without reading it. @throws the system error */
  async has(offset: number, length: number): Promise<boolean> {
    const there = await this.#use(async ({ data, parts }) => {
      if (parts !== null) return parts.byOffset.get(offset)?.length === length
      return offset + length <= (await data.stat()).size
    })
    return there ?? false
  }

  /** A frame's sealed bytes; null when they are not there, or not what was put. @throws the system error */
  async read(offset: number, length: number): Promise<Buffer | null> {
    return await this.#use(async ({ data, parts }) => {
      const part = parts?.byOffset.get(offset)
      if (parts !== null && part?.length !== length) return null
      const bytes = Buffer.allocUnsafe(length)
      const { bytesRead } = await data.read(bytes, 0, length, offset)
      if (bytesRead === length && (part === undefined || crc32(bytes) === part.checksum)) return bytes
      parts?.byOffset.delete(offset)
      return null
    })
  }

  /**
   * Keeps a frame of a pack that is not whole.
   * @returns false when it was there already
   * @throws the system error
   */
  async write(offset: number, sealed: Buffer): Promise<boolean> {
    const written = await this.#use(async ({ data, parts }) => {
      if (parts === null || parts.byOffset.get(offset)?.length === sealed.length) return false
      await writeWhole(data, sealed, offset)
      const part = { length: sealed.length, checksum: crc32(sealed) }
      const at = parts.endBytes
      parts.endBytes += recordBytes
      await writeWhole(parts.journal, recordOf(offset, part), at)
      parts.byOffset.set(offset, part)
      return true
    })
    return written ?? false
  }

  /** Closes its files, once nobody uses them; they are opened again when needed. */
  async close(): Promise<void> {
    this.#closing = true
    await this.#closeIfIdle()
  }

  /** Removes its files. From now on nothing is there, and nothing can be put. @throws the system error */
  async remove(): Promise<void> {
    this.#removed = true
    // Files that are being made just now would be there again.
    await this.#files?.catch(() => {})
    await rm(this.#paths.data, { force: true })
    if (this.#paths.journal !== null) await rm(this.#paths.journal, { force: true })
    await this.close()
  }

  /** @returns null when the pack was removed */
  async #use<T>(work: (files: Files) => Promise<T>): Promise<T | null> {
    if (this.#removed) return null
    this.#users += 1
    this.#closing = false
    try {
      this.#files ??= openFiles(this.#paths)
      return await work(await this.#files)
    } finally {
      this.#users -= 1
      if (this.#removed || this.#closing) await this.#closeIfIdle()
    }
  }

  async #closeIfIdle(): Promise<void> {
    if (this.#users > 0 || this.#files === null) return
    const files = this.#files
    this.#files = null
    await closeFiles(files)
  }
}

async function openFiles(paths: CachedPackPaths): Promise<Files> {
  if (paths.journal === null) return { data: await open(paths.data, 'r'), parts: null }
  const data = await openForWriting(paths.data)
  try {
    const journal = await openForWriting(paths.journal)
    try {
      return { data, parts: { journal, ...(await readJournal(journal)) } }
    } catch (error) {
      await journal.close()
      throw error
    }
  } catch (error) {
    await data.close()
    throw error
  }
}

/** Opens a file for reading and writing at any place; makes it, 0600, where there is none. */
async function openForWriting(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r+')
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error
    return await open(path, 'wx+', 0o600)
  }
}

async function closeFiles(opening: Promise<Files>): Promise<void> {
  const files = await opening.catch(() => null)
  await files?.data.close()
  await files?.parts?.journal.close()
}

async function readJournal(journal: FileHandle): Promise<{ byOffset: Map<number, Part>; endBytes: number }> {
  const bytes = Buffer.alloc(Math.min((await journal.stat()).size, journalLimitBytes))
  const { bytesRead } = await journal.read(bytes, 0, bytes.length, 0)
  const byOffset = new Map<number, Part>()
  let endBytes = 0
  while (endBytes + recordBytes <= bytesRead) {
    const record = bytes.subarray(endBytes, endBytes + recordBytes)
    if (crc32(record.subarray(0, 12)) !== record.readUInt32LE(12)) break
    byOffset.set(record.readUInt32LE(0), { length: record.readUInt32LE(4), checksum: record.readUInt32LE(8) })
    endBytes += recordBytes
  }
  return { byOffset, endBytes }
}

function recordOf(offset: number, part: Part): Buffer {
  const record = Buffer.alloc(recordBytes)
  record.writeUInt32LE(offset, 0)
  record.writeUInt32LE(part.length, 4)
  record.writeUInt32LE(part.checksum, 8)
  record.writeUInt32LE(crc32(record.subarray(0, 12)), 12)
  return record
}

async function writeWhole(file: FileHandle, bytes: Buffer, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await file.write(bytes, done, bytes.length - done, at + done)).bytesWritten
  }
}

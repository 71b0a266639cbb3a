/**
 * The file `table`: all that is known of a guest's pages but their content. Bytes as in KEPT.md, "The table".
 * Promises that it opens whole or not at all, but for single chunks. Relies on being written under another
 * name and renamed.
 */
import type { KeyObject } from 'node:crypto'
import { z } from 'zod'
import { chunkBytes, chunkPages } from './chunk.ts'
import { type KeptDisk, readWhole, trying, writeWhole } from './kept-disk.ts'
import { fileKeyOf, open, release, seal, tagBytes } from './kept-seal.ts'
import { mostSegmentPages, mostSegments } from './segment.ts'
import { visitNote } from './visit-note.ts'

const magic = Buffer.from('wdkp')
const version = 1
/** `magic ‖ u32 version ‖ table id (16) ‖ u64 where the header is ‖ u32 its length` */
const prefixBytes = 36
const idAt = 8
const idBytes = 16
const sealedChunkBytes = chunkBytes + tagBytes
/** A header lists runs of chunks: a few bytes for each. */
const mostHeaderBytes = 16 * 1024 * 1024
/** No chunk has this number. */
const headerNumber = 2 ** 48 - 1
/** Of all blocks of a guest together: 4 TiB. */
export const mostPages = 2 ** 30
const mostBlocks = 256

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`))
const count = (most: number) => z.number().int().min(0).max(most)

const headerShape = z.object({
  visit: hex(16),
  idKey: hex(32),
  blocks: z.array(z.object({ name: z.string(), pages: count(mostPages) })).max(mostBlocks),
  segments: z.array(
    z.object({ number: count(mostSegments - 1), id: hex(16), pages: count(mostSegmentPages) }),
  ),
  note: visitNote,
  /** The chunks that the file has, in its order: the first, and how many follow one another. */
  chunks: z.array(z.tuple([count(mostPages / chunkPages), count(mostPages / chunkPages)])),
})
export type TableHeader = z.infer<typeof headerShape>

export class TableFile {
  readonly header: TableHeader
  readonly #disk: KeptDisk
  readonly #key: KeyObject
  readonly #sealed = Buffer.allocUnsafeSlow(sealedChunkBytes)
  #file: number | null

  private constructor(disk: KeptDisk, file: number, key: KeyObject, header: TableHeader) {
    this.header = header
    this.#disk = disk
    this.#key = key
    this.#file = file
  }

  /** @returns null when there is none, or none that can be read with this key by this version */
  static open(disk: KeptDisk, path: string, guestKey: Buffer): TableFile | null {
    let file: number | null = null
    try {
      file = disk.open(path, 'read')
      const prefix = Buffer.alloc(prefixBytes)
      const isWhole = readWhole(disk, file, prefix, prefixBytes, 0)
      if (isWhole && prefix.subarray(0, 4).equals(magic) && prefix.readUInt32LE(4) === version) {
        const key = fileKeyOf(guestKey, prefix.subarray(idAt, idAt + idBytes), 'table')
        const header = readHeader(disk, file, key, prefix)
        if (header !== null) return new TableFile(disk, file, key, header)
      }
    } catch {
      // As if it were not there.
    }
    const opened = file
    if (opened !== null) trying(() => disk.close(opened))
    return null
  }

  /** @param ordinal which of the chunks in the file, from 0 @returns false when it is damaged */
  readChunk(ordinal: number, out: Buffer): boolean {
    if (this.#file === null) return false
    const position = prefixBytes + ordinal * sealedChunkBytes
    if (!readWhole(this.#disk, this.#file, this.#sealed, sealedChunkBytes, position)) return false
    const bytes = open(this.#key, ordinal, this.#sealed)
    if (bytes === null) return false
    bytes.copy(out)
    release(bytes)
    return true
  }

  close(): void {
    const file = this.#file
    this.#file = null
    if (file !== null) trying(() => this.#disk.close(file))
  }
}

/** Writes a table. @throws what the disk throws */
export class TableWriter {
  readonly #disk: KeptDisk
  readonly #key: KeyObject
  readonly #id: Buffer
  readonly #runs: [number, number][] = []
  #file: number | null
  #chunks = 0

  /** @param path written over @param id 16 random bytes */
  constructor(disk: KeptDisk, path: string, guestKey: Buffer, id: Buffer) {
    this.#disk = disk
    this.#id = id
    this.#key = fileKeyOf(guestKey, id, 'table')
    this.#file = disk.open(path, 'write')
  }

  /** Chunks come in their order. */
  addChunk(chunk: number, bytes: Buffer): void {
    this.#write(seal(this.#key, this.#chunks, bytes), prefixBytes + this.#chunks * sealedChunkBytes)
    this.#chunks += 1
    const last = this.#runs.at(-1)
    if (last !== undefined && last[0] + last[1] === chunk) last[1] += 1
    else this.#runs.push([chunk, 1])
  }

  /** Durably. */
  finish(header: Omit<TableHeader, 'chunks'>): void {
    const bytes = Buffer.from(JSON.stringify({ ...header, chunks: this.#runs }))
    const position = prefixBytes + this.#chunks * sealedChunkBytes
    const prefix = Buffer.alloc(prefixBytes)
    magic.copy(prefix)
    prefix.writeUInt32LE(version, 4)
    this.#id.copy(prefix, idAt)
    prefix.writeBigUInt64LE(BigInt(position), idAt + idBytes)
    prefix.writeUInt32LE(bytes.length + tagBytes, idAt + idBytes + 8)
    this.#write(seal(this.#key, headerNumber, bytes, prefix), position)
    this.#write([prefix], 0)
    if (this.#file !== null) this.#disk.sync(this.#file)
    this.close()
  }

  close(): void {
    const file = this.#file
    this.#file = null
    if (file !== null) trying(() => this.#disk.close(file))
  }

  #write(parts: Buffer[], position: number): void {
    let at = position
    for (const part of parts) {
      if (this.#file !== null) writeWhole(this.#disk, this.#file, part, at)
      at += part.length
    }
  }
}

function readHeader(disk: KeptDisk, file: number, key: KeyObject, prefix: Buffer): TableHeader | null {
  const position = Number(prefix.readBigUInt64LE(idAt + idBytes))
  const lengthBytes = prefix.readUInt32LE(idAt + idBytes + 8)
  if (lengthBytes > mostHeaderBytes) return null
  const sealed = Buffer.alloc(lengthBytes)
  if (!readWhole(disk, file, sealed, lengthBytes, position)) return null
  const bytes = open(key, headerNumber, sealed, prefix)
  return bytes === null ? null : headerShape.parse(JSON.parse(bytes.toString('utf8')))
}

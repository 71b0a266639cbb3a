/**
 * The frames that a checkpoint uses, pack by pack: where each lies and how many pages it holds. One row after another
 * they number all their pages, the *places* that regions refer to. Promises that a table that was read keeps to the
 * limits and that its frames do not overlap.
 */
import { framePages, sealBytes } from '../../pages/frame.ts'
import { pageBytes } from '../../pages/page-id.ts'
import { type BadBytes, type ByteReader, ByteWriter } from '../../platform/bytes.ts'
import { idBytes } from '../names.ts'
import { type ColumnReader, writeColumn } from './columns.ts'
import { limits } from './limits.ts'

/** A frame key of AES-256, where a manifest lists them. */
export const frameKeyBytes = 32

export interface FrameRows {
  /** Hexadecimal ids, each once. */
  packs: string[]
  /** The first row of each pack; one more at the end. */
  packStart: Uint32Array
  /** Per row: the number of the frame in its pack. Rises within a pack. */
  ordinal: Uint32Array
  /** Per row: bytes from the start of the pack. */
  offset: Uint32Array
  sealedBytes: Uint32Array
  pages: Uint8Array
  /** Per row: the place of its first page; one more at the end. */
  placeStart: Uint32Array
  /** 32 bytes a row where the reader of the manifest cannot derive them, as in a share. */
  keys: Buffer | null
}

/** Fills `placeStart` from `pages`. */
export function placesOf(pages: Uint8Array): Uint32Array {
  const starts = new Uint32Array(pages.length + 1)
  for (let row = 0; row < pages.length; row += 1) {
    starts[row + 1] = (starts[row] ?? 0) + (pages[row] ?? 0)
  }
  return starts
}

/** The row, or the pack, in which `value` lies: the last of the ascending `starts` that is not above it. */
export function indexBelow(starts: Uint32Array, value: number): number {
  let low = 0
  let high = starts.length - 2
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    if ((starts[middle] ?? 0) <= value) low = middle
    else high = middle - 1
  }
  return low
}

export function writeFrameRows(writer: ByteWriter, table: FrameRows): void {
  writer.uv(table.packs.length)
  for (const id of table.packs) writer.bytes(Buffer.from(id, 'hex'))
  const used = new ByteWriter()
  const ordinals = new ByteWriter()
  const gaps = new ByteWriter()
  const lengths = new ByteWriter()
  const pages = new ByteWriter()
  for (let pack = 0; pack < table.packs.length; pack += 1) {
    const first = table.packStart[pack] ?? 0
    const end = table.packStart[pack + 1] ?? 0
    used.uv(end - first)
    let nextOrdinal = 0
    let nextOffset = 0
    for (let row = first; row < end; row += 1) {
      const ordinal = table.ordinal[row] ?? 0
      const offset = table.offset[row] ?? 0
      const length = table.sealedBytes[row] ?? 0
      ordinals.uv(ordinal - nextOrdinal)
      gaps.uv(offset - nextOffset)
      lengths.uv(length)
      pages.u8(table.pages[row] ?? 0)
      nextOrdinal = ordinal + 1
      nextOffset = offset + length
    }
  }
  for (const column of [used, ordinals, gaps, lengths, pages]) writeColumn(writer, column)
  if (table.keys !== null) writer.bytes(table.keys)
}

/** @throws what `bad` makes */
export function readFrameRows(
  reader: ByteReader,
  columns: ColumnReader,
  keysListed: boolean,
  bad: BadBytes,
): FrameRows {
  const packs = readPackIds(reader, bad)
  const used = columns.next()
  const packStart = new Uint32Array(packs.length + 1)
  let rows = 0
  for (let pack = 0; pack < packs.length; pack += 1) {
    const count = used.uv()
    if (count === 0) throw bad('a pack without frames')
    rows += count
    // Each frame has its byte in every column, and all columns together have their limit.
    if (rows > limits.manifestBytes) throw bad('too many frames')
    packStart[pack + 1] = rows
  }
  used.end()
  const table = readRows(columns, packs, packStart, bad)
  if (keysListed) {
    const need = table.pages.length * frameKeyBytes
    table.keys = reader.take(need)
  }
  return table
}

/** The ids of the packs, in front of the tables. @throws what `bad` makes */
export function readPackIds(reader: ByteReader, bad: BadBytes): string[] {
  const count = reader.count(limits.packs, idBytes)
  const packs: string[] = []
  for (let pack = 0; pack < count; pack += 1) packs.push(reader.take(idBytes).toString('hex'))
  if (new Set(packs).size !== packs.length) throw bad('a pack is listed twice')
  return packs
}

function readRows(columns: ColumnReader, packs: string[], packStart: Uint32Array, bad: BadBytes): FrameRows {
  const rows = packStart[packs.length] ?? 0
  const ordinals = columns.next()
  const gaps = columns.next()
  const lengths = columns.next()
  const counts = columns.next()
  const shortest = Math.min(ordinals.remaining, gaps.remaining, lengths.remaining, counts.remaining)
  if (rows > shortest) throw bad('a table is too short')
  const ordinal = new Uint32Array(rows)
  const offset = new Uint32Array(rows)
  const sealedBytes = new Uint32Array(rows)
  const pages = new Uint8Array(rows)
  for (let pack = 0; pack < packs.length; pack += 1) {
    let nextOrdinal = 0
    let nextOffset = 0
    for (let row = packStart[pack] ?? 0; row < (packStart[pack + 1] ?? 0); row += 1) {
      const place = { ordinal: nextOrdinal + ordinals.uv(), offset: nextOffset + gaps.uv() }
      const length = lengths.uv()
      const count = counts.u8()
      checkFrame(place.ordinal, place.offset, length, count, bad)
      ordinal[row] = place.ordinal
      offset[row] = place.offset
      sealedBytes[row] = length
      pages[row] = count
      nextOrdinal = place.ordinal + 1
      nextOffset = place.offset + length
    }
  }
  for (const column of [ordinals, gaps, lengths, counts]) column.end()
  return {
    packs,
    packStart,
    ordinal,
    offset,
    sealedBytes,
    pages,
    placeStart: placesOf(pages),
    keys: null,
  }
}

/** A frame within its pack: of 1 to 16 pages, not longer than they are, and inside of the pack. */
export function checkFrame(
  ordinal: number,
  offset: number,
  sealedBytes: number,
  pages: number,
  bad: BadBytes,
): void {
  if (pages < 1 || pages > framePages) throw bad(`a frame of ${pages} pages`)
  if (sealedBytes <= sealBytes || sealedBytes > pages * pageBytes + sealBytes) {
    throw bad(`a frame of ${sealedBytes} bytes`)
  }
  if (ordinal >= limits.packBytes || offset + sealedBytes > limits.packBytes)
    throw bad('a frame beyond its pack')
}

/**
 * What the pages of a region are, in runs: zero, a hole, or pages in places of the frame table. Where a run begins is
 * told from where it would be expected: each pack has a cursor behind its last run. Pages that were added one by one
 * lie one behind the other in their pack (kind 2); what lies between two runs of a pack that once held the whole
 * region has since been replaced by as many pages from elsewhere (kind 3). So most distances are small.
 */
import { type BadBytes, type ByteReader, ByteWriter } from '../../platform/bytes.ts'
import { type ColumnReader, writeColumn } from './columns.ts'
import { type FrameRows, indexBelow } from './frame-rows.ts'

export const runKind = { zero: 0, hole: 1, pages: 2 } as const

/** Runs that cover a region from its first page to its last without a gap. */
export interface RegionRuns {
  /** The first page of each run; one more at the end, the region's length. */
  start: Uint32Array
  /** One of `runKind`. */
  kind: Uint8Array
  /** Where the first page is, for a run of pages; the following ones are in the following places. */
  place: Uint32Array
}

/** How many pages of a region are in the checkpoint: all but zeros and holes. */
export function dataPagesOf({ start, kind }: RegionRuns): number {
  let pages = 0
  for (const [run, each] of kind.entries()) {
    if (each === runKind.pages) pages += (start[run + 1] ?? 0) - (start[run] ?? 0)
  }
  return pages
}

const fromCursor = 2
const fromCursorAndReplaced = 3

/** Where the next run of each pack is expected; the same on both sides. */
class Cursors {
  readonly #table: FrameRows
  /** The first place of each pack, and the end. */
  readonly packPlaces: Uint32Array
  readonly #place: Uint32Array
  /** How many pages of data lay before the cursor was set; none where it never was. */
  readonly #setAt: Float64Array
  #dataPages = 0

  constructor(table: FrameRows) {
    this.#table = table
    this.packPlaces = new Uint32Array(table.packStart.length)
    for (let pack = 0; pack < table.packStart.length; pack += 1) {
      this.packPlaces[pack] = table.placeStart[table.packStart[pack] ?? 0] ?? 0
    }
    this.#place = this.packPlaces.slice(0, -1)
    this.#setAt = new Float64Array(table.packs.length).fill(-1)
  }

  expected(pack: number, kind: number): number {
    const cursor = this.#place[pack] ?? 0
    const setAt = this.#setAt[pack] ?? -1
    return kind === fromCursor || setAt < 0 ? cursor : cursor + (this.#dataPages - setAt)
  }

  pass(place: number, pages: number): void {
    this.#dataPages += pages
    const last = this.packOf(place + pages - 1)
    this.#place[last] = place + pages
    this.#setAt[last] = this.#dataPages
  }

  packOf(place: number): number {
    return this.#table.packs.length === 0 ? 0 : indexBelow(this.packPlaces, place)
  }
}

export function writeRegionRuns(writer: ByteWriter, table: FrameRows, runs: RegionRuns): void {
  const count = runs.kind.length
  const lengths = new ByteWriter(count * 2 + 16)
  const kinds = new ByteWriter(count + 16)
  // A pack's number in three columns: its low byte is what differs, and the others cost nothing.
  const packBytes = [new ByteWriter(count + 16), new ByteWriter(), new ByteWriter()] as const
  const distances = new ByteWriter(count * 2 + 16)
  const cursors = new Cursors(table)
  for (let run = 0; run < count; run += 1) {
    const pages = (runs.start[run + 1] ?? 0) - (runs.start[run] ?? 0)
    lengths.uv(pages)
    if (runs.kind[run] !== runKind.pages) {
      kinds.u8(runs.kind[run] ?? 0)
      continue
    }
    const place = runs.place[run] ?? 0
    const pack = cursors.packOf(place)
    const near = place - cursors.expected(pack, fromCursor)
    const far = place - cursors.expected(pack, fromCursorAndReplaced)
    const kind = Math.abs(far) < Math.abs(near) ? fromCursorAndReplaced : fromCursor
    kinds.u8(kind)
    packBytes.forEach((column, plane) => {
      column.u8((pack >>> (8 * plane)) & 0xff)
    })
    distances.sv(kind === fromCursor ? near : far)
    cursors.pass(place, pages)
  }
  writer.uv(count)
  for (const column of [lengths, kinds, ...packBytes, distances]) writeColumn(writer, column)
}

/** The columns of one region, run by run. */
class RunReader {
  readonly #lengths: ByteReader
  readonly #kinds: ByteReader
  readonly #packPlanes: readonly ByteReader[]
  readonly #distances: ByteReader
  readonly #table: FrameRows
  readonly #cursors: Cursors
  readonly #places: number
  readonly #bad: BadBytes

  constructor(columns: ColumnReader, table: FrameRows, bad: BadBytes) {
    this.#lengths = columns.next()
    this.#kinds = columns.next()
    this.#packPlanes = [columns.next(), columns.next(), columns.next()]
    this.#distances = columns.next()
    this.#table = table
    this.#cursors = new Cursors(table)
    this.#places = table.placeStart[table.pages.length] ?? 0
    this.#bad = bad
  }

  /** No more runs than this can follow. */
  get most(): number {
    return Math.min(this.#lengths.remaining, this.#kinds.remaining)
  }

  next(): { pages: number; kind: number; place: number } {
    const pages = this.#lengths.uv()
    const kind = this.#kinds.u8()
    if (pages === 0) throw this.#bad('a run of no pages')
    if (kind > fromCursorAndReplaced) throw this.#bad(`a run of kind ${kind}`)
    if (kind < runKind.pages) return { pages, kind, place: 0 }
    return { pages, kind: runKind.pages, place: this.#place(pages, kind) }
  }

  #place(pages: number, kind: number): number {
    let pack = 0
    for (const [plane, column] of this.#packPlanes.entries()) pack += column.u8() * 2 ** (8 * plane)
    if (pack >= this.#table.packs.length) throw this.#bad('a pack that is not listed')
    const place = this.#cursors.expected(pack, kind) + this.#distances.sv()
    if (place < 0 || place + pages > this.#places) throw this.#bad('a page in no frame')
    this.#cursors.pass(place, pages)
    return place
  }

  end(): void {
    for (const column of [this.#lengths, this.#kinds, ...this.#packPlanes, this.#distances]) column.end()
  }
}

/** @throws what `bad` makes */
export function readRegionRuns(
  reader: ByteReader,
  columns: ColumnReader,
  table: FrameRows,
  shape: { pages: number; mayHaveHoles: boolean },
  bad: BadBytes,
): RegionRuns {
  const count = reader.uv()
  const each = new RunReader(columns, table, bad)
  if (count > each.most) throw bad('a table is too short')
  const runs = {
    start: new Uint32Array(count + 1),
    kind: new Uint8Array(count),
    place: new Uint32Array(count),
  }
  let page = 0
  for (let run = 0; run < count; run += 1) {
    const { pages, kind, place } = each.next()
    page += pages
    if (page > shape.pages) throw bad('a run past the end of its region')
    if (kind === runKind.hole && !shape.mayHaveHoles) throw bad('a hole where none can be')
    runs.kind[run] = kind
    runs.place[run] = place
    runs.start[run + 1] = page
  }
  if (page !== shape.pages) throw bad('a region that is not covered')
  each.end()
  return runs
}

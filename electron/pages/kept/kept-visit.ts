/**
 * One visit while it goes on: what is known of each page by now, where its content is, and where a page of
 * some id may be found. Promises not to throw for what a disk does: the first error stays as `trouble`, and
 * from then on no content is stored, only ids. Relies on `close` being called, last.
 */
import { pageBytes, pageIdBytes } from '../page-id.ts'
import { Chunk, chunkPages, foreignPlace, noPlace, wordsOfId } from './chunk.ts'
import { ChunkTable } from './chunk-table.ts'
import { IdFinder } from './id-finder.ts'
import type { KeptOptions } from './kept-options.ts'
import { Scratch } from './scratch.ts'
import { Segments } from './segments.ts'
import type { TableFile } from './table-file.ts'

export interface KeptVisitOptions extends KeptOptions {
  folder: string
  guestKey: Buffer
  /** How many chunks the guest's blocks take. */
  chunks: number
  /** What is known from before; null to start from nothing. */
  table: TableFile | null
  /** It has failed already. */
  trouble: unknown
}

export class KeptVisit {
  readonly table: ChunkTable
  readonly segments: Segments
  readonly #scratch: Scratch
  readonly #finder: IdFinder
  readonly #id = Buffer.alloc(pageIdBytes)
  readonly #hasId = (address: number, ids: Uint8Array, at: number): boolean =>
    this.table.idEquals(address, ids, at)
  #trouble: unknown

  constructor(options: KeptVisitOptions) {
    const { disk, random, folder, chunks, table } = options
    this.#trouble = options.trouble
    this.#scratch = new Scratch(disk, random, folder, chunks)
    this.table = new ChunkTable({
      chunks,
      table,
      scratch: this.#scratch,
      mostSlots: options.mostChunks,
      onTrouble: (error) => this.#fail(error),
    })
    this.segments = new Segments(options, table?.header.segments ?? [])
    const entries = finderEntries(chunks * chunkPages, options.finderEntries)
    this.#finder = new IdFinder(entries)
    if (table !== null) this.#fillFinder(entries)
  }

  /** What the disk threw first; null while all is well. */
  get trouble(): unknown {
    return this.#trouble
  }

  find(ids: Buffer, at: number): number {
    return this.#finder.find(ids, at, this.#hasId)
  }

  readInto(address: number, out: Buffer, at: number): boolean {
    const place = this.table.placeAt(address)
    return place < foreignPlace && this.segments.readInto(place, out, at)
  }

  putPage(address: number, ids: Buffer, idAt: number, pages: Buffer, pageAt: number): void {
    if (pages.length < pageAt + pageBytes) throw new RangeError('not a whole page')
    this.#put(address, ids, idAt, this.#store(pages, pageAt))
  }

  putCopy(address: number, from: number): void {
    if (this.table.copyId(from, this.#id, 0)) this.#put(address, this.#id, 0, this.table.placeAt(from))
    else this.table.clear(address, 1)
  }

  putForeign(address: number, ids: Buffer, at: number): void {
    this.#put(address, ids, at, foreignPlace)
  }

  eachKnown(tell: (address: number, ids: Buffer, count: number) => void): void {
    const copy = new Chunk()
    this.table.eachChunk((number, chunk) => {
      // Whoever is told may ask for other pages, and this chunk may leave the memory meanwhile.
      chunk.bytes.copy(copy.bytes)
      let first = 0
      for (let page = 0; page <= chunkPages; page += 1) {
        if (page < chunkPages && copy.places[page] !== noPlace) continue
        const ids = copy.ids.subarray(first * pageIdBytes, page * pageIdBytes)
        if (page > first) tell(number * chunkPages + first, ids, page - first)
        first = page + 1
      }
    })
  }

  close(): void {
    this.#scratch.close()
    this.segments.close()
  }

  #put(address: number, ids: Buffer, at: number, place: number): void {
    if (ids.length < at + pageIdBytes) throw new RangeError('not a whole id')
    this.table.set(address, ids, at, place)
    this.#finder.add(ids, at, address)
  }

  #store(pages: Buffer, at: number): number {
    if (this.#trouble !== null) return foreignPlace
    try {
      return this.segments.append(pages, at)
    } catch (error) {
      this.#fail(error)
      return foreignPlace
    }
  }

  #fail(error: unknown): void {
    this.#trouble ??= error
  }

  /** Of a large guest the first pages only: the others would drive them out again. */
  #fillFinder(entries: number): void {
    let left = entries
    this.table.eachChunk((number, { idWords, places }) => {
      const first = number * chunkPages
      for (let page = 0; page < chunkPages; page += 1) {
        if (places[page] === noPlace) continue
        const word = page * wordsOfId
        this.#finder.addWords(idWords[word] ?? 0, idWords[word + 1] ?? 0, first + page)
        left -= 1
      }
      return left > 0
    })
  }
}

/**
 * Fresh memory costs more than all else when a visit begins: no more of it than the guest can make use of.
 */
function finderEntries(pages: number, most: number): number {
  let entries = 16
  while (entries < pages * 2 && entries < most) entries *= 2
  return entries
}

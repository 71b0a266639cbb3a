/**
 * Makes the state at the end of a visit what is known from here on. The order of writes is that of KEPT.md,
 * "Finishing". Promises that the old or the new state can be read after a crash at any instant, and that an
 * error before the table is renamed leaves the old one.
 */

import type { Random } from '../../platform/random.ts'
import { pageBytes } from '../page-id.ts'
import { Chunk, chunkPages, foreignPlace, noPlace } from './chunk.ts'
import type { ChunkTable } from './chunk-table.ts'
import { type KeptDisk, trying, writeSmall } from './kept-disk.ts'
import { keptFiles, removeLeftovers } from './kept-files.ts'
import { choosePoorest, LivePages } from './live-pages.ts'
import { pageBits } from './segment.ts'
import type { Segments } from './segments.ts'
import { type TableHeader, TableWriter } from './table-file.ts'

/**
 * Pages that several addresses have, and that were copied already: what is forgotten of them is stored twice.
 */
const mostCopied = 2 ** 16

export interface FinishedVisit {
  disk: KeptDisk
  random: Random
  folder: string
  guestKey: Buffer
  table: ChunkTable
  segments: Segments
  header: Omit<TableHeader, 'chunks' | 'segments'>
  /** Above it, some are written anew. */
  mostSegments: number
}

/**
 * @param onRenamed from here on the new state is the one that is known, even if an error follows
 * @throws what the disk throws
 */
export function finishVisit(visit: FinishedVisit, onRenamed: () => void): void {
  const { disk, folder, header } = visit
  const files = keptFiles(folder)
  visit.segments.endSegment()
  const ids = writeState(visit)
  disk.syncFolder(folder)
  // A note of the visit before must not tell of this one.
  disk.remove(files.note)
  disk.rename(files.newTable, files.table)
  onRenamed()
  disk.syncFolder(folder)
  trying(() => writeSmall(disk, files.note, Buffer.from(`${JSON.stringify(header.note)}\n`)))
  removeLeftovers(disk, folder, ids)
}

/** @returns the ids of the segments that it consists of */
function writeState(visit: FinishedVisit): Set<string> {
  const live = countLive(visit)
  const poorest = choosePoorest(live.segments, visit.mostSegments)
  const before = visit.segments.newCount
  if (poorest.size > 0) {
    try {
      return writeTable(visit, live, poorest)
    } catch {
      // There is no room for copies, perhaps: it goes without them.
      visit.segments.removeNew(before)
    }
  }
  return writeTable(visit, live, new Set())
}

function countLive({ table, segments }: FinishedVisit): LivePages {
  const live = new LivePages(segments.infos)
  table.eachChunk((_number, { places }) => {
    for (let page = 0; page < chunkPages; page += 1) {
      const place = places[page] ?? noPlace
      if (place < foreignPlace && !segments.isDamaged(place)) live.add(place)
    }
  })
  return live
}

function writeTable(visit: FinishedVisit, live: LivePages, poorest: ReadonlySet<number>): Set<string> {
  const { disk, random, segments, guestKey } = visit
  const writer = new TableWriter(disk, keptFiles(visit.folder).newTable, guestKey, random.bytes(16))
  const mover = new PageMover(segments, live, poorest)
  const used = new Set<number>()
  const out = new Chunk()
  try {
    visit.table.eachChunk((number, chunk) => {
      chunk.bytes.copy(out.bytes)
      let isEmpty = true
      for (let page = 0; page < chunkPages; page += 1) {
        const place = mover.settle(out.places[page] ?? noPlace)
        out.places[page] = place
        if (place === noPlace) continue
        isEmpty = false
        used.add(place >>> pageBits)
      }
      if (!isEmpty) writer.addChunk(number, out.bytes)
    })
    segments.endSegment()
    const infos = segments.infos.filter(({ number }) => used.has(number))
    writer.finish({ ...visit.header, segments: infos })
    return new Set(infos.map(({ id }) => id))
  } finally {
    writer.close()
  }
}

/** Says where each page is from here on, copying those of the poorest segments. */
class PageMover {
  readonly #segments: Segments
  readonly #live: LivePages
  readonly #poorest: ReadonlySet<number>
  readonly #copied = new Map<number, number>()
  readonly #page = Buffer.allocUnsafeSlow(pageBytes)

  constructor(segments: Segments, live: LivePages, poorest: ReadonlySet<number>) {
    this.#segments = segments
    this.#live = live
    this.#poorest = poorest
  }

  /** @throws what the disk throws */
  settle(place: number): number {
    if (place >= foreignPlace || this.#segments.isDamaged(place)) return noPlace
    if (!this.#poorest.has(place >>> pageBits)) return place
    const copied = this.#copied.get(place)
    if (copied !== undefined) return copied
    if (!this.#segments.readInto(place, this.#page, 0)) return noPlace
    const to = this.#segments.append(this.#page, 0)
    if (this.#live.isShared(place)) {
      if (this.#copied.size >= mostCopied) this.#copied.clear()
      this.#copied.set(place, to)
    }
    return to
  }
}

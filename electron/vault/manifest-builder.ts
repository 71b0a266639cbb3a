/**
 * From where every page of a checkpoint lies to its manifest: the frames that are used, in the order of their packs,
 * and the runs of each region. Promises that what it built, encoded and decoded again, says the same of every page.
 * Relies on all frames having their places: the packer has finished.
 *
 * Memory: five bytes for each page of a region, and 4 bytes for each frame that is known.
 */
import type { FramePlace, FrameTable } from '../pages/frame-table.ts'
import { type FrameRows, placesOf } from './codec/frame-rows.ts'
import { type RegionRuns, runKind } from './codec/region-runs.ts'

/** Instead of the number of a frame. */
export const zeroPage = 2 ** 32 - 1
/** Instead of the number of a frame: no layer of the disk has anything there. */
export const holePage = 2 ** 32 - 2

/** Where each page of a region lies. Starts as holes. */
export class RegionPages {
  /** The number of the frame, or one of the two above. */
  readonly frames: Uint32Array
  readonly slots: Uint8Array

  constructor(pages: number) {
    this.frames = new Uint32Array(pages).fill(holePage)
    this.slots = new Uint8Array(pages)
  }

  /** A page that is in a frame; later ones win, as in a stream that sends a page twice. */
  set(page: number, frame: number, slot: number): void {
    this.frames[page] = frame
    this.slots[page] = slot
  }

  setZero(page: number): void {
    this.frames[page] = zeroPage
  }

  setHole(page: number): void {
    this.frames[page] = holePage
  }
}

/** What a manifest says of pages. @throws RangeError for a frame without a place, or a slot that its frame has not */
export function buildTables(
  known: FrameTable,
  regions: readonly RegionPages[],
): { frames: FrameRows; regions: RegionRuns[] } {
  const rowOf = new Uint32Array(known.size)
  for (const region of regions) {
    for (const frame of region.frames) if (frame < holePage) rowOf[frame] = 1
  }
  const used: { frame: number; place: FramePlace }[] = []
  for (const [frame, isUsed] of rowOf.entries()) {
    if (isUsed === 0) continue
    const place = known.place(frame)
    if (place === null) throw new RangeError(`frame ${frame} has no place`)
    used.push({ frame, place })
  }
  used.sort((a, b) => a.place.pack - b.place.pack || a.place.ordinal - b.place.ordinal)
  for (const [row, { frame }] of used.entries()) rowOf[frame] = row
  const frames = tableOf(
    known,
    used.map(({ place }) => place),
  )
  return { frames, regions: regions.map((region) => runsOf(region, rowOf, frames)) }
}

function tableOf(known: FrameTable, places: readonly FramePlace[]): FrameRows {
  const packs: string[] = []
  const starts: number[] = []
  let last = -1
  for (const [row, { pack }] of places.entries()) {
    if (pack === last) continue
    last = pack
    packs.push(known.packId(pack).toString('hex'))
    starts.push(row)
  }
  const pages = Uint8Array.from(places, (place) => place.pages)
  return {
    packs,
    packStart: Uint32Array.from([...starts, places.length]),
    ordinal: Uint32Array.from(places, (place) => place.ordinal),
    offset: Uint32Array.from(places, (place) => place.offset),
    sealedBytes: Uint32Array.from(places, (place) => place.sealedBytes),
    pages,
    placeStart: placesOf(pages),
    keys: null,
  }
}

function runsOf(region: RegionPages, rowOf: Uint32Array, table: FrameRows): RegionRuns {
  const starts: number[] = []
  const kinds: number[] = []
  const places: number[] = []
  let nextPlace = -1
  for (const [page, frame] of region.frames.entries()) {
    let kind: number = runKind.pages
    let place = 0
    if (frame === zeroPage) kind = runKind.zero
    else if (frame === holePage) kind = runKind.hole
    else place = placeOf(rowOf[frame], region.slots[page], table)
    const goesOn = kind === kinds.at(-1) && (kind !== runKind.pages || place === nextPlace)
    nextPlace = place + 1
    if (goesOn) continue
    starts.push(page)
    kinds.push(kind)
    places.push(place)
  }
  starts.push(region.frames.length)
  return { start: Uint32Array.from(starts), kind: Uint8Array.from(kinds), place: Uint32Array.from(places) }
}

function placeOf(row: number | undefined, slot = 0, table: FrameRows): number {
  if (row === undefined || slot >= (table.pages[row] ?? 0)) throw new RangeError('a page in no frame')
  return (table.placeStart[row] ?? 0) + slot
}

/**
 * From where every page of a checkpoint lies to its manifest: the frames that are used, in the order of their packs,
 * and the runs of each region. Promises that what it built, encoded and decoded again, says the same of every page.
 * Relies on all frames having their places: the packer has finished.
 *
 * Memory: five bytes for each page of a region up to its last hole, and 4 bytes for each frame that is known.
 */
import type { FramePlace, FrameTable } from '../pages/frame-table.ts'
import { type FrameRows, placesOf } from './codec/frame-rows.ts'
import { type RegionRuns, runKind } from './codec/region-runs.ts'

/** Instead of the number of a frame. */
export const zeroPage = 2 ** 32 - 1
/** Instead of the number of a frame: no layer of the disk has anything there. */
export const holePage = 2 ** 32 - 2

/**
 * Where each page of a region lies. Starts as holes, and takes memory only up to the last page that is none: a guest has
 * room for many times the memory that is plugged in.
 */
export class RegionPages {
  /** Pages of the region. */
  readonly count: number
  /** The number of the frame, or one of the two above. */
  #frames = new Uint32Array(0)
  #slots = new Uint8Array(0)
  #end = 0

  constructor(pages: number) {
    this.count = pages
  }

  /** All pages from here on are holes. */
  get end(): number {
    return this.#end
  }

  /** The number of the frame that a page is in, `zeroPage` or `holePage`. */
  frameOf(page: number): number {
    return page < this.#end ? (this.#frames[page] ?? holePage) : holePage
  }

  slotOf(page: number): number {
    return this.#slots[page] ?? 0
  }

  /** A page that is in a frame; later ones win, as in a stream that sends a page twice. */
  set(page: number, frame: number, slot: number): void {
    this.#reach(page + 1)
    this.#frames[page] = frame
    this.#slots[page] = slot
  }

  setZeros(page: number, count: number): void {
    this.#reach(page + count)
    this.#frames.fill(zeroPage, page, page + count)
  }

  setHoles(page: number, count: number): void {
    if (page < this.#end) this.#frames.fill(holePage, page, Math.min(page + count, this.#end))
  }

  #reach(end: number): void {
    if (end <= this.#end) return
    if (end > this.count) throw new RangeError(`page ${end - 1} of ${this.count}`)
    if (end > this.#frames.length) {
      const room = Math.min(this.count, Math.max(end, this.#frames.length * 2, 4096))
      const [frames, slots] = [new Uint32Array(room), new Uint8Array(room)]
      frames.set(this.#frames)
      slots.set(this.#slots)
      this.#frames = frames
      this.#slots = slots
    }
    this.#frames.fill(holePage, this.#end, end)
    this.#end = end
  }
}

/** What a manifest says of pages. @throws RangeError for a frame without a place, or a slot that its frame has not */
export function buildTables(
  known: FrameTable,
  regions: readonly RegionPages[],
): { frames: FrameRows; regions: RegionRuns[] } {
  const rowOf = new Uint32Array(known.size)
  for (const region of regions) {
    for (let page = 0; page < region.end; page += 1) {
      const frame = region.frameOf(page)
      if (frame < holePage) rowOf[frame] = 1
    }
  }
  const used: { frame: number; place: FramePlace }[] = []
  for (let frame = 0; frame < rowOf.length; frame += 1) {
    if (rowOf[frame] === 0) continue
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
  let lastKind = -1
  let nextPlace = -1
  // The first of the holes at the end stands for all of them.
  const count = Math.min(region.end + 1, region.count)
  for (let page = 0; page < count; page += 1) {
    const frame = region.frameOf(page)
    let kind: number = runKind.pages
    let place = 0
    if (frame === zeroPage) kind = runKind.zero
    else if (frame === holePage) kind = runKind.hole
    else place = placeOf(rowOf[frame], region.slotOf(page), table)
    const goesOn = kind === lastKind && (kind !== runKind.pages || place === nextPlace)
    nextPlace = place + 1
    if (goesOn) continue
    lastKind = kind
    starts.push(page)
    kinds.push(kind)
    places.push(place)
  }
  starts.push(region.count)
  return { start: Uint32Array.from(starts), kind: Uint8Array.from(kinds), place: Uint32Array.from(places) }
}

function placeOf(row: number | undefined, slot = 0, table: FrameRows): number {
  if (row === undefined || slot >= (table.pages[row] ?? 0)) throw new RangeError('a page in no frame')
  return (table.placeStart[row] ?? 0) + slot
}

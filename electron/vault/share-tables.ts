/**
 * Which frames of a checkpoint can be lent as they are, and the tables of what is lent. Pure. Promises that a frame which
 * holds a page that is not of the checkpoint is never among those that are lent as they are, and that the new tables say
 * the same of every page.
 */
import { type FrameRows, indexBelow, placesOf } from './codec/frame-rows.ts'
import type { Manifest } from './codec/manifest.ts'
import { type RegionRuns, runKind } from './codec/region-runs.ts'

export interface SharePlan {
  /** Rows whose pages all belong to the checkpoint. */
  whole: number[]
  /** Places of pages in the other rows that do, in order: what has to be sealed anew. */
  loose: number[]
}

export function planShare(manifest: Manifest): SharePlan {
  const { placeStart, pages } = manifest.frames
  const used = usedPlaces(manifest)
  const plan: SharePlan = { whole: [], loose: [] }
  for (const row of pages.keys()) {
    const [first, end] = [placeStart[row] ?? 0, placeStart[row + 1] ?? 0]
    if (used.subarray(first, end).includes(0)) {
      for (let at = first; at < end; at += 1) if (used[at] === 1) plan.loose.push(at)
    } else plan.whole.push(row)
  }
  return plan
}

/** 1 for each place that a region refers to. */
function usedPlaces({ frames, regions }: Manifest): Uint8Array {
  const used = new Uint8Array(frames.placeStart.at(-1) ?? 0)
  for (const { start, kind, place } of regions) {
    for (const [run, what] of kind.entries()) {
      const first = place[run] ?? 0
      if (what === runKind.pages) used.fill(1, first, first + (start[run + 1] ?? 0) - (start[run] ?? 0))
    }
  }
  return used
}

/** Frames that were sealed anew, pack by pack. */
export interface NewFrames {
  packs: readonly { id: string; sealedBytes: readonly number[]; pages: readonly number[] }[]
}

/**
 * @param made holds the pages of `plan.loose`, in that order
 * @param keyOf the key of a frame, 32 bytes
 */
export function shareTables(
  manifest: Manifest,
  plan: SharePlan,
  made: NewFrames,
  keyOf: (packId: string, ordinal: number, isNew: boolean) => Buffer,
): Pick<Manifest, 'frames' | 'regions'> {
  const old = manifest.frames
  const table = new GrowingTable()
  const newPlace = new Uint32Array(old.placeStart.at(-1) ?? 0)
  for (const row of plan.whole) {
    const id = old.packs[indexBelow(old.packStart, row)] ?? ''
    const [ordinal, pages, firstPlace] = [
      old.ordinal[row] ?? 0,
      old.pages[row] ?? 0,
      old.placeStart[row] ?? 0,
    ]
    for (let slot = 0; slot < pages; slot += 1) newPlace[firstPlace + slot] = table.places + slot
    const where = { ordinal, offset: old.offset[row] ?? 0, sealedBytes: old.sealedBytes[row] ?? 0, pages }
    table.add(id, where, keyOf(id, ordinal, false))
  }
  for (const [index, at] of plan.loose.entries()) newPlace[at] = table.places + index
  for (const { id, sealedBytes, pages } of made.packs) {
    let offset = 0
    for (const [ordinal, length] of sealedBytes.entries()) {
      const where = { ordinal, offset, sealedBytes: length, pages: pages[ordinal] ?? 0 }
      table.add(id, where, keyOf(id, ordinal, true))
      offset += length
    }
  }
  return { frames: table.finish(), regions: manifest.regions.map((runs) => moveRuns(runs, newPlace)) }
}

interface Row {
  ordinal: number
  offset: number
  sealedBytes: number
  pages: number
}

/** A frame table, row by row; the rows of a pack come together. */
class GrowingTable {
  readonly #packs: string[] = []
  readonly #packStart: number[] = []
  readonly #rows: Row[] = []
  readonly #keys: Buffer[] = []
  /** Of all rows so far. */
  places = 0

  add(packId: string, row: Row, key: Buffer): void {
    if (this.#packs.at(-1) !== packId) {
      this.#packs.push(packId)
      this.#packStart.push(this.#rows.length)
    }
    this.#rows.push(row)
    this.#keys.push(key)
    this.places += row.pages
  }

  finish(): FrameRows {
    const rows = this.#rows
    const pages = Uint8Array.from(rows, (row) => row.pages)
    return {
      ...{ packs: this.#packs, pages, placeStart: placesOf(pages), keys: Buffer.concat(this.#keys) },
      packStart: Uint32Array.from([...this.#packStart, rows.length]),
      ordinal: Uint32Array.from(rows, (row) => row.ordinal),
      offset: Uint32Array.from(rows, (row) => row.offset),
      sealedBytes: Uint32Array.from(rows, (row) => row.sealedBytes),
    }
  }
}

/** The same pages in other places: a run ends where its places do not follow each other any more. */
function moveRuns(runs: RegionRuns, newPlace: Uint32Array): RegionRuns {
  const [starts, kinds, places]: [number[], number[], number[]] = [[], [], []]
  const begin = (page: number, kind: number, place: number): void => {
    starts.push(page)
    kinds.push(kind)
    places.push(place)
  }
  for (const [run, kind] of runs.kind.entries()) {
    const [first, end] = [runs.start[run] ?? 0, runs.start[run + 1] ?? 0]
    if (kind !== runKind.pages) {
      begin(first, kind, 0)
      continue
    }
    let expected = -1
    for (let page = first; page < end; page += 1) {
      const place = newPlace[(runs.place[run] ?? 0) + page - first] ?? 0
      if (place !== expected) begin(page, kind, place)
      expected = place + 1
    }
  }
  starts.push(runs.start.at(-1) ?? 0)
  return { start: Uint32Array.from(starts), kind: Uint8Array.from(kinds), place: Uint32Array.from(places) }
}

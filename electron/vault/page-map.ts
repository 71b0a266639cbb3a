/**
 * Where the pages of a checkpoint lie, asked page by page of its manifest. Promises answers for any span inside of a
 * region, at the cost of a search in its runs. Relies on the manifest having been checked when it was decoded.
 */
import { indexBelow } from './codec/frame-rows.ts'
import type { Manifest } from './codec/manifest.ts'
import { type RegionRuns, runKind } from './codec/region-runs.ts'

/** Pages of one kind, one after the other. */
export interface PageExtent {
  from: number
  count: number
  kind: 'zero' | 'hole' | 'data'
  /** Of data: the place of its first page, see `FrameRows`. */
  place: number
}

/** Where one page of data lies. */
export interface PageSpot {
  /** The row of its frame in the manifest's frame table. */
  row: number
  slot: number
}

const kindNames = { [runKind.zero]: 'zero', [runKind.hole]: 'hole', [runKind.pages]: 'data' } as const

export class PageMap {
  readonly manifest: Manifest

  constructor(manifest: Manifest) {
    this.manifest = manifest
  }

  /** @throws RangeError when the manifest has no such region */
  pagesOf(region: number): number {
    return this.#runs(region).start.at(-1) ?? 0
  }

  /**
   * What a span is made of, in order and without gaps.
   * @throws RangeError when it is not inside of the region
   */
  *extents(region: number, from: number, count: number): Generator<PageExtent> {
    const runs = this.#runs(region)
    const end = from + count
    if (!(from >= 0 && count >= 0 && end <= this.pagesOf(region)))
      throw new RangeError('not inside of the region')
    let run = runs.kind.length === 0 ? 0 : indexBelow(runs.start, from)
    for (let page = from; page < end; run += 1) {
      const runStart = runs.start[run] ?? 0
      const runEnd = Math.min(end, runs.start[run + 1] ?? 0)
      const kind = kindNames[(runs.kind[run] ?? 0) as 0 | 1 | 2]
      const place = kind === 'data' ? (runs.place[run] ?? 0) + page - runStart : 0
      yield { from: page, count: runEnd - page, kind, place }
      page = runEnd
    }
  }

  /** The frame and slot of each page of data, with the page: in the order of the pages. */
  *spots(region: number, from: number, count: number): Generator<PageSpot & { page: number }> {
    const { placeStart } = this.manifest.frames
    for (const extent of this.extents(region, from, count)) {
      if (extent.kind !== 'data') continue
      let row = indexBelow(placeStart, extent.place)
      for (let index = 0; index < extent.count; index += 1) {
        const place = extent.place + index
        while ((placeStart[row + 1] ?? 0) <= place) row += 1
        yield { page: extent.from + index, row, slot: place - (placeStart[row] ?? 0) }
      }
    }
  }

  /** The frames that a span needs, each once, in the order in which they are first needed. */
  rows(region: number, from: number, count: number): number[] {
    const { placeStart } = this.manifest.frames
    const rows = new Set<number>()
    for (const extent of this.extents(region, from, count)) {
      if (extent.kind !== 'data') continue
      const last = indexBelow(placeStart, extent.place + extent.count - 1)
      for (let row = indexBelow(placeStart, extent.place); row <= last; row += 1) rows.add(row)
    }
    return [...rows]
  }

  #runs(region: number): RegionRuns {
    const runs = this.manifest.regions[region]
    if (runs === undefined) throw new RangeError(`no region ${region}`)
    return runs
  }
}

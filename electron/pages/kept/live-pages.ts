/**
 * Which of the stored pages are in use at the end of a visit, and which segments are to be written anew
 * because of it. Memory: two bits for each page that is stored.
 */
import { mostSegmentPages, pageBits, type SegmentInfo } from './segment.ts'

const pageMask = mostSegmentPages - 1

interface Usage {
  pages: number
  live: number
  used: Uint8Array
  shared: Uint8Array
}

export class LivePages {
  readonly #byNumber = new Map<number, Usage>()

  constructor(segments: readonly SegmentInfo[]) {
    for (const { number, pages } of segments) {
      const bytes = Math.ceil(pages / 8)
      const usage = { pages, live: 0, used: new Uint8Array(bytes), shared: new Uint8Array(bytes) }
      this.#byNumber.set(number, usage)
    }
  }

  /** An address has this page. */
  add(place: number): void {
    const usage = this.#byNumber.get(place >>> pageBits)
    if (usage === undefined) return
    const page = place & pageMask
    const byte = page >>> 3
    const bit = 1 << (page & 7)
    const used = usage.used[byte] ?? 0
    if ((used & bit) === 0) {
      usage.used[byte] = used | bit
      usage.live += 1
    } else usage.shared[byte] = (usage.shared[byte] ?? 0) | bit
  }

  /** Whether more than one address has it. */
  isShared(place: number): boolean {
    const page = place & pageMask
    return (((this.#byNumber.get(place >>> pageBits)?.shared[page >>> 3] ?? 0) >>> (page & 7)) & 1) === 1
  }

  get segments(): SegmentUsage[] {
    return [...this.#byNumber].map(([number, { pages, live }]) => ({ number, pages, live }))
  }
}

export interface SegmentUsage {
  number: number
  pages: number
  /** How many of them are in use. */
  live: number
}

/**
 * The segments whose live pages are to be copied into a new one: when less than half of all is in use, or
 * when there are too many. Then rather more than needed, the poorest first, so that it does not have to be
 * done after every visit.
 */
export function choosePoorest(segments: readonly SegmentUsage[], mostSegments: number): Set<number> {
  const used = segments.filter(({ live }) => live > 0)
  const live = used.reduce((sum, segment) => sum + segment.live, 0)
  let pages = used.reduce((sum, segment) => sum + segment.pages, 0)
  const poorest = new Set<number>()
  if (live * 2 >= pages && used.length <= mostSegments) return poorest
  for (const segment of used.toSorted((a, b) => a.live / a.pages - b.live / b.pages)) {
    const left = used.length - poorest.size + 1
    if (live * 4 >= pages * 3 && left <= Math.ceil(mostSegments / 2)) return poorest
    poorest.add(segment.number)
    pages -= segment.pages - segment.live
  }
  return poorest
}

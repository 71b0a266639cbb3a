/**
 * Where the pages of one region come to lie while a guest is captured, and the hash over their ids. Promises the hash of
 * `RegionHasher` whatever order the pages came in. Relies on `inOrder` regions getting each page once, from the first
 * to the last.
 *
 * Memory: five bytes a page up to the last hole, and 16 more where pages come in any order.
 */
import { pageIdBytes } from '../pages/page-id.ts'
import { hashOfHoles, RegionHasher } from './codec/region-hash.ts'
import { holePage, RegionPages, zeroPage } from './manifest-builder.ts'

/** Is told what pages are, while it is there. */
export interface IdRecorder {
  /** @param id 16 bytes, good for this call */
  page(page: number, id: Buffer): void
  zeros(page: number, count: number): void
}

export class RegionTable {
  readonly pages: RegionPages
  recorder: IdRecorder | null = null
  readonly #hasher = new RegionHasher()
  /** The id of each page, for a region whose pages come in any order. */
  #ids: Buffer | null

  /** @param order `any`: pages may come in any order, and what never comes is a hole */
  constructor(pages: number, order: 'in-order' | 'any') {
    this.pages = new RegionPages(pages)
    this.#ids = order === 'any' ? Buffer.alloc(0) : null
  }

  /** @param id 16 bytes; copied */
  page(page: number, frame: number, slot: number, id: Buffer): void {
    this.pages.set(page, frame, slot)
    this.recorder?.page(page, id)
    if (this.#ids === null) this.#hasher.page(id)
    else this.#room(page).set(id, page * pageIdBytes)
  }

  zeros(page: number, count: number): void {
    this.pages.setZeros(page, count)
    this.recorder?.zeros(page, count)
    if (this.#ids === null) this.#hasher.zeros(count)
  }

  holes(page: number, count: number): void {
    this.pages.setHoles(page, count)
    if (this.#ids === null) this.#hasher.holes(count)
  }

  /** @returns the hash in hexadecimal digits; once, last */
  idsSha256(): string {
    const ids = this.#ids
    if (ids === null) return this.#hasher.finish()
    const { count, end: last } = this.pages
    if (last === 0) return hashOfHoles(count)
    for (let page = 0; page < last; ) {
      const kind = this.#kindOf(page)
      let end = page + 1
      while (end < last && this.#kindOf(end) === kind) end += 1
      if (kind === zeroPage) this.#hasher.zeros(end - page)
      else if (kind === holePage) this.#hasher.holes(end - page)
      else this.#hasher.pages(ids.subarray(page * pageIdBytes, end * pageIdBytes))
      page = end
    }
    this.#hasher.holes(count - last)
    return this.#hasher.finish()
  }

  /** Pages in frames are all of one kind. */
  #kindOf(page: number): number {
    const frame = this.pages.frameOf(page)
    return frame < holePage ? 0 : frame
  }

  /** Ids, with room for that of a page. */
  #room(page: number): Buffer {
    const ids = this.#ids ?? Buffer.alloc(0)
    const neededBytes = (page + 1) * pageIdBytes
    if (neededBytes <= ids.length) return ids
    const most = this.pages.count * pageIdBytes
    const larger = Buffer.alloc(Math.min(most, Math.max(neededBytes, ids.length * 2, 4096 * pageIdBytes)))
    ids.copy(larger)
    this.#ids = larger
    return larger
  }
}

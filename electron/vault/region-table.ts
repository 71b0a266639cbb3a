/**
 * Where the pages of one region come to lie while a guest is captured, and the hash over their ids. Promises the hash of
 * `RegionHasher` whatever order the pages came in. Relies on `inOrder` regions getting each page once, from the first
 * to the last.
 *
 * Memory: five bytes a page, and 16 more where pages come in any order.
 */
import { pageIdBytes } from '../pages/page-id.ts'
import { RegionHasher } from './codec/region-hash.ts'
import { holePage, RegionPages, zeroPage } from './manifest-builder.ts'

export class RegionTable {
  readonly pages: RegionPages
  readonly #count: number
  readonly #hasher = new RegionHasher()
  /** The id of each page, for a region whose pages come in any order. */
  readonly #ids: Buffer | null

  /** @param order `any`: pages may come in any order, and what never comes is a hole */
  constructor(pages: number, order: 'in-order' | 'any') {
    this.#count = pages
    this.pages = new RegionPages(pages)
    this.#ids = order === 'any' ? Buffer.alloc(pages * pageIdBytes) : null
  }

  /** @param id 16 bytes; copied */
  page(page: number, frame: number, slot: number, id: Buffer): void {
    this.pages.set(page, frame, slot)
    if (this.#ids === null) this.#hasher.page(id)
    else this.#ids.set(id, page * pageIdBytes)
  }

  zeros(page: number, count: number): void {
    this.pages.frames.fill(zeroPage, page, page + count)
    if (this.#ids === null) this.#hasher.zeros(count)
  }

  holes(page: number, count: number): void {
    this.pages.frames.fill(holePage, page, page + count)
    if (this.#ids === null) this.#hasher.holes(count)
  }

  /** @returns the hash in hexadecimal digits; once, last */
  idsSha256(): string {
    const ids = this.#ids
    if (ids === null) return this.#hasher.finish()
    for (let page = 0; page < this.#count; page += 1) {
      const frame = this.pages.frames[page]
      if (frame === zeroPage) this.#hasher.zeros(1)
      else if (frame === holePage) this.#hasher.holes(1)
      else this.#hasher.page(ids, page * pageIdBytes)
    }
    return this.#hasher.finish()
  }
}

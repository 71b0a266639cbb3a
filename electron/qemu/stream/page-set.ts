/** A set of the pages of a guest's memory, one bit each. Promises constant time for all but `nextAbsent`. */
import type { RamBlock } from './grammar.ts'

const bitsPerWord = 32
const fullWord = 0xffffffff

export class PageSet {
  readonly #words: readonly Uint32Array[]
  #size = 0

  constructor(blocks: readonly RamBlock[]) {
    this.#words = blocks.map(({ pages }) => new Uint32Array(Math.ceil(pages / bitsPerWord)))
  }

  /** How many pages are in it. */
  get size(): number {
    return this.#size
  }

  has(block: number, page: number): boolean {
    const word = this.#words[block]?.[Math.floor(page / bitsPerWord)] ?? 0
    return (word & (1 << (page % bitsPerWord))) !== 0
  }

  /** @returns false when it was in it before */
  add(block: number, page: number): boolean {
    const words = this.#words[block]
    const index = Math.floor(page / bitsPerWord)
    const word = words?.[index]
    if (words === undefined || word === undefined) throw new RangeError(`no page ${page} in block ${block}`)
    const bit = 1 << (page % bitsPerWord)
    if ((word & bit) !== 0) return false
    words[index] = word | bit
    this.#size += 1
    return true
  }

  /** Adds neighbours; whole words at once, as memory that is not plugged in has millions of pages. @returns how many were new */
  addRange(block: number, page: number, count: number): number {
    const before = this.#size
    const words = this.#words[block]
    const end = page + count
    for (let at = page; at < end; ) {
      const index = at / bitsPerWord
      if (words !== undefined && at % bitsPerWord === 0 && at + bitsPerWord <= end && words[index] === 0) {
        words[index] = fullWord
        this.#size += bitsPerWord
        at += bitsPerWord
      } else {
        this.add(block, at)
        at += 1
      }
    }
    return this.#size - before
  }

  /** The first page of `page` … `end` − 1 that is not in it; `end` when all are. */
  nextAbsent(block: number, page: number, end: number): number {
    const words = this.#words[block] ?? new Uint32Array(0)
    let at = page
    while (at < end) {
      if (at % bitsPerWord === 0 && words[at / bitsPerWord] === fullWord) at += bitsPerWord
      else if (this.has(block, at)) at += 1
      else return at
    }
    return end
  }
}

/**
 * Where a page of some id may be: a table of addresses of a fixed size. Buckets of eight, in which what comes
 * later takes the place of what was there: some are forgotten, and some have another id by now, so whoever is
 * told an address asks whether the id is there still. Relies on ids being hashes: their bytes are taken as
 * they are.
 */

const ways = 8
/** An address plus one (0 is free, and so is all behind it in the bucket), and a part of the id. */
const entryWords = 2
const bucketWords = ways * entryWords

export class IdFinder {
  /** A bucket is 64 bytes: it is in the processor's cache or not. */
  readonly #words: Int32Array
  readonly #bucketMask: number
  #turn = 0

  /** @param entries a power of two, 16 at least */
  constructor(entries: number) {
    this.#words = new Int32Array(entries * entryWords)
    this.#bucketMask = entries / ways - 1
  }

  /** There is a page of this id at this address now. */
  add(ids: Uint8Array, at: number, address: number): void {
    this.addWords(wordOf(ids, at), wordOf(ids, at + 4), address)
  }

  /** The same, of the first two words of the id: quicker for whoever has them at hand. */
  addWords(start: number, mark: number, address: number): void {
    const words = this.#words
    const first = (start & this.#bucketMask) * bucketWords
    let entry = first
    while (entry < first + bucketWords && words[entry] !== 0 && words[entry + 1] !== mark) entry += entryWords
    if (entry === first + bucketWords) {
      entry = first + this.#turn * entryWords
      this.#turn = (this.#turn + 1) % ways
    }
    words[entry] = address + 1
    words[entry + 1] = mark
  }

  /** An address of which `has` says that it has this id; -1 when there is none. */
  find(ids: Uint8Array, at: number, has: (address: number, ids: Uint8Array, at: number) => boolean): number {
    const words = this.#words
    const first = (wordOf(ids, at) & this.#bucketMask) * bucketWords
    const mark = wordOf(ids, at + 4)
    for (let entry = first; entry < first + bucketWords; entry += entryWords) {
      const address = (words[entry] ?? 0) - 1
      if (address < 0) return -1
      if (words[entry + 1] === mark && has(address, ids, at)) return address
    }
    return -1
  }
}

function wordOf(ids: Uint8Array, at: number): number {
  const low = (ids[at] ?? 0) | ((ids[at + 1] ?? 0) << 8)
  return low | ((ids[at + 2] ?? 0) << 16) | ((ids[at + 3] ?? 0) << 24)
}

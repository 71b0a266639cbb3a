/**
 * Where known pages lie: from a 16-byte id to the number of a frame and the slot in it. Open addressing over an
 * index of 4-byte entry numbers; the entries themselves are only ever appended, in pieces that are never copied.
 *
 * Memory for each page: 21 bytes of entry and, at a load between 35 and 70 %, 6 to 12 bytes of index: 27 to 33
 * bytes, so 33 MB at most for a million pages (4 GB of distinct contents). While the index doubles, the old one
 * is there as well: 6 bytes more. Relies on ids being hashes: their first bytes are taken as they are.
 */
import { pageIdBytes } from './page-id.ts'

const idWords = pageIdBytes / 4
/** The id and the frame number. */
const entryWords = idWords + 1
const pieceBits = 14
const pieceEntries = 1 << pieceBits
const pieceMask = pieceEntries - 1
const smallestIndex = 1 << 10
const fullest = 0.7
/** Entry numbers plus one have to fit into 32 bits. */
const mostEntries = 2 ** 32 - 2

export class PageTable {
  /** Entry number plus one; 0 is free. */
  #index: Uint32Array
  #mask: number
  #size = 0
  readonly #words: Uint32Array[] = []
  readonly #slots: Uint8Array[] = []

  /** @param expected how many pages are to come: saves growing on the way */
  constructor(expected = 0) {
    this.#index = new Uint32Array(indexSizeFor(expected))
    this.#mask = this.#index.length - 1
  }

  /** How many pages are known. */
  get size(): number {
    return this.#size
  }

  /** What the table takes, in bytes. */
  get memoryBytes(): number {
    return this.#index.byteLength + this.#words.length * pieceEntries * (entryWords * 4 + 1)
  }

  /** The entry of the id at `offset` of `ids`; -1 when it is not known. */
  find(ids: Buffer, offset = 0): number {
    return (this.#index[this.#probe(ids, offset)] ?? 0) - 1
  }

  /**
   * Makes a page known unless it is already.
   * @returns the entry that was there, or -1 when it was added now
   */
  add(ids: Buffer, offset: number, frame: number, slot: number): number {
    let at = this.#probe(ids, offset)
    const known = this.#index[at] ?? 0
    if (known !== 0) return known - 1
    if (this.#size + 1 > this.#index.length * fullest) {
      this.#grow()
      at = this.#probe(ids, offset)
    }
    this.#index[at] = this.#append(ids, offset, frame, slot) + 1
    return -1
  }

  /** The frame that holds the page of an entry. */
  frameOf(entry: number): number {
    return this.#words[entry >>> pieceBits]?.[(entry & pieceMask) * entryWords + idWords] ?? 0
  }

  /** Which of the frame's pages it is, from 0. */
  slotOf(entry: number): number {
    return this.#slots[entry >>> pieceBits]?.[entry & pieceMask] ?? 0
  }

  /** The place in the index where the id is, or where it would be put. */
  #probe(ids: Buffer, offset: number): number {
    const first = ids.readUInt32LE(offset)
    let at = first & this.#mask
    for (;;) {
      const entry = (this.#index[at] ?? 0) - 1
      if (entry < 0 || this.#holds(entry, first, ids, offset)) return at
      at = (at + 1) & this.#mask
    }
  }

  #holds(entry: number, first: number, ids: Buffer, offset: number): boolean {
    const words = this.#words[entry >>> pieceBits]
    const at = (entry & pieceMask) * entryWords
    return (
      words !== undefined &&
      words[at] === first &&
      words[at + 1] === ids.readUInt32LE(offset + 4) &&
      words[at + 2] === ids.readUInt32LE(offset + 8) &&
      words[at + 3] === ids.readUInt32LE(offset + 12)
    )
  }

  #append(ids: Buffer, offset: number, frame: number, slot: number): number {
    const entry = this.#size
    if (entry >= mostEntries) throw new RangeError('the table of pages is full')
    const piece = entry >>> pieceBits
    let words = this.#words[piece]
    let slots = this.#slots[piece]
    if (words === undefined || slots === undefined) {
      words = new Uint32Array(pieceEntries * entryWords)
      slots = new Uint8Array(pieceEntries)
      this.#words.push(words)
      this.#slots.push(slots)
    }
    const at = (entry & pieceMask) * entryWords
    for (let word = 0; word < idWords; word += 1) words[at + word] = ids.readUInt32LE(offset + word * 4)
    words[at + idWords] = frame
    slots[entry & pieceMask] = slot
    this.#size += 1
    return entry
  }

  #grow(): void {
    const index = new Uint32Array(this.#index.length * 2)
    const mask = index.length - 1
    for (let entry = 0; entry < this.#size; entry += 1) {
      const first = this.#words[entry >>> pieceBits]?.[(entry & pieceMask) * entryWords] ?? 0
      let at = first & mask
      while (index[at] !== 0) at = (at + 1) & mask
      index[at] = entry + 1
    }
    this.#index = index
    this.#mask = mask
  }
}

function indexSizeFor(entries: number): number {
  let size = smallestIndex
  while (size * fullest < entries) size *= 2
  return size
}

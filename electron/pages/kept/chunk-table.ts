/**
 * What is known of each page of a guest: its id and where its content is. Promises that so many chunks are in
 * memory and no more, whatever the guest's size; the others are in the table of the last visit or, when
 * changed, in a scratch file. Only when that cannot be written, changed chunks stay in memory: both docks
 * have to go on with the same ids.
 *
 * Asking is cheap in the order of addresses: the chunk of the page asked for last is at hand.
 */
import { pageIdBytes } from '../page-id.ts'
import { Chunk, chunkMask, chunkPages, chunkShift, noPlace } from './chunk.ts'
import type { Scratch } from './scratch.ts'
import type { TableFile } from './table-file.ts'

interface Slot {
  readonly index: number
  readonly chunk: Chunk
  /** Which chunk is in it; -1 for none. */
  number: number
  isChanged: boolean
  /** Since the hand passed by. */
  isUsed: boolean
}

export interface ChunkTableOptions {
  chunks: number
  /** What is known from before. */
  table: TableFile | null
  scratch: Scratch
  /** Chunks in memory. */
  mostSlots: number
  /** The scratch file failed; what it could not take stays in memory. */
  onTrouble: (error: unknown) => void
}

/** Stands for every chunk of which nothing is known; never changed. */
const nothing: Slot = { index: -1, chunk: new Chunk(), number: -1, isChanged: false, isUsed: false }

export class ChunkTable {
  readonly #options: ChunkTableOptions
  readonly #pages: number
  readonly #slots: Slot[] = []
  /** Of each chunk: its slot, or -1. */
  readonly #slotOf: Int32Array
  /** Of each chunk: which of the table's it is, counted from 1; 0 when it is not there. */
  readonly #ordinals: Uint32Array
  #hand = 0
  #isStuck = false
  /** The chunk asked for last. */
  #number = -1
  #slot = nothing

  constructor(options: ChunkTableOptions) {
    this.#options = options
    this.#pages = options.chunks * chunkPages
    this.#slotOf = new Int32Array(options.chunks).fill(-1)
    this.#ordinals = new Uint32Array(options.chunks)
    let ordinal = 0
    for (const [first, count] of options.table?.header.chunks ?? []) {
      for (let chunk = first; chunk < first + count; chunk += 1) this.#ordinals[chunk] = ordinal += 1
    }
  }

  /** How many chunks memory is taken for. */
  get slots(): number {
    return this.#slots.length
  }

  /** The place of a page, or `noPlace`. */
  placeAt(address: number): number {
    return this.#chunkOf(address).places[address & chunkMask] ?? noPlace
  }

  idEquals(address: number, ids: Uint8Array, at: number): boolean {
    const chunk = this.#chunkOf(address)
    const page = address & chunkMask
    if (chunk.places[page] === noPlace) return false
    const known = chunk.ids
    const from = page * pageIdBytes
    for (let byte = 0; byte < pageIdBytes; byte += 1) {
      if (known[from + byte] !== ids[at + byte]) return false
    }
    return true
  }

  /** Copies the id of a page. @returns false when none is known */
  copyId(address: number, out: Buffer, at: number): boolean {
    const chunk = this.#chunkOf(address)
    const page = address & chunkMask
    if (chunk.places[page] === noPlace) return false
    chunk.ids.copy(out, at, page * pageIdBytes, (page + 1) * pageIdBytes)
    return true
  }

  set(address: number, ids: Uint8Array, at: number, place: number): void {
    if (!(address >= 0 && address < this.#pages)) throw new RangeError('no such page')
    this.#turnTo(address >>> chunkShift)
    if (this.#slot === nothing) this.#slot = this.#takeSlot(this.#number)
    const slot = this.#slot
    slot.isChanged = true
    const page = address & chunkMask
    slot.chunk.places[page] = place
    const known = slot.chunk.ids
    const to = page * pageIdBytes
    for (let byte = 0; byte < pageIdBytes; byte += 1) known[to + byte] = ids[at + byte] ?? 0
  }

  /** Nothing is known of these any more. */
  clear(address: number, count: number): void {
    const end = address + count
    if (!(address >= 0 && end <= this.#pages)) throw new RangeError('no such page')
    for (let from = address; from < end; ) {
      const number = from >>> chunkShift
      const to = Math.min(end, (number + 1) * chunkPages)
      if (to - from === chunkPages) this.#drop(number)
      else if (this.#isKnown(number)) this.#clearIn(number, from & chunkMask, to - from)
      from = to
    }
  }

  /**
   * Chunks of which something may be known, in order; good during the call. Nothing may be changed in
   * between.
   */
  eachChunk(tell: (number: number, chunk: Chunk) => boolean | undefined): void {
    for (let number = 0; number < this.#options.chunks; number += 1) {
      if (!this.#isKnown(number)) continue
      this.#turnTo(number)
      if (this.#slot !== nothing && tell(number, this.#slot.chunk) === false) return
    }
  }

  #chunkOf(address: number): Chunk {
    const number = address >>> chunkShift
    if (number !== this.#number || address >= this.#pages) this.#turnTo(address < this.#pages ? number : -1)
    return this.#slot.chunk
  }

  #clearIn(number: number, page: number, count: number): void {
    this.#turnTo(number)
    const { places } = this.#slot.chunk
    for (let at = page; at < page + count; at += 1) {
      if (places[at] === noPlace) continue
      places[at] = noPlace
      this.#slot.isChanged = true
    }
  }

  #isKnown(number: number): boolean {
    return (this.#slotOf[number] ?? -1) >= 0 || this.#isStored(number)
  }

  #isStored(number: number): boolean {
    return (this.#ordinals[number] ?? 0) > 0 || this.#options.scratch.has(number)
  }

  #turnTo(number: number): void {
    if (number === this.#number && this.#slot !== nothing) return
    this.#number = number
    const slot = this.#slots[this.#slotOf[number] ?? -1]
    if (slot !== undefined) {
      slot.isUsed = true
      this.#slot = slot
    } else this.#slot = this.#isStored(number) ? this.#load(number) : nothing
  }

  #load(number: number): Slot {
    const { scratch, table } = this.#options
    const slot = this.#takeSlot(number)
    const { bytes } = slot.chunk
    if (scratch.has(number)) {
      // It has been changed in this visit, and the table knows nothing of that.
      if (scratch.load(number, bytes)) return slot
    } else if (table?.readChunk((this.#ordinals[number] ?? 0) - 1, bytes)) return slot
    this.#drop(number)
    return nothing
  }

  #drop(number: number): void {
    const slot = this.#slots[this.#slotOf[number] ?? -1]
    if (slot !== undefined) {
      slot.number = -1
      slot.isChanged = false
    }
    this.#slotOf[number] = -1
    this.#ordinals[number] = 0
    this.#options.scratch.forget(number)
    if (number === this.#number) this.#slot = nothing
  }

  /** An empty slot, for this chunk from now on. */
  #takeSlot(number: number): Slot {
    const slot = (this.#slots.length < this.#options.mostSlots ? null : this.#findSlot()) ?? this.#addSlot()
    if (slot.number >= 0) this.#slotOf[slot.number] = -1
    slot.number = number
    slot.isUsed = true
    slot.isChanged = false
    slot.chunk.empty()
    this.#slotOf[number] = slot.index
    return slot
  }

  #addSlot(): Slot {
    const slot = {
      index: this.#slots.length,
      chunk: new Chunk(),
      number: -1,
      isChanged: false,
      isUsed: false,
    }
    this.#slots.push(slot)
    return slot
  }

  /** A slot that nobody used since the hand passed by, and whose chunk is safe; null when there is none. */
  #findSlot(): Slot | null {
    for (let left = this.#slots.length * 2; left > 0; left -= 1) {
      const slot = this.#slots[this.#hand]
      this.#hand = (this.#hand + 1) % this.#slots.length
      if (slot === undefined) continue
      if (slot.number < 0) return slot
      if (slot.isUsed) slot.isUsed = false
      else if (this.#isSafe(slot)) return slot
    }
    return null
  }

  #isSafe(slot: Slot): boolean {
    if (!slot.isChanged) return true
    if (this.#isStuck) return false
    try {
      this.#options.scratch.save(slot.number, slot.chunk.bytes)
      slot.isChanged = false
      return true
    } catch (error) {
      this.#isStuck = true
      this.#options.onTrouble(error)
      return false
    }
  }
}

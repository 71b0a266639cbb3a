/**
 * Frames by number: in which pack each lies, and where. The numbers stand for frames everywhere in one process
 * (page table, region tables) and are never stored: formats name a frame by its pack and ordinal. A frame gets
 * its number when its first page is collected and its place when it has been sealed; until then it has none.
 *
 * Memory: 17 bytes a frame, about one for each page, and at most as much again for room to grow.
 */

/** Where a frame lies. */
export interface FramePlace {
  /** The number of its pack in this table. */
  pack: number
  /** Which frame of the pack it is, from 0. */
  ordinal: number
  /** Where it begins in the pack, in bytes. */
  offset: number
  /** How long it is, sealed. */
  sealedBytes: number
  /** How many pages it holds. */
  pages: number
}

const packIdBytes = 16
/** In the column of packs, for a frame that is not sealed yet. */
const unplaced = 2 ** 32 - 1
const columns = 4
const smallest = 1 << 10

export class FrameTable {
  readonly #packs: Buffer[] = []
  /** Pack, ordinal, offset and sealed length of each frame. */
  #places = new Uint32Array(smallest * columns)
  #pages = new Uint8Array(smallest)
  #size = 0

  /** How many frames have numbers; the next one gets this. */
  get size(): number {
    return this.#size
  }

  get packCount(): number {
    return this.#packs.length
  }

  /** @param packId 16 bytes; copied. @returns the pack's number */
  addPack(packId: Uint8Array): number {
    if (packId.length !== packIdBytes) throw new RangeError('a pack id has 16 bytes')
    return this.#packs.push(Buffer.from(packId)) - 1
  }

  /** The id of a pack, 16 bytes, not to be changed. @throws RangeError when there is no such pack */
  packId(pack: number): Buffer {
    const id = this.#packs[pack]
    if (id === undefined) throw new RangeError(`no pack ${pack}`)
    return id
  }

  /** A frame that is already in a pack. @returns its number */
  add(place: FramePlace): number {
    const frame = this.reserve()
    this.settle(frame, place)
    return frame
  }

  /** A number for a frame that is going to be sealed. */
  reserve(): number {
    const frame = this.#size
    if (frame === this.#pages.length) this.#grow()
    this.#size += 1
    this.#places[frame * columns] = unplaced
    return frame
  }

  /** Tells where a reserved frame has come to lie. */
  settle(frame: number, place: FramePlace): void {
    if (frame >= this.#size || place.pack >= this.#packs.length) throw new RangeError(`no frame ${frame}`)
    const at = frame * columns
    this.#places[at] = place.pack
    this.#places[at + 1] = place.ordinal
    this.#places[at + 2] = place.offset
    this.#places[at + 3] = place.sealedBytes
    this.#pages[frame] = place.pages
  }

  /** Where a frame lies; null while it has not been sealed. @throws RangeError when there is no such frame */
  place(frame: number): FramePlace | null {
    if (!(frame >= 0 && frame < this.#size)) throw new RangeError(`no frame ${frame}`)
    const [pack = unplaced, ordinal = 0, offset = 0, sealedBytes = 0] = this.#places.subarray(
      frame * columns,
      frame * columns + columns,
    )
    if (pack === unplaced) return null
    return { pack, ordinal, offset, sealedBytes, pages: this.#pages[frame] ?? 0 }
  }

  #grow(): void {
    const places = new Uint32Array(this.#places.length * 2)
    places.set(this.#places)
    this.#places = places
    const pages = new Uint8Array(this.#pages.length * 2)
    pages.set(this.#pages)
    this.#pages = pages
  }
}

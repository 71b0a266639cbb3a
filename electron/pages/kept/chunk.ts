/**
 * A chunk of the table: what is known of 1024 pages, one behind the other. First their ids, then their places
 * (u32, little-endian like the processors that this runs on): in memory and on disk the same bytes. Relies on
 * nothing.
 */
import { pageIdBytes } from '../page-id.ts'

export const chunkShift = 10
export const chunkPages = 1 << chunkShift
export const chunkMask = chunkPages - 1
export const wordsOfId = pageIdBytes / 4
const idsBytes = chunkPages * pageIdBytes
export const chunkBytes = idsBytes + chunkPages * 4

/** Nothing is known of the page. */
export const noPlace = 0xffffffff
/** Its id is known, its content is not here. */
export const foreignPlace = 0xfffffffe

export class Chunk {
  readonly bytes = Buffer.alloc(chunkBytes)
  readonly ids = this.bytes.subarray(0, idsBytes)
  /** The ids again, four words each. */
  readonly idWords = new Int32Array(this.bytes.buffer, this.bytes.byteOffset, chunkPages * wordsOfId)
  readonly places = new Uint32Array(this.bytes.buffer, this.bytes.byteOffset + idsBytes, chunkPages)

  constructor() {
    this.empty()
  }

  empty(): void {
    this.places.fill(noPlace)
  }
}

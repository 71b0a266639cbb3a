/**
 * Pages of a guest's memory that wait to be packed, in the order in which they came. A page that comes again while it
 * waits takes the place of what came before, so that what a running guest changes over and over is packed once. Takes
 * the memory of as many pages as were ever held at once; what was used last is used next.
 */
import { pageBytes, pageIdBytes } from '../pages/page-id.ts'

const piecePages = 256

/** A page that was held, where it was: valid until another one comes. */
export interface HeldPage {
  block: number
  page: number
  /** The page is at `offset` of it. */
  bytes: Buffer
  offset: number
  /** 16 bytes. */
  id: Buffer
}

interface Piece {
  bytes: Buffer
  ids: Buffer
}

/** More than a block has pages (codec/limits.ts). */
const keysOfBlock = 2 ** 32

export class HeldPages {
  /** By page, in the order in which they came: the number of its place. */
  readonly #places = new Map<number, number>()
  /** Goes on where it was, also over what has come since. */
  #order = this.#places.entries()
  readonly #pieces: Piece[] = []
  readonly #free: number[] = []

  get size(): number {
    return this.#places.size
  }

  /** @param bytes a page; copied @param id 16 bytes; copied */
  hold(block: number, page: number, bytes: Buffer, id: Buffer): void {
    const key = block * keysOfBlock + page
    const held = this.#places.get(key)
    const place = held ?? this.#freePlace()
    if (held === undefined) this.#places.set(key, place)
    const piece = this.#piece(place)
    const at = place % piecePages
    piece.ids.set(id, at * pageIdBytes)
    bytes.copy(piece.bytes, at * pageBytes, 0, pageBytes)
  }

  /** What is held of a page, if anything, is not wanted any more. */
  drop(block: number, page: number): void {
    const key = block * keysOfBlock + page
    const place = this.#places.get(key)
    if (place === undefined) return
    this.#places.delete(key)
    this.#free.push(place)
  }

  /** The page that has been held longest, which no longer is; null when there is none. */
  take(): HeldPage | null {
    const [key, place] = this.#first() ?? []
    if (key === undefined || place === undefined) return null
    this.#places.delete(key)
    this.#free.push(place)
    const { bytes, ids } = this.#piece(place)
    const at = place % piecePages
    const id = ids.subarray(at * pageIdBytes, (at + 1) * pageIdBytes)
    return {
      block: Math.floor(key / keysOfBlock),
      page: key % keysOfBlock,
      ...{ bytes, offset: at * pageBytes, id },
    }
  }

  #first(): [number, number] | undefined {
    const next = this.#order.next()
    if (!next.done) return next.value
    // An iterator that has once come to the end stays there.
    this.#order = this.#places.entries()
    return this.#order.next().value
  }

  #freePlace(): number {
    const free = this.#free.pop()
    if (free !== undefined) return free
    const start = this.#pieces.length * piecePages
    this.#pieces.push({
      bytes: Buffer.allocUnsafeSlow(piecePages * pageBytes),
      ids: Buffer.allocUnsafeSlow(piecePages * pageIdBytes),
    })
    for (let place = start + piecePages - 1; place > start; place -= 1) this.#free.push(place)
    return start
  }

  #piece(place: number): Piece {
    const piece = this.#pieces[Math.floor(place / piecePages)]
    if (piece === undefined) throw new RangeError(`no place ${place}`)
    return piece
  }
}

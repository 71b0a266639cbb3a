/**
 * Cuts pieces of any size into items of known length. Promises no copy of an item that lies in one piece. Relies on its
 * caller to use up a piece before it gives the next, and to be done with an item before it takes the next.
 */
export class ItemReader {
  readonly #joint: Buffer
  #jointBytes = 0
  #piece: Buffer = Buffer.alloc(0)
  #at = 0
  /** Where the item is that was taken last. */
  item: Buffer
  itemAt = 0

  /** @param maxItemBytes the longest item there is */
  constructor(maxItemBytes: number) {
    this.#joint = Buffer.alloc(maxItemBytes)
    this.item = this.#joint
  }

  /** How much of the piece is used up. */
  get usedBytes(): number {
    return this.#at
  }

  feed(piece: Buffer): void {
    this.#piece = piece
    this.#at = 0
  }

  /** Goes to the next item. @returns false when the piece ends before the item does */
  take(wantedBytes: number): boolean {
    const leftBytes = this.#piece.length - this.#at
    if (this.#jointBytes === 0 && leftBytes >= wantedBytes) {
      this.item = this.#piece
      this.itemAt = this.#at
      this.#at += wantedBytes
      return true
    }
    const count = Math.min(wantedBytes - this.#jointBytes, leftBytes)
    this.#piece.copy(this.#joint, this.#jointBytes, this.#at, this.#at + count)
    this.#at += count
    this.#jointBytes += count
    if (this.#jointBytes < wantedBytes) return false
    this.#jointBytes = 0
    this.item = this.#joint
    this.itemAt = 0
    return true
  }

  /** What is left of the piece, which is then used up. */
  takeRest(): Buffer {
    const rest = this.#piece.subarray(this.#at)
    this.#at = this.#piece.length
    return rest
  }
}

/** Bytes that are collected: appending costs the same however small the pieces are. */
export class GrowingBytes {
  #bytes = Buffer.alloc(0)
  #length = 0

  get length(): number {
    return this.#length
  }

  append(piece: Uint8Array): void {
    const length = this.#length + piece.length
    if (length > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(length, this.#bytes.length * 2, 4096))
      this.#bytes.copy(larger, 0, 0, this.#length)
      this.#bytes = larger
    }
    this.#bytes.set(piece, this.#length)
    this.#length = length
  }

  /** What has been collected, not copied: valid until more is appended. */
  view(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }
}

/**
 * Memory for pieces that are read, delivered and given back in one order: a ring. New memory for each piece would cost
 * as much as reading it, and pieces of many sizes would leave free memory in useless ones. Promises that what was
 * taken is nobody else's until it is given back.
 */
export class PieceMemory {
  readonly #bytes: Buffer
  /** Where each piece that is out begins, oldest first; null for one that is not in the ring. */
  readonly #out: (number | null)[] = []
  /** Where the next piece begins, if there is room. */
  #next = 0

  constructor(sizeBytes: number) {
    this.#bytes = Buffer.allocUnsafeSlow(sizeBytes)
  }

  /** Memory for a piece; new memory, outside of the ring, when there is no room in it. */
  take(sizeBytes: number): Buffer {
    const start = this.#place(sizeBytes)
    this.#out.push(start)
    if (start === null) return Buffer.allocUnsafeSlow(sizeBytes)
    this.#next = start + sizeBytes
    return this.#bytes.subarray(start, start + sizeBytes)
  }

  /** The oldest piece that is out is not used any more. */
  giveBack(): void {
    this.#out.shift()
  }

  #place(sizeBytes: number): number | null {
    const oldest = this.#out.find((start) => start !== null)
    if (oldest === undefined || oldest === null) return sizeBytes <= this.#bytes.length ? 0 : null
    // The pieces that are out lie from the oldest to the next, over the end of the ring when that is before it.
    if (this.#next <= oldest) return this.#next + sizeBytes <= oldest ? this.#next : null
    if (this.#next + sizeBytes <= this.#bytes.length) return this.#next
    return sizeBytes <= oldest ? 0 : null
  }
}

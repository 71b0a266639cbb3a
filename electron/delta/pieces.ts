/**
 * The memory that QEMU's stream is read into: large pieces, used again and again, in which what was not taken yet stands
 * right in front of what is read next. Promises that a piece in which pages are still needed is not written to.
 */
const pieceBytes = 1024 * 1024
/** What is read at once; with less room than that, a new piece is begun. */
const readBytes = 128 * 1024

export class Pieces {
  piece: Buffer = Buffer.allocUnsafeSlow(pieceBytes)
  /** What was read and not taken is between these. */
  from = 0
  to = 0
  readonly #free: Buffer[] = []
  readonly #held = new Map<Buffer, number>()

  /** Room for the next read. */
  room(): Buffer {
    if (this.piece.length - this.to < readBytes) this.#next()
    return this.piece.subarray(this.to, this.to + readBytes)
  }

  filled(count: number): void {
    this.to += count
  }

  taken(to: number): void {
    this.from = to
  }

  hold(piece: Buffer): void {
    this.#held.set(piece, (this.#held.get(piece) ?? 0) + 1)
  }

  release(piece: Buffer): void {
    const times = (this.#held.get(piece) ?? 1) - 1
    if (times > 0) {
      this.#held.set(piece, times)
      return
    }
    this.#held.delete(piece)
    if (piece !== this.piece) this.#reuse(piece)
  }

  #next(): void {
    const left = this.piece.subarray(this.from, this.to)
    // While nothing is taken, more than a piece can come together.
    const isLong = left.length + readBytes > pieceBytes
    const next = isLong
      ? Buffer.allocUnsafeSlow(left.length + pieceBytes)
      : (this.#free.pop() ?? Buffer.allocUnsafeSlow(pieceBytes))
    left.copy(next)
    if (!this.#held.has(this.piece)) this.#reuse(this.piece)
    this.piece = next
    this.from = 0
    this.to = left.length
  }

  #reuse(piece: Buffer): void {
    if (piece.length === pieceBytes) this.#free.push(piece)
  }
}

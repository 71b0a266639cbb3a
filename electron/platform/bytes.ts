/**
 * Reading and writing the binary parts of objects: bytes and LEB128 varints. A reader never runs past its end, never
 * loops without eating bytes, takes each number in its one shortest form, and fails only with the error that its owner gave it.
 */
import type { WdockError } from '../../shared/errors/index.ts'

/** Makes the error of the object that is read; `why` is technical detail. */
export type BadBytes = (why: string) => WdockError

/** Seven groups of seven bits stay below 2^49, so that sums of them stay exact. */
const maxVarintBytes = 7

/** Bytes that grow as they are written. */
export class ByteWriter {
  #buffer: Buffer
  #length = 0

  constructor(expectedBytes = 256) {
    this.#buffer = Buffer.allocUnsafe(expectedBytes)
  }

  get length(): number {
    return this.#length
  }

  u8(value: number): void {
    this.#reserve(1)
    this.#buffer[this.#length++] = value
  }

  /** An unsigned varint, 0 ≤ value < 2^49. */
  uv(value: number): void {
    if (!(value >= 0 && value < 2 ** 49)) throw new RangeError(`not a varint: ${value}`)
    this.#reserve(maxVarintBytes)
    let rest = value
    while (rest >= 0x80) {
      this.#buffer[this.#length++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#buffer[this.#length++] = rest
  }

  /** A signed varint in zigzag order (0, −1, 1, −2, …). */
  sv(value: number): void {
    this.uv(value >= 0 ? value * 2 : -value * 2 - 1)
  }

  bytes(part: Uint8Array): void {
    this.#reserve(part.length)
    this.#buffer.set(part, this.#length)
    this.#length += part.length
  }

  /** What was written; the writer is not to be used any more. */
  finish(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + count))
    this.#buffer.copy(larger, 0, 0, this.#length)
    this.#buffer = larger
  }
}

export class ByteReader {
  readonly #buffer: Buffer
  readonly #bad: BadBytes
  #at = 0

  constructor(buffer: Buffer, bad: BadBytes) {
    this.#buffer = buffer
    this.#bad = bad
  }

  get remaining(): number {
    return this.#buffer.length - this.#at
  }

  u8(): number {
    const value = this.#buffer[this.#at]
    if (value === undefined) throw this.#bad('it ends too early')
    this.#at += 1
    return value
  }

  uv(): number {
    let value = 0
    let scale = 1
    for (let count = 1; count <= maxVarintBytes; count += 1) {
      const byte = this.u8()
      value += (byte & 0x7f) * scale
      if (byte < 0x80) {
        if (byte === 0 && count > 1) throw this.#bad('a number is longer than it need be')
        return value
      }
      scale *= 0x80
    }
    throw this.#bad('a number is too large')
  }

  sv(): number {
    const value = this.uv()
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }

  /**
   * How many things follow, each of which takes at least `leastBytes`: so a count that cannot be true is refused
   * before memory is reserved for it.
   */
  count(limit: number, leastBytes: number): number {
    const value = this.uv()
    if (value > limit) throw this.#bad(`${value} where at most ${limit} are allowed`)
    if (value * leastBytes > this.remaining) throw this.#bad('it ends too early')
    return value
  }

  /** A view of the next bytes, not a copy. */
  take(count: number): Buffer {
    if (count > this.remaining) throw this.#bad('it ends too early')
    const part = this.#buffer.subarray(this.#at, this.#at + count)
    this.#at += count
    return part
  }

  /** Says that nothing may follow. */
  end(): void {
    if (this.remaining > 0) throw this.#bad(`${this.remaining} bytes too many`)
  }
}

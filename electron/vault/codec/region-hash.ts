/**
 * What a region holds, in one hash: SHA-256 of its page ids in order (FORMAT.md, "Manifest"). A page of zeros counts as
 * 16 bytes of zeros, a hole as 16 bytes of ones: no page has these for its id but by a chance of 2^-128.
 */
import { createHash } from 'node:crypto'
import { pageIdBytes } from '../../pages/page-id.ts'

const batchPages = 1024

/** Takes pages in order, in batches; a hash call for every 16 bytes would cost more than hashing. */
export class RegionHasher {
  readonly #hash = createHash('sha256')
  readonly #batch = Buffer.alloc(batchPages * pageIdBytes)
  #length = 0

  /** The page whose id is at `offset` of `ids`. */
  page(ids: Uint8Array, offset = 0): void {
    const at = this.#next()
    this.#batch.set(ids.subarray(offset, offset + pageIdBytes), at)
  }

  zeros(count: number): void {
    this.#fill(count, 0)
  }

  holes(count: number): void {
    this.#fill(count, 0xff)
  }

  /** @returns the hash in hexadecimal digits */
  finish(): string {
    this.#hash.update(this.#batch.subarray(0, this.#length))
    return this.#hash.digest('hex')
  }

  #fill(count: number, value: number): void {
    for (let page = 0; page < count; page += 1) {
      const at = this.#next()
      this.#batch.fill(value, at, at + pageIdBytes)
    }
  }

  #next(): number {
    if (this.#length === this.#batch.length) {
      this.#hash.update(this.#batch)
      this.#length = 0
    }
    this.#length += pageIdBytes
    return this.#length - pageIdBytes
  }
}

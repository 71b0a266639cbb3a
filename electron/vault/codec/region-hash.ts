/**
 * What a region holds, in one hash: SHA-256 of its page ids in order (FORMAT.md, "Manifest"). A page of zeros counts as
 * 16 bytes of zeros, a hole as 16 bytes of ones: no page has these for its id but by a chance of 2^-128.
 */
import { createHash } from 'node:crypto'
import { pageIdBytes } from '../../pages/page-id.ts'

const batchPages = 4096

/** Takes pages in order, in batches; a hash call for every 16 bytes would cost more than hashing. */
export class RegionHasher {
  readonly #hash = createHash('sha256')
  readonly #batch = Buffer.alloc(batchPages * pageIdBytes)
  #length = 0

  /** The page whose id is at `offset` of `ids`. */
  page(ids: Uint8Array, offset = 0): void {
    if (this.#length === this.#batch.length) this.#flush()
    for (let byte = 0; byte < pageIdBytes; byte += 1)
      this.#batch[this.#length + byte] = ids[offset + byte] ?? 0
    this.#length += pageIdBytes
  }

  /** Neighbouring pages, whose ids are `ids`. */
  pages(ids: Uint8Array): void {
    this.#flush()
    this.#hash.update(ids)
  }

  zeros(count: number): void {
    this.#fill(count, 0)
  }

  holes(count: number): void {
    this.#fill(count, 0xff)
  }

  /** @returns the hash in hexadecimal digits */
  finish(): string {
    this.#flush()
    return this.#hash.digest('hex')
  }

  #fill(count: number, value: number): void {
    for (let left = count * pageIdBytes; left > 0; ) {
      if (this.#length === this.#batch.length) this.#flush()
      const bytes = Math.min(left, this.#batch.length - this.#length)
      this.#batch.fill(value, this.#length, this.#length + bytes)
      this.#length += bytes
      left -= bytes
    }
  }

  #flush(): void {
    this.#hash.update(this.#batch.subarray(0, this.#length))
    this.#length = 0
  }
}

/** Room for memory that is not plugged in is the same at each checkpoint of a guest, and large. */
const ofHoles = new Map<number, string>()

/** The hash of a region that is one hole, remembered. */
export function hashOfHoles(pages: number): string {
  const known = ofHoles.get(pages)
  if (known !== undefined) return known
  const hasher = new RegionHasher()
  hasher.holes(pages)
  const hash = hasher.finish()
  ofHoles.set(pages, hash)
  return hash
}

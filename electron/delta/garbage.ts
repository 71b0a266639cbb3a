/**
 * Collects young garbage by what was done, not by when V8 thinks of it: each message, each frame opened and each body
 * unpacked leaves a buffer behind, outside of V8's heap, and V8 would let a hundred megabytes of them come together.
 */
import { collectYoungGarbage } from '../platform/young-garbage.ts'

/** A collection takes under a millisecond. */
const everyBytes = 8 * 1024 * 1024

export class Garbage {
  #bytes = 0

  /** So many bytes of the stream have been worked on. */
  made(bytes: number): void {
    this.#bytes += bytes
    if (this.#bytes < everyBytes) return
    this.#bytes = 0
    collectYoungGarbage()
  }
}

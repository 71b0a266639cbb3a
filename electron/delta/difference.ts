/** A page as its difference to another one. Pure. */
import { pageBytes } from './grammar.ts'

const words = pageBytes / 4
/** With more of it changed, the page compresses as well by itself. */
const mostChangedWords = words / 2

export class Difference {
  /** Where the older page goes; then, the difference is here. */
  readonly bytes: Buffer = Buffer.from(new ArrayBuffer(pageBytes))
  readonly #words = new Uint32Array(this.bytes.buffer, 0, words)
  readonly #page = Buffer.from(new ArrayBuffer(pageBytes))
  readonly #pageWords = new Uint32Array(this.#page.buffer, 0, words)

  /** Turns the older page in `bytes` into the difference. @returns whether it is small */
  take(piece: Uint8Array, at: number): boolean {
    this.#page.set(piece.subarray(at, at + pageBytes))
    const older = this.#words
    const newer = this.#pageWords
    let changed = 0
    for (let word = 0; word < words; word += 1) {
      const difference = (older[word] ?? 0) ^ (newer[word] ?? 0)
      older[word] = difference
      if (difference !== 0) changed += 1
    }
    return changed <= mostChangedWords
  }
}

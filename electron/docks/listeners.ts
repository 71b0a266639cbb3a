/** A list of callbacks. Promises that one which throws neither stops the others nor reaches who tells. */
import type { Log } from '../platform/log.ts'

export class Listeners<Arguments extends unknown[]> {
  readonly #listeners = new Set<(...values: Arguments) => void>()
  readonly #log: Log

  constructor(log: Log) {
    this.#log = log
  }

  /** @returns what removes it again */
  add(listener: (...values: Arguments) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  tell(...values: Arguments): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(...values)
      } catch (error) {
        this.#log.error('listener failed', { error })
      }
    }
  }
}

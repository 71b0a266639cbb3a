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

export type DockListeners = ReturnType<typeof listenersOver>

/** Who wants to hear what of docks. */
export function listenersOver(log: Log) {
  return {
    peersChanged: new Listeners<[]>(log),
    pairingChanged: new Listeners<[]>(log),
    unpaired: new Listeners<[dockId: string]>(log),
    online: new Listeners<[dockId: string]>(log),
    offline: new Listeners<[dockId: string]>(log),
  }
}

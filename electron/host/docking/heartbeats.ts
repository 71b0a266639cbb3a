/** The pace at which docks are asked for signs of life: quick while any move to them is on, else calm. */
import type { PeerNet } from '../peer-calls.ts'
import { movingHeartbeatMs, restingHeartbeatMs } from './tuning.ts'

export class Heartbeats {
  readonly #net: PeerNet
  readonly #moves = new Map<string, number>()

  constructor(net: PeerNet) {
    this.#net = net
  }

  /** @returns what ends the hurry of this one move; further calls do nothing */
  hurry(dockId: string): () => void {
    this.#moves.set(dockId, (this.#moves.get(dockId) ?? 0) + 1)
    this.#net.setHeartbeat(dockId, movingHeartbeatMs)
    let over = false
    return () => {
      if (over) return
      over = true
      const left = (this.#moves.get(dockId) ?? 1) - 1
      if (left > 0) {
        this.#moves.set(dockId, left)
        return
      }
      this.#moves.delete(dockId)
      this.#net.setHeartbeat(dockId, restingHeartbeatMs)
    }
  }
}

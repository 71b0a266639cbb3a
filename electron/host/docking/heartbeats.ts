/**
 * The pace at which docks are asked for signs of life: that of the most anxious move to or from them, else calm.
 */
import type { PeerNet } from '../peer-calls.ts'
import { movingHeartbeatMs, restingHeartbeatMs } from './tuning.ts'

export class Heartbeats {
  readonly #net: PeerNet
  readonly #paces = new Map<string, { everyMs: number }[]>()

  constructor(net: PeerNet) {
    this.#net = net
  }

  /** @returns what ends the hurry of this one move; further calls do nothing */
  hurry(dockId: string, everyMs = movingHeartbeatMs): () => void {
    const pace = { everyMs }
    this.#set(dockId, [...(this.#paces.get(dockId) ?? []), pace])
    return () => {
      const paces = this.#paces.get(dockId) ?? []
      if (!paces.includes(pace)) return
      this.#set(
        dockId,
        paces.filter((each) => each !== pace),
      )
    }
  }

  #set(dockId: string, paces: { everyMs: number }[]): void {
    if (paces.length === 0) this.#paces.delete(dockId)
    else this.#paces.set(dockId, paces)
    this.#net.setHeartbeat(dockId, Math.min(restingHeartbeatMs, ...paces.map((pace) => pace.everyMs)))
  }
}

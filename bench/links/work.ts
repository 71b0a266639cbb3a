/** Gives both guests of a comparison the same to do, and says how much of their memory it changes. */
import { setTimeout as wait } from 'node:timers/promises'
import { median } from '../lib/report.ts'
import type { TwoSides } from '../lib/two-sides.ts'
import type { Load, Workload } from './plan.ts'

/** With the 8 MB of `dirty` 150 MB of random bytes, whether they rest or not. */
const fillMebibytes = 142
/** So that all 8 MB were written once. */
const dirtyOnceMs = 2000
const beginMs = 10_000
const rateLooks = 3

/** What a guest was given stays with it, so each load holds those before. */
export class Work {
  readonly #sides: TwoSides
  #isFilled = false

  constructor(sides: TwoSides) {
    this.#sides = sides
  }

  async begin(load: Load | Workload): Promise<void> {
    if (load === 'idle') return
    if (load === 'fill' || load === 'dirty') await this.#fill()
    if (load === 'fill') return
    await this.#sides.tellBoth(`load ${load}`, 'load ok')
    await this.#runBoth(beginMs)
  }

  /** @returns bytes within a second, of the peer's guest, which does the same */
  async dirtyRate(): Promise<number> {
    const { peer } = this.#sides
    return await this.#sides.during(peer, async () => {
      await wait(dirtyOnceMs)
      const rates: number[] = []
      while (rates.length < rateLooks) rates.push(await peer.dirtyRate())
      return median(rates)
    })
  }

  async #fill(): Promise<void> {
    if (this.#isFilled) return
    await this.#sides.tellBoth(`fill ${fillMebibytes}`, 'fill ok')
    await this.#sides.tellBoth('load dirty', 'load ok')
    await this.#runBoth(dirtyOnceMs)
    await this.#sides.tellBoth('load none', 'load ok')
    this.#isFilled = true
  }

  async #runBoth(ms: number): Promise<void> {
    for (const side of [this.#sides.ours, this.#sides.peer]) await this.#sides.during(side, () => wait(ms))
  }
}

/**
 * A real dock with a real guest and a real vault, killed at any instant of any work with checkpoints. Promises a verdict
 * in words: that the guest runs on, that every checkpoint which was promised is listed, that each that is listed is
 * whole, and that nothing else is left. `destroy` leaves nothing.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { WdockError } from '../../shared/errors/index.ts'
import { VaultFaultBench } from './vault-fault-bench.ts'
import { verdictOn } from './vault-fault-verdict.ts'
import {
  doWork,
  nothingSeen,
  prepareWork,
  type Seen,
  usuallyMs,
  type VaultWork,
  vaultWorks,
} from './vault-fault-works.ts'

export interface VaultCase {
  work: VaultWork
  victim: 'host' | 'store'
  /** When it is killed: 0 at the beginning of the work, 1 at its usual end; null never. */
  at: number | null
  /** When it is killed again: so many ms after it was back. */
  againMs: readonly number[]
  /** Chooses the checkpoint, 0 to 1. */
  which: number
  /** For how long the store stays away. */
  awayMs: number
}

export class VaultFaultRig {
  readonly #bench: VaultFaultBench
  /** How long each work takes here, in ms; corrected as it is seen. */
  readonly usualMs: Record<VaultWork, number>

  private constructor(bench: VaultFaultBench, usualMs: Readonly<Record<VaultWork, number>>) {
    this.#bench = bench
    this.usualMs = { ...usualMs }
  }

  /** Starts everything; the guest runs, and has one checkpoint. */
  static async create(store: 'folder' | 'azurite', usualMs = usuallyMs): Promise<VaultFaultRig> {
    const bench = await VaultFaultBench.create(store)
    try {
      await doWork(bench, 'make a checkpoint', '')
      return new VaultFaultRig(bench, usualMs)
    } catch (error) {
      await bench.destroy()
      throw error
    }
  }

  /** Does every work once without a blow, to know how long it takes. @returns what is wrong */
  async measure(): Promise<string[]> {
    const wrong: string[] = []
    for (const work of vaultWorks) wrong.push(...(await this.strike(undisturbed(work, 0))))
    return wrong
  }

  async destroy(): Promise<void> {
    await this.#bench.destroy()
  }

  /** The end of the host's log, for whoever looks for the reason. */
  async lastWords(): Promise<string[]> {
    return await this.#bench.lastWords()
  }

  /** Does a work, strikes, brings back what was killed. @returns what is wrong afterwards */
  async strike(one: VaultCase): Promise<string[]> {
    const { work, victim, at, which } = one
    const target = await prepareWork(this.#bench, work, which)
    const before = new Set((await this.#bench.dock.state()).checkpoints.map(({ id }) => id))
    const seen = nothingSeen()
    const working = this.#follow(work, target.id, seen)
    if (at === null) await working
    else await wait(this.usualMs[work] * at)
    const errorBefore = seen.ended ? seen.error : null
    if (at !== null) await this.#deal(one)
    await working
    const error = victim === 'store' ? seen.error : errorBefore
    const wrong = error === null || isOfTheStore(error) ? [] : [`the work failed: ${error}`]
    return [...wrong, ...(await verdictOn(this.#bench, { work, target, before, seen }))]
  }

  async #follow(work: VaultWork, checkpointId: string, seen: Seen): Promise<void> {
    const startedMs = performance.now()
    try {
      await doWork(this.#bench, work, checkpointId, seen)
      this.usualMs[work] = performance.now() - startedMs
    } catch (error) {
      seen.error = error instanceof WdockError ? error.code : String(error)
    }
    seen.ended = true
  }

  async #deal({ victim, againMs, awayMs }: VaultCase): Promise<void> {
    await this.#bench.kill(victim, awayMs)
    for (const ms of againMs) {
      await wait(ms)
      await this.#bench.kill(victim, awayMs)
    }
  }

  /** A random checkpoint comes back as a copy; then the space of all that is not listed is free. @returns what is wrong */
  async finish(which: number): Promise<string[]> {
    const wrong = await this.strike(undisturbed('restore a copy', which))
    const { damaged } = await this.#bench.dock.client.vault.check({ readData: true })
    for (const { checkpointId, error } of damaged) wrong.push(`${checkpointId} is damaged: ${error.message}`)
    return [...wrong, ...(await this.#bench.audit())]
  }
}

function undisturbed(work: VaultWork, which: number): VaultCase {
  return { work, victim: 'host', at: null, againMs: [], which, awayMs: 0 }
}

/** A store that is away may end what cannot wait for it. */
function isOfTheStore(code: string): boolean {
  return code.startsWith('store.')
}

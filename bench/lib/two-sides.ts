/**
 * Ours and a peer on one shaped link, a guest on each, of which only one runs at a time: two cores are few. Promises that
 * nothing of them is left, whatever ends the measurement. Needs root for network namespaces.
 */
import { rm } from 'node:fs/promises'
import { makeDocksFolder } from '../../electron/testing/dock-process.ts'
import { createNamespacePair, type NamespacePair } from '../../electron/testing/namespaces.ts'
import { WitnessReader } from '../../electron/testing/witness.ts'
import { DockSide } from './dock-side.ts'
import { PlainSide } from './plain-side.ts'

export type Side = DockSide | PlainSide

/** A guest that has much to prepare or to verify, emulated on a machine that does more than this. */
const answerTimeoutMs = 120_000

export class TwoSides {
  readonly pair: NamespacePair
  readonly ours: DockSide
  readonly peer: PlainSide

  constructor(pair: NamespacePair, folder: string) {
    this.pair = pair
    this.ours = new DockSide(pair, folder)
    this.peer = new PlainSide(pair, folder, this.ours)
  }

  /** Boots both guests; they are paused then. */
  async start(): Promise<void> {
    for (const side of [this.ours, this.peer]) {
      await side.start()
      await side.pause()
    }
  }

  /** Does something while the guest of one side runs. */
  async during<Result>(side: Side, work: () => Promise<Result>): Promise<Result> {
    await side.resume()
    const result = await work()
    await side.pause()
    return result
  }

  /** Has the guests of both sides do the same. @throws when one of them answers something else */
  async tellBoth(command: string, expected: string): Promise<void> {
    for (const side of [this.ours, this.peer]) {
      const answer = await this.#ask(side, (witness) => witness.ask(command, answerTimeoutMs))
      if (answer !== expected) throw new Error(`the guest answered: ${answer}`)
    }
  }

  /** Figures of a guest that was harmed are worth nothing. @throws when one was */
  async assertIntact(): Promise<void> {
    for (const side of [this.ours, this.peer]) {
      const check = await this.#ask(side, (witness) => witness.check(answerTimeoutMs))
      if (check.lost + check.torn > 0 || !check.memoryIntact)
        throw new Error(`harmed: ${JSON.stringify(check)}`)
    }
  }

  async #ask<Answer>(side: Side, question: (witness: WitnessReader) => Promise<Answer>): Promise<Answer> {
    return await this.during(side, async () => {
      const witness = await WitnessReader.connect(side.witnessSocket)
      try {
        return await question(witness)
      } finally {
        witness.close()
      }
    })
  }

  async end(): Promise<void> {
    await Promise.all([this.ours.destroy(), this.peer.destroy()])
  }
}

/** Measures with two sides that have booted. */
export async function withTwoSides<Result>(work: (sides: TwoSides) => Promise<Result>): Promise<Result> {
  const pair = await createNamespacePair()
  const folder = await makeDocksFolder()
  const sides = new TwoSides(pair, folder)
  // What is waited for may be a detached process, which alone does not keep this one.
  const stay = setInterval(() => undefined, 60_000)
  const interruption = listenForSignals()
  const measured = sides.start().then(() => work(sides))
  try {
    return await Promise.race([measured, interruption.promise])
  } finally {
    await sides.end()
    // What was under way fails now, and may have started something meanwhile.
    await measured.catch(() => undefined)
    await sides.end()
    await pair.destroy()
    await rm(folder, { recursive: true, force: true })
    clearInterval(stay)
    interruption.forget()
  }
}

/** The promise is rejected when a signal asks this process to end. */
function listenForSignals(): { promise: Promise<never>; forget(): void } {
  const { promise, reject } = Promise.withResolvers<never>()
  promise.catch(() => undefined)
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  const end = (signal: NodeJS.Signals): void => reject(new Error(`ended by ${signal}`))
  for (const signal of signals) process.on(signal, end)
  const forget = (): void => {
    for (const signal of signals) process.off(signal, end)
  }
  return { promise, forget }
}

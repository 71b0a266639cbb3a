/**
 * Moves both guests of a comparison as a case says, in turns. Promises that each move is measured alike and that what went
 * wrong ends the measurement. A move that is given up is a figure, not a failure; without a first visit there is no return.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { NotThereYet } from '../lib/dock-side.ts'
import { type Outcome, turns } from '../lib/move.ts'
import { linkName } from '../lib/report.ts'
import type { TwoSides } from '../lib/two-sides.ts'
import { type Case, giveUpAfterMs, noSamples, type Samples, type Visit } from './plan.ts'

/** Between two visits a guest works a little. */
const lightWorkMs = 10_000
/** After a guest has stood still, so that what was put off is done. */
const settleMs = 3000

type Tell = (text: string) => void

/** @throws when a move fails */
export async function runCase(sides: TwoSides, of: Case, tell: Tell): Promise<Samples> {
  await sides.pair.shape(of.megabitsPerS === null ? null : of.megabitsPerS * 1e6)
  const samples = noSamples()
  const say: Tell = (text) => tell(`${linkName(of.megabitsPerS)} ${of.load}, ${text}`)
  for (let round = 0; round < of.rounds; round += 1) {
    for (const side of turns(round, 'ours', 'peer')) {
      await (side === 'ours' ? visit(sides, of, samples, say) : cross(sides, of, samples, say))
    }
  }
  return samples
}

async function visit(sides: TwoSides, of: Case, samples: Samples, say: Tell): Promise<void> {
  await sides.ours.forgetKept()
  for (const kind of of.visits) {
    if (kind === 'warm' && !(await isWarm(sides, say))) continue
    const outcome = await visitOnce(sides, kind, samples, say)
    if (outcome.kind === 'gave-up') return
  }
}

async function visitOnce(sides: TwoSides, kind: Visit, samples: Samples, say: Tell): Promise<Outcome> {
  const { ours } = sides
  const direction = ours.isHome ? 'out' : 'home'
  const outcome = await sides.during(ours, async () => {
    await wait(kind === 'return' ? lightWorkMs : settleMs)
    return await ours.move(giveUpAfterMs)
  })
  samples[kind === 'return' ? direction : kind].push(outcome)
  say(`ours, ${kind} (${direction}): ${words(outcome)}`)
  return outcome
}

async function isWarm(sides: TwoSides, say: Tell): Promise<boolean> {
  await sides.ours.forgetKept()
  try {
    await sides.ours.prepareWarm()
    return true
  } catch (error) {
    if (!(error instanceof NotThereYet)) throw error
    say(`ours, warm: SKIPPED, ${error.message}`)
    return false
  }
}

async function cross(sides: TwoSides, of: Case, samples: Samples, say: Tell): Promise<void> {
  const { peer } = sides
  for (const way of of.ways) {
    const outcome = await sides.during(peer, async () => {
      await wait(settleMs)
      return await peer.move(way, giveUpAfterMs)
    })
    samples[way].push(outcome)
    say(`QEMU, ${way}: ${words(outcome)}`)
  }
}

function words(outcome: Outcome): string {
  if (outcome.kind === 'gave-up') return `given up after ${outcome.afterMs / 1000} s`
  const { memoryMs, totalMs, freezeMs, wireBytes } = outcome.move
  const times = `memory ${(memoryMs / 1000).toFixed(2)} s, total ${(totalMs / 1000).toFixed(2)} s`
  return `${times}, downtime ${freezeMs.toFixed(0)} ms, ${(wireBytes / 1e6).toFixed(1)} MB`
}

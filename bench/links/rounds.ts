/**
 * Moves both guests of a comparison as a case says, in turns. Promises that each move is measured alike and that what went
 * wrong ends the measurement. A move that is given up is a figure, not a failure; without a first visit there is no return.
 */
import { setTimeout as wait } from 'node:timers/promises'
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
    if (kind === 'warm') await getWarm(sides, say)
    const outcome = await visitOnce(sides, kind, samples, say)
    if (outcome.kind === 'gave-up') return
  }
}

async function visitOnce(sides: TwoSides, kind: Visit, samples: Samples, say: Tell): Promise<Outcome> {
  const { ours } = sides
  const direction = ours.isHome ? 'out' : 'home'
  const outcome = await sides.during(ours, async () => {
    await wait(kind === 'return' ? lightWorkMs : settleMs)
    return await ours.move(giveUpAfterMs, kind === 'post-copy' ? 'post-copy' : 'pre-copy')
  })
  samples[kind === 'return' ? direction : kind].push(outcome)
  say(`ours, ${kind} (${direction}): ${words(outcome)}`)
  return outcome
}

/** Nothing of the guest's memory is known there when this begins. */
async function getWarm(sides: TwoSides, say: Tell): Promise<void> {
  await sides.ours.forgetKept()
  await sides.during(sides.ours, () => sides.ours.prepareWarm())
  say('ours: the other dock is warm')
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

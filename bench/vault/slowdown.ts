/**
 * By how much a guest is slowed while a checkpoint of it is made: the checks of its whole memory pattern and its records that
 * it carries out, one after the other without a pause, beside those of as long a time right before. That is work which
 * wants all of the guest's processor; ticks, which want next to nothing, are shown as well.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { WitnessReader } from '../../electron/testing/witness.ts'
import { type BenchRow, median } from '../lib/report.ts'
import { keepCheckpoint } from './keep.ts'
import { atMost, before, measuredRow, percentLess, type Repetitions, type Span, workWithin } from './plan.ts'
import { untilRehearsed, withRig } from './rig.ts'
import { guestWithVault } from './stall.ts'

const slack = 1.5
const firstMs = 4000

export async function measureSlowdown(times: Repetitions, tell: (text: string) => void): Promise<BenchRow[]> {
  return await withRig(async (rig) => {
    const { dock, guestId } = await guestWithVault(rig)
    const witness = await dock.witness(guestId)
    const first = await keepCheckpoint(dock, guestId)
    await untilRehearsed(dock, first.checkpoint.id)
    const work: number[] = []
    const ticks: number[] = []
    let lengthMs = firstMs
    for (let round = 0; round < times.slowdowns; round += 1) {
      const over = new AbortController()
      const pieces: Span[] = []
      const working = checkOnAndOn(witness, pieces, over.signal)
      await wait(lengthMs * slack)
      const kept = await keepCheckpoint(dock, guestId)
      over.abort()
      await working
      const span = { fromMs: kept.startedMs, toMs: kept.publishedMs ?? kept.startedMs }
      lengthMs = span.toMs - span.fromMs
      work.push(percentLess(workPerMs(pieces, before(span)), workPerMs(pieces, span)))
      ticks.push(percentLess(ticksIn(witness, before(span)), ticksIn(witness, span)))
      tell(
        `slowdown: ${work.at(-1)?.toFixed(1)} % less work in ${lengthMs.toFixed(0)} ms, ${ticks.at(-1)?.toFixed(1)} % fewer ticks`,
      )
      await untilRehearsed(dock, kept.checkpoint.id)
    }
    witness.close()
    const common = { case: 'slowdown', unit: '%', digits: 1, n: work.length }
    return [
      measuredRow({
        ...common,
        metric: 'work that the guest does less',
        ours: median(work),
        goal: atMost(10),
      }),
      measuredRow({ ...common, metric: 'ticks that it carries out less', ours: median(ticks) }),
    ]
  })
}

async function checkOnAndOn(witness: WitnessReader, pieces: Span[], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const fromMs = performance.now()
    await witness.check(120_000)
    pieces.push({ fromMs, toMs: performance.now() })
  }
}

/** A checkpoint may take longer than what was waited before it: only the time in which work was done counts. */
function workPerMs(pieces: readonly Span[], { fromMs, toMs }: Span): number {
  const began = Math.max(fromMs, pieces[0]?.fromMs ?? fromMs)
  return workWithin(pieces, { fromMs: began, toMs }) / (toMs - began)
}

function ticksIn(witness: WitnessReader, { fromMs, toMs }: Span): number {
  return witness.ticks.filter(({ atMs }) => atMs >= fromMs && atMs < toMs).length
}

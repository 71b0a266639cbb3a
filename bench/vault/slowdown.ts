/**
 * By how much a guest is slowed while a checkpoint of it is made: the checks of its whole memory pattern and its records that
 * it carries out, one after the other without a pause, beside those of as long a time right before. That is work which
 * wants all of the guest's processor; ticks, which want next to nothing, are shown as well. Beside it plain QEMU, which
 * sends the same guest live into nothing: the time that its guest loses is what QEMU itself takes.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { DockProcess } from '../../electron/testing/dock-process.ts'
import type { WitnessReader } from '../../electron/testing/witness.ts'
import { type BenchRow, median } from '../lib/report.ts'
import { keepCheckpoint } from './keep.ts'
import { PlainGuest } from './plain-guest.ts'
import { atMost, before, measuredRow, percentLess, type Repetitions, type Span, workWithin } from './plan.ts'
import { freePort, type Rig, untilRehearsed, withRig } from './rig.ts'
import { guestWithVault } from './stall.ts'

const slack = 1.5
const firstMs = 4000

interface Slowed {
  /** In percent of as long a time before. */
  workLess: number
  ticksLess: number
  /** In which the guest would have done the work that it did not do. */
  lostMs: number
}

export async function measureSlowdown(times: Repetitions, tell: (text: string) => void): Promise<BenchRow[]> {
  return await withRig(async (rig) => {
    const { dock, guestId } = await guestWithVault(rig)
    const witness = await dock.witness(guestId)
    const first = await keepCheckpoint(dock, guestId)
    await untilRehearsed(dock, first.checkpoint.id)
    const ours: Slowed[] = []
    let lengthMs = firstMs
    for (let round = 0; round < times.slowdowns; round += 1) {
      let keptId = ''
      const slowed = await slowedBy(witness, lengthMs * slack, async () => {
        const { startedMs, keptMs, publishedMs, checkpoint } = await keepCheckpoint(dock, guestId)
        keptId = checkpoint.id
        const span = { fromMs: startedMs, toMs: publishedMs ?? keptMs }
        lengthMs = span.toMs - span.fromMs
        return span
      })
      ours.push(slowed)
      tell(`slowdown: ${words(slowed)} in ${lengthMs.toFixed(0)} ms`)
      await untilRehearsed(dock, keptId)
    }
    witness.close()
    await dock.client.guests.pause({ guestId })
    return rowsOf(ours, await plainly(rig, dock, guestId, times, tell))
  })
}

/** Plain QEMU, with a guest like the dock's. */
async function plainly(
  rig: Rig,
  dock: DockProcess,
  guestId: string,
  times: Repetitions,
  tell: (text: string) => void,
): Promise<Slowed[]> {
  const [folder, sinkPort] = [join(rig.folder, 'p'), await freePort()]
  await mkdir(folder)
  const peer = await PlainGuest.start(dock, guestId, folder, sinkPort)
  const slowed: Slowed[] = []
  try {
    // The first is not one of many (docs/known-issues.md).
    await peer.copyLive(sinkPort)
    for (let round = 0; round < times.slowdowns; round += 1) {
      const one = await slowedBy(peer.witness, firstMs, async () => {
        const fromMs = performance.now()
        await peer.copyLive(sinkPort)
        return { fromMs, toMs: performance.now() }
      })
      slowed.push(one)
      tell(`slowdown, plain QEMU: ${words(one)}`)
    }
    return slowed
  } finally {
    await peer.end()
  }
}

/** @param beforeMs how long the guest works before `work`, which says when it was done */
async function slowedBy(
  witness: WitnessReader,
  beforeMs: number,
  work: () => Promise<Span>,
): Promise<Slowed> {
  const over = new AbortController()
  const pieces: Span[] = []
  const working = checkOnAndOn(witness, pieces, over.signal)
  await wait(beforeMs)
  const span = await work()
  over.abort()
  await working
  const workLess = percentLess(workPerMs(pieces, before(span)), workPerMs(pieces, span))
  const ticksLess = percentLess(ticksIn(witness, before(span)), ticksIn(witness, span))
  return { workLess, ticksLess, lostMs: (workLess / 100) * (span.toMs - span.fromMs) }
}

function words({ workLess, ticksLess, lostMs }: Slowed): string {
  return `${workLess.toFixed(1)} % less work, ${ticksLess.toFixed(1)} % fewer ticks, ${lostMs.toFixed(0)} ms lost`
}

function rowsOf(ours: readonly Slowed[], plain: readonly Slowed[]): BenchRow[] {
  const of = (all: readonly Slowed[], pick: (each: Slowed) => number): number => median(all.map(pick))
  const common = { case: 'slowdown', n: ours.length }
  const name = 'plain QEMU into nothing'
  return [
    measuredRow({
      ...{ ...common, unit: '%', digits: 1, metric: 'work that the guest does less', goal: atMost(10) },
      ours: of(ours, (each) => each.workLess),
      peer: { name, value: of(plain, (each) => each.workLess) },
    }),
    measuredRow({
      ...{ ...common, unit: 'ms', digits: 0, metric: 'time that the guest loses' },
      ours: of(ours, (each) => each.lostMs),
      peer: { name, value: of(plain, (each) => each.lostMs) },
    }),
    measuredRow({
      ...{ ...common, unit: '%', digits: 1, metric: 'ticks that it carries out less' },
      ours: of(ours, (each) => each.ticksLess),
      peer: { name, value: of(plain, (each) => each.ticksLess) },
    }),
  ]
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

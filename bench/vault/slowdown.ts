/**
 * By how much a guest is slowed while a checkpoint of it is made: the checks of its whole memory pattern and its records that
 * it carries out, one after the other without a pause, beside those of as long a time right before. That is work which
 * wants all of the guest's processor; ticks, which want next to nothing, are shown as well. One such time differs from
 * the next by a tenth where other programs run: so what many of them hold is added up, and what two times without a
 * checkpoint differ by is shown. Beside it plain QEMU, which sends the same guest live into nothing: the time that its
 * guest loses is what QEMU itself takes.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { DockProcess } from '../../electron/testing/dock-process.ts'
import type { WitnessReader } from '../../electron/testing/witness.ts'
import type { BenchRow } from '../lib/report.ts'
import { keepCheckpoint } from './keep.ts'
import { PlainGuest } from './plain-guest.ts'
import { atMost, before, measuredRow, percentLess, type Repetitions, type Span, workWithin } from './plan.ts'
import { freePort, type Rig, untilRehearsed, withRig } from './rig.ts'
import { guestWithVault } from './stall.ts'

const slack = 1.25
const firstMs = 4000

/** What a guest did in a time. */
interface Done {
  ms: number
  work: number
  ticks: number
}

/** Three times of one length, one after the other. */
interface Slowed {
  earlier: Done
  before: Done
  during: Done
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
      const slowed = await slowedBy(witness, 2 * slack * lengthMs, async () => {
        const { startedMs, keptMs, publishedMs, checkpoint } = await keepCheckpoint(dock, guestId)
        keptId = checkpoint.id
        const span = { fromMs: startedMs, toMs: publishedMs ?? keptMs }
        lengthMs = span.toMs - span.fromMs
        return span
      })
      ours.push(slowed)
      tell(`slowdown: ${words(slowed)}`)
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
  // What `work` fails with is told first; then the witness is closed.
  working.catch(() => {})
  await wait(beforeMs)
  const span = await work()
  over.abort()
  await working
  const done = (within: Span): Done => doneWithin(witness, pieces, within)
  return { earlier: done(before(before(span))), before: done(before(span)), during: done(span) }
}

function words({ before: then, during: now }: Slowed): string {
  const share = percentLess(perMs(then, 'work'), perMs(now, 'work'))
  return `${share.toFixed(1)} % less work in ${now.ms.toFixed(0)} ms`
}

function rowsOf(ours: readonly Slowed[], plain: readonly Slowed[]): BenchRow[] {
  const common = { case: 'slowdown', n: ours.length }
  const less = (all: readonly Slowed[], of: 'work' | 'ticks'): number =>
    percentLess(perMs(sumOf(all, 'before'), of), perMs(sumOf(all, 'during'), of))
  const lostMs = (all: readonly Slowed[]): number =>
    ((less(all, 'work') / 100) * sumOf(all, 'during').ms) / all.length
  const name = 'plain QEMU into nothing'
  const noise = percentLess(perMs(sumOf(ours, 'earlier'), 'work'), perMs(sumOf(ours, 'before'), 'work'))
  return [
    measuredRow({
      ...{ ...common, unit: '%', digits: 1, metric: 'work that the guest does less', goal: atMost(10) },
      ours: less(ours, 'work'),
      peer: { name, value: less(plain, 'work') },
    }),
    measuredRow({
      ...{ ...common, unit: '%', digits: 1, metric: 'the same of two times without a checkpoint' },
      ours: noise,
    }),
    measuredRow({
      ...{ ...common, unit: 'ms', digits: 0, metric: 'time that the guest loses' },
      ours: lostMs(ours),
      peer: { name, value: lostMs(plain) },
    }),
    measuredRow({
      ...{ ...common, unit: '%', digits: 1, metric: 'ticks that it carries out less' },
      ours: less(ours, 'ticks'),
      peer: { name, value: less(plain, 'ticks') },
    }),
  ]
}

function sumOf(all: readonly Slowed[], when: keyof Slowed): Done {
  const sum = { ms: 0, work: 0, ticks: 0 }
  for (const { [when]: done } of all) {
    sum.ms += done.ms
    sum.work += done.work
    sum.ticks += done.ticks
  }
  return sum
}

function perMs(done: Done, of: 'work' | 'ticks'): number {
  return done[of] / done.ms
}

async function checkOnAndOn(witness: WitnessReader, pieces: Span[], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const fromMs = performance.now()
    await witness.check(120_000)
    pieces.push({ fromMs, toMs: performance.now() })
  }
}

/** A checkpoint may take longer than was waited before it: only the time in which work was done counts. */
function doneWithin(witness: WitnessReader, pieces: readonly Span[], { fromMs, toMs }: Span): Done {
  const began = Math.min(toMs, Math.max(fromMs, pieces[0]?.fromMs ?? fromMs))
  const ticks = witness.ticks.filter(({ atMs }) => atMs >= began && atMs < toMs).length
  return { ms: toMs - began, work: workWithin(pieces, { fromMs: began, toMs }), ticks }
}

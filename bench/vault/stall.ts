/**
 * How long a guest stands still at most while a checkpoint of it is made: the worst gap between its ticks of 10 ms, from the
 * order to the checkpoint being in the vault, beside that of as long a time right before.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { DockProcess } from '../../electron/testing/dock-process.ts'
import type { WitnessReader } from '../../electron/testing/witness.ts'
import { type BenchRow, percentile95 } from '../lib/report.ts'
import { keepCheckpoint } from './keep.ts'
import { atMost, before, measuredRow, type Repetitions, type Span } from './plan.ts'
import { assertWhole, type Rig, untilRehearsed, withRig } from './rig.ts'

/** `dirty`: 8 MB of random are rewritten 5 times a second. Records are written and synced 20 times a second anyway. */
const loads = [
  { name: 'idle', command: 'dirty 0 0', goalMs: 60 },
  { name: 'busy', command: 'dirty 8 5', goalMs: 120 },
] as const

const restMs = 2000
/** Longer than the checkpoint before took: what comes is compared with as long a time. */
const slack = 1.3

export async function measureStall(times: Repetitions, tell: (text: string) => void): Promise<BenchRow[]> {
  return await withRig(async (rig) => {
    const { dock, guestId } = await guestWithVault(rig)
    const witness = await dock.witness(guestId)
    // The first is not one of many: it is full, and an emulated guest pays for it once (docs/known-issues.md).
    const first = await keepAndRest(dock, guestId)
    const rows = [firstRow(worstGap(witness, first))]
    let lengthMs = first.toMs - first.fromMs
    for (const load of loads) {
      await witness.ask(load.command)
      await wait(restMs)
      const gaps: number[] = []
      const gapsBefore: number[] = []
      for (let round = 0; round < times.stalls; round += 1) {
        await wait(restMs + lengthMs * slack)
        const span = await keepAndRest(dock, guestId)
        lengthMs = span.toMs - span.fromMs
        gaps.push(worstGap(witness, span))
        gapsBefore.push(worstGap(witness, before(span)))
        tell(
          `stall ${load.name}: ${gaps.at(-1)?.toFixed(0)} ms of ${lengthMs.toFixed(0)}, freeze ${span.freezeMs} ms, before ${gapsBefore.at(-1)?.toFixed(0)} ms`,
        )
      }
      rows.push(
        measuredRow({
          ...{
            case: 'stall',
            load: load.name,
            metric: 'worst gap between ticks, p95',
            unit: 'ms',
            digits: 0,
          },
          ours: percentile95(gaps),
          peer: { name: 'no checkpoint', value: percentile95(gapsBefore) },
          goal: atMost(load.goalMs),
          n: gaps.length,
        }),
      )
    }
    await assertWhole(witness)
    witness.close()
    return rows
  })
}

export async function guestWithVault(rig: Rig): Promise<{ dock: DockProcess; guestId: string }> {
  const made = await rig.dockWithGuest()
  await made.dock.client.vault.create({ kind: 'folder', path: await rig.newFolder() })
  return made
}

/** A checkpoint, and what follows it by itself: that is no part of the next one. */
async function keepAndRest(dock: DockProcess, guestId: string): Promise<Span & { freezeMs: number | null }> {
  const { checkpoint, startedMs, publishedMs } = await keepCheckpoint(dock, guestId)
  await untilRehearsed(dock, checkpoint.id)
  return { fromMs: startedMs, toMs: publishedMs ?? startedMs, freezeMs: checkpoint.freezeMs }
}

function firstRow(gapMs: number): BenchRow {
  return measuredRow({
    ...{ case: 'stall', load: 'idle', metric: 'worst gap between ticks, first checkpoint', unit: 'ms' },
    ...{ digits: 0, ours: gapMs, n: 1 },
  })
}

/** Including gaps that only begin or end within. */
export function worstGap(witness: WitnessReader, { fromMs, toMs }: Span): number {
  const touching = witness.gaps().filter((gap) => gap.fromMs < toMs && gap.fromMs + gap.lengthMs > fromMs)
  return Math.max(0, ...touching.map(({ lengthMs }) => lengthMs))
}

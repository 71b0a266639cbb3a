/** The promises about slow links, each beside what was measured. Pure. */
import type { Outcome } from '../lib/move.ts'
import { type BenchRow, linkName, round } from '../lib/report.ts'
import { type Middle, middleOf, middleSeconds } from './figures.ts'
import type { GoalCase, Samples } from './plan.ts'

type Goal = NonNullable<BenchRow['goal']>

const ratioAtMost = (value: number): Goal => ({ kind: 'ratio-at-most', value })
const atMost = (value: number): Goal => ({ kind: 'at-most', value })

const plainName = 'plain QEMU'
const atRestName = 'ours, not dirtying'

/** One quantity of a move. */
interface Quantity {
  name: string
  unit: string
  digits: number
  of(outcomes: readonly Outcome[]): Middle | null
}

const memory: Quantity = {
  ...{ name: 'memory', unit: 's', digits: 2 },
  of: (outcomes) => middleSeconds(outcomes, (move) => move.memoryMs),
}
const total: Quantity = {
  ...{ name: 'total', unit: 's', digits: 2 },
  of: (outcomes) => middleSeconds(outcomes, (move) => move.totalMs),
}
const downtime: Quantity = {
  ...{ name: 'downtime', unit: 'ms', digits: 0 },
  of: (outcomes) => middleOf(outcomes, (move) => move.freezeMs),
}
const wire: Quantity = {
  ...{ name: 'on the wire', unit: 'MB', digits: 1 },
  of: (outcomes) => middleOf(outcomes, (move) => move.wireBytes / 1e6),
}

interface Side {
  outcomes: readonly Outcome[]
  name: string
}

type Line = (what: string, quantity: Quantity, ours: readonly Outcome[], goal?: Goal | null) => BenchRow

/** @param atRest first visits of the same guest on the same link while it did not dirty its memory, where measured */
export function goalRows(of: GoalCase, samples: Samples, atRest: readonly Outcome[]): BenchRow[] {
  const about = { case: 'goals', link: linkName(of.megabitsPerS), load: of.load }
  const plain: Side = { outcomes: samples.plain, name: plainName }
  const line: Line = (what, quantity, ours, goal) =>
    row({ ...about, what, quantity, ours, peer: plain, goal: goal ?? null })
  if (of.load === 'dirty') {
    const peer: Side = { outcomes: atRest, name: atRestName }
    const same = { ...about, what: 'first, of the same at rest', quantity: memory, ours: samples.first, peer }
    return [
      ...dirtyRows(line, samples),
      row({ ...same, goal: ratioAtMost(1.2) }),
      ...postCopyRows(line, samples),
    ]
  }
  return isFast(of) ? fastRows(line, samples) : slowRows(line, of, samples)
}

function isFast({ megabitsPerS }: GoalCase): boolean {
  return megabitsPerS === null || megabitsPerS >= 1000
}

function slowRows(line: Line, of: GoalCase, { first, home, out, warm }: Samples): BenchRow[] {
  const both = [...home, ...out]
  return [
    line('first', memory, first, ratioAtMost(of.load === 'fill' ? 0.76 : 0.3)),
    line('first', total, first),
    line('first', downtime, first, ratioAtMost(1)),
    line('first', wire, first),
    line('return home', memory, home, ratioAtMost(0.07)),
    line('return, out again', memory, out, ratioAtMost(0.07)),
    line('return, either way', memory, both, atMost(2)),
    line('return, either way', total, both),
    line('return, either way', downtime, both, atMost(150)),
    line('return, either way', wire, both),
    line('first, to a warm dock', memory, warm, ratioAtMost(0.1)),
  ]
}

function dirtyRows(line: Line, { first, home, out }: Samples): BenchRow[] {
  const both = [...home, ...out]
  return [
    line('first', memory, first),
    line('first', total, first),
    line('first', downtime, first, atMost(500)),
    line('first', wire, first),
    line('return, either way', memory, both, atMost(3)),
    line('return, either way', total, both),
    line('return, either way', downtime, both, atMost(500)),
    line('return, either way', wire, both),
  ]
}

function fastRows(line: Line, { first, home, out }: Samples): BenchRow[] {
  const both = [...home, ...out]
  return [
    line('first', memory, first, ratioAtMost(1.05)),
    line('first', total, first),
    line('return, either way', memory, both, ratioAtMost(1.05)),
    line('return, either way', total, both),
  ]
}

interface RowParts extends Pick<BenchRow, 'case' | 'link' | 'load'> {
  what: string
  quantity: Quantity
  ours: readonly Outcome[]
  peer: Side
  goal: BenchRow['goal']
}

function row({ what, quantity, ours, peer, goal, ...about }: RowParts): BenchRow {
  const { name, unit, digits } = quantity
  const [own, other] = [quantity.of(ours), quantity.of(peer.outcomes)]
  const isKnown = own !== null && other !== null && !own.isMore && !other.isMore && other.value > 0
  return {
    ...about,
    ...{ metric: `${what}: ${name}`, unit },
    ours: own === null ? null : round(own.value, digits),
    peer: other === null ? null : round(other.value, digits),
    peerName: other === null ? null : peer.name,
    ratio: isKnown ? round(own.value / other.value, 3) : null,
    n: own?.n ?? 0,
    goal,
    gaveUp: [...(own?.isMore ? (['ours'] as const) : []), ...(other?.isMore ? (['peer'] as const) : [])],
  }
}

/** A promise about something that is not measured, or not there yet. */
function open(what: Pick<BenchRow, 'case' | 'link' | 'load' | 'metric' | 'unit' | 'goal'>): BenchRow {
  return { ...what, ours: null, peer: null, peerName: null, ratio: null, n: 0, gaveUp: [] }
}

function postCopyRows(line: Line, { 'post-copy': late }: Samples): BenchRow[] {
  return [line('post-copy', downtime, late, atMost(80)), line('post-copy', total, late)]
}

/** What changes in a guest's memory within a second, as its QEMU says. */
export function dirtyRateRow(of: Pick<GoalCase, 'load'>, bytesPerS: number): BenchRow {
  const mebibytes = round(bytesPerS / 1024 ** 2, 0)
  const what = {
    case: 'goals',
    link: null,
    load: of.load,
    metric: 'changes in a second, whole MiB',
    unit: 'MiB',
  }
  return { ...open({ ...what, goal: null }), ours: mebibytes, n: 1 }
}

/** The most memory that a host and its helpers held while guests moved. */
export function residentRow(dock: string, who: 'host' | 'helpers', bytes: number): BenchRow {
  const what = { case: 'goals', link: null, load: null, metric: `${dock}: memory of its ${who}`, unit: 'MB' }
  return { ...open({ ...what, goal: null }), ours: round(bytes / 1e6, 0), n: 1 }
}

/**
 * What every measurement says, in one language: an object of rows that puts ours beside a peer from the same
 * run, a table of it for people, and one for the README. Pure.
 */
import { z } from 'zod'

const row = z.object({
  case: z.string(),
  /** Such as `100 Mbit/s`; null where no link is involved. */
  link: z.string().nullable(),
  load: z.string().nullable(),
  metric: z.string(),
  unit: z.string(),
  /** Medians, unless the metric says otherwise. */
  ours: z.number().nullable(),
  peer: z.number().nullable(),
  peerName: z.string().nullable(),
  /** ours / peer of the same run. */
  ratio: z.number().nullable(),
  /** Measurements behind each figure. */
  n: z.number().int(),
  /** What ours is to reach; null where nothing was promised. */
  goal: z
    .object({ kind: z.enum(['at-most', 'at-least', 'ratio-at-most']), value: z.number() })
    .nullable()
    .default(null),
  /** Who was not done at the figure given, at which it was given up. */
  gaveUp: z.array(z.enum(['ours', 'peer'])).default([]),
})
export type BenchRow = z.infer<typeof row>

const machine = z.object({
  cpu: z.string(),
  cores: z.number().int(),
  memoryBytes: z.number(),
  kernel: z.string(),
  qemu: z.string().nullable(),
  node: z.string(),
})
export type BenchMachine = z.infer<typeof machine>

export const benchReport = z.object({
  bench: z.string(),
  /** Null outside a git checkout. */
  commit: z.string().nullable(),
  date: z.iso.datetime(),
  machine,
  rows: z.array(row),
})
export type BenchReport = z.infer<typeof benchReport>

/** The middle value, or the mean of the two middle ones. @throws RangeError when there is none */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const high = sorted[Math.floor(sorted.length / 2)]
  const low = sorted[Math.floor((sorted.length - 1) / 2)]
  if (high === undefined || low === undefined) throw new RangeError('the median of nothing')
  return (low + high) / 2
}

/** What 95 of 100 values do not exceed (nearest rank). @throws RangeError when there is none */
export function percentile95(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const value = sorted[Math.ceil(sorted.length * 0.95) - 1]
  if (value === undefined) throw new RangeError('a percentile of nothing')
  return value
}

/** Whether ours is as good as was promised; null where nothing was, or nothing was measured. */
export function isReached(row: Pick<BenchRow, 'goal' | 'ours' | 'ratio' | 'gaveUp'>): boolean | null {
  const { goal, ours, ratio } = row
  if (goal === null || ours === null) return null
  if (row.gaveUp.includes('ours')) return false
  if (goal.kind === 'ratio-at-most') return ratio === null ? null : ratio <= goal.value
  return goal.kind === 'at-most' ? ours <= goal.value : ours >= goal.value
}

export interface Compared {
  case: string
  link: string | null
  load: string | null
  metric: string
  unit: string
  ours: readonly number[]
  peer: readonly number[]
  peerName: string
  /** Digits after the point. */
  digits: number
}

/** One row out of measurements that were taken in turns. */
export function compare(compared: Compared): BenchRow {
  const { ours, peer, peerName, digits, ...what } = compared
  const [ourMedian, peerMedian] = [median(ours), median(peer)]
  return {
    ...what,
    ours: round(ourMedian, digits),
    peer: round(peerMedian, digits),
    peerName,
    ratio: peerMedian === 0 ? null : round(ourMedian / peerMedian, 3),
    n: Math.min(ours.length, peer.length),
    goal: null,
    gaveUp: [],
  }
}

export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits))
}

/** How a link is called in tables. @param megabitsPerS null where nothing limits it */
export function linkName(megabitsPerS: number | null): string {
  if (megabitsPerS === null) return 'unlimited'
  return megabitsPerS >= 1000 ? `${megabitsPerS / 1000} Gbit/s` : `${megabitsPerS} Mbit/s`
}

interface Column {
  head: string
  align: 'left' | 'right'
  cell(entry: BenchRow): string
}

/** A figure in a table. @param isMore when it is only known to be more than that */
export function withUnit(value: number | null, unit: string, isMore = false): string {
  return value === null ? '–' : `${isMore ? '> ' : ''}${value} ${unit}`
}

/** With the goals, where there are any; who the peer is stands in the head, or with each figure where they differ. */
function columnsOf({ rows }: BenchReport, head: (peers: readonly string[]) => string): Column[] {
  const peers = peersOf(rows)
  const left: Column[] = [
    { head: 'link', align: 'left', cell: (entry) => entry.link ?? '–' },
    { head: 'load', align: 'left', cell: (entry) => entry.load ?? '–' },
    { head: 'measured', align: 'left', cell: (entry) => entry.metric },
    {
      head: 'ours',
      align: 'right',
      cell: ({ ours, unit, gaveUp }) => withUnit(ours, unit, gaveUp.includes('ours')),
    },
  ]
  const goals: Column[] = [
    { head: 'goal', align: 'right', cell: goalCell },
    { head: 'reached', align: 'right', cell: (entry) => reachedWords(isReached(entry)) },
  ]
  return [
    ...left,
    ...(rows.some(({ goal }) => goal !== null) ? goals : []),
    { head: head(peers), align: 'right', cell: (entry) => peerCell(entry, peers.length > 1) },
    { head: 'ratio', align: 'right', cell: ({ ratio }) => (ratio === null ? '–' : ratio.toFixed(2)) },
    { head: 'n', align: 'right', cell: ({ n }) => String(n) },
  ]
}

function peersOf(rows: readonly BenchRow[]): string[] {
  return [...new Set(rows.flatMap((entry) => entry.peerName ?? []))]
}

function peerCell({ peer, unit, peerName, gaveUp }: BenchRow, named: boolean): string {
  const figure = withUnit(peer, unit, gaveUp.includes('peer'))
  return named && peer !== null && peerName !== null ? `${figure} (${peerName})` : figure
}

function goalCell({ goal, unit }: BenchRow): string {
  if (goal === null) return '–'
  if (goal.kind === 'ratio-at-most') return `ratio ≤ ${goal.value}`
  return `${goal.kind === 'at-most' ? '≤' : '≥'} ${goal.value} ${unit}`
}

function reachedWords(reached: boolean | null): string {
  if (reached === null) return '–'
  return reached ? 'yes' : 'no'
}

/** A table as cells, its head first. */
export interface Cells {
  align: readonly ('left' | 'right')[]
  lines: readonly (readonly string[])[]
}

function cellsOf(report: BenchReport, head: (peers: readonly string[]) => string): Cells {
  const columns = columnsOf(report, head)
  const lines = report.rows.map((row) => columns.map(({ cell }) => cell(row)))
  return { align: columns.map(({ align }) => align), lines: [columns.map((each) => each.head), ...lines] }
}

/** Aligned columns for a terminal. */
export function textCells({ align, lines }: Cells): string {
  const widths = align.map((_, at) => Math.max(...lines.map((line) => line[at]?.length ?? 0)))
  const padded = (cell: string, at: number): string =>
    align[at] === 'left' ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)
  return lines.map((line) => line.map(padded).join('  ').trimEnd()).join('\n')
}

/** The same for a Markdown page. */
export function markdownCells({ align, lines: [head = [], ...lines] }: Cells): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  const rule = align.map((side) => (side === 'left' ? '---' : '---:'))
  return [line(head), line(rule), ...lines.map(line)].join('\n')
}

/** The rows and where they come from, for a terminal. */
export function textTable(report: BenchReport): string {
  return `${textCells(cellsOf(report, () => 'peer'))}\n\n${provenance(report)}`
}

/** The same for a Markdown page. */
export function markdownTable(report: BenchReport): string {
  const cells = cellsOf(report, ([only, ...others]) => {
    if (only === undefined) return 'peer'
    return others.length === 0 ? only : 'beside'
  })
  return `${markdownCells(cells)}\n\n${provenance(report)}`
}

/** On what, when and how it was measured, in a sentence or two. */
export function provenance({ machine: on, date, commit, rows }: BenchReport): string {
  const peers = peersOf(rows)
  const against = peers.length !== 1 ? '' : ` Peer: ${peers.join(', ')}.`
  const qemu = on.qemu === null ? '' : `, QEMU ${on.qemu}`
  const where = `${on.cores} × ${on.cpu}, Linux ${on.kernel}${qemu}, Node ${on.node}`
  const hasGoals = rows.some(({ goal }) => goal !== null)
  const how = hasGoals ? 'Medians where nothing else is said, measured' : 'Medians, measured in turns'
  return `${how} in one run on ${where}; ${date.slice(0, 10)}${commit === null ? '' : `, ${commit}`}.${against}`
}

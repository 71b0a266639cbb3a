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
  /** Medians. */
  ours: z.number().nullable(),
  peer: z.number().nullable(),
  peerName: z.string().nullable(),
  /** ours / peer of the same run. */
  ratio: z.number().nullable(),
  /** Measurements behind each median. */
  n: z.number().int(),
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
  }
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits))
}

const heads = ['link', 'load', 'measured', 'ours', 'peer', 'ratio', 'n'] as const

function cells(entry: BenchRow): string[] {
  const withUnit = (value: number | null): string => (value === null ? '–' : `${value} ${entry.unit}`)
  return [
    entry.link ?? '–',
    entry.load ?? '–',
    entry.metric,
    withUnit(entry.ours),
    withUnit(entry.peer),
    entry.ratio === null ? '–' : entry.ratio.toFixed(2),
    String(entry.n),
  ]
}

/** Aligned columns for a terminal. */
export function textTable(report: BenchReport): string {
  const lines = [[...heads], ...report.rows.map(cells)]
  const widths = heads.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  const drawn = lines.map((line) =>
    line
      .map((cell, column) =>
        column < 3 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  )
  return [...drawn, '', provenance(report)].join('\n')
}

/** The same for a Markdown page. */
export function markdownTable(report: BenchReport): string {
  const peer = report.rows.find((entry) => entry.peerName !== null)?.peerName ?? 'peer'
  const line = (columns: readonly string[]): string => `| ${columns.join(' | ')} |`
  const head = heads.map((name) => (name === 'peer' ? peer : name))
  const rule = heads.map((_, column) => (column < 3 ? '---' : '---:'))
  return [
    line(head),
    line(rule),
    ...report.rows.map((entry) => line(cells(entry))),
    '',
    provenance(report),
  ].join('\n')
}

function provenance({ machine: on, date, commit, rows }: BenchReport): string {
  const peers = [...new Set(rows.flatMap((entry) => entry.peerName ?? []))]
  const against = peers.length === 0 ? '' : ` Peer: ${peers.join(', ')}.`
  const qemu = on.qemu === null ? '' : `, QEMU ${on.qemu}`
  const where = `${on.cores} × ${on.cpu}, Linux ${on.kernel}${qemu}, Node ${on.node}`
  return `Medians, measured in turns in one run on ${where}; ${date.slice(0, 10)}${commit === null ? '' : `, ${commit}`}.${against}`
}

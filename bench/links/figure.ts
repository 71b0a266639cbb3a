/** The paper's Figure 4 in our form: for each link and workload how long a guest takes, in five ways. Pure. */
import { z } from 'zod'
import type { Outcome } from '../lib/move.ts'
import { benchReport, type Cells, linkName, round, withUnit } from '../lib/report.ts'
import { middleOf, middleSeconds } from './figures.ts'
import { type FigureCase, type Samples, workloads } from './plan.ts'

const bar = z.object({
  /** Medians. */
  memoryS: z.number(),
  totalS: z.number(),
  /** It took longer than that, and was given up. */
  isMore: z.boolean(),
  downtimeMs: z.number().nullable(),
  wireMegabytes: z.number().nullable(),
  n: z.number().int(),
})
export type FigureBar = z.infer<typeof bar>

const measuredBar = bar.nullable()

const figurePoint = z.object({
  link: z.string(),
  workload: z.enum(workloads),
  /** What changes in the guest's memory within a second, as its QEMU says; whole MiB. */
  changesMebibytes: z.number(),
  paperS: z.number(),
  plain: measuredBar,
  zstd: measuredBar,
  first: measuredBar,
  return: measuredBar,
  warm: measuredBar,
})
export type FigurePoint = z.infer<typeof figurePoint>

/** What bench/results/links.json holds. */
export const linksReport = benchReport.extend({ figure: z.array(figurePoint) })
export type LinksReport = z.infer<typeof linksReport>

/** "Dynamic Migration of Computation through Virtualization of the Mobile Platform" (Sud et al.), Figure 4, seconds. */
const paperS = {
  terminal: { ethernet: 20, wireless: 110 },
  video: { ethernet: 25, wireless: 150 },
  mixed: { ethernet: 25, wireless: 130 },
} as const

export function figurePointOf(
  { load, megabitsPerS }: FigureCase,
  { plain, 'multifd+zstd': zstd, first, home, out, warm }: Samples,
  changesBytes: number,
): FigurePoint {
  const isEthernet = megabitsPerS === null || megabitsPerS >= 100
  return {
    link: linkName(megabitsPerS),
    workload: load,
    changesMebibytes: round(changesBytes / 1024 ** 2, 0),
    paperS: paperS[load][isEthernet ? 'ethernet' : 'wireless'],
    plain: barOf(plain),
    zstd: barOf(zstd),
    first: barOf(first),
    return: barOf([...home, ...out]),
    warm: barOf(warm),
  }
}

function barOf(outcomes: readonly Outcome[]): FigureBar | null {
  const memory = middleSeconds(outcomes, (move) => move.memoryMs)
  const total = middleSeconds(outcomes, (move) => move.totalMs)
  if (memory === null || total === null) return null
  const downtime = middleOf(outcomes, (move) => move.freezeMs)
  const wire = middleOf(outcomes, (move) => move.wireBytes)
  return {
    memoryS: round(memory.value, 2),
    totalS: round(total.value, 2),
    isMore: memory.isMore,
    downtimeMs: downtime === null ? null : round(downtime.value, 0),
    wireMegabytes: wire === null ? null : round(wire.value / 1e6, 1),
    n: outcomes.length,
  }
}

/** The ways, in the order of columns and bars. */
export const figureBars = [
  { key: 'plain', name: 'plain QEMU' },
  { key: 'zstd', name: 'QEMU, multifd + zstd' },
  { key: 'first', name: 'ours, first visit' },
  { key: 'return', name: 'ours, return' },
  { key: 'warm', name: 'ours, to a warm dock' },
] as const

/** One line for each link and workload. */
export function figureCells(points: readonly FigurePoint[]): Cells {
  const names = figureBars.map(({ name }) => name)
  const head = ['link', 'workload', 'changes in a second', 'the paper', ...names]
  const lines = points.map((point) => [
    ...[point.link, point.workload, changesWords(point.changesMebibytes), `${point.paperS} s`],
    ...figureBars.map(({ key }) => barWords(point[key])),
  ])
  return { align: ['left', 'left', ...head.slice(2).map(() => 'right' as const)], lines: [head, ...lines] }
}

export const figureNote =
  'From when memory begins to cross to the guest running there; in brackets from the decision, before a QEMU is started there. “>” was given up.'

/** On how many moves each figure rests, in a sentence. */
export function figureRuns(points: readonly FigurePoint[]): string {
  const counts = points.flatMap((point) => figureBars.flatMap(({ key }) => point[key]?.n ?? []))
  const fewest = Math.min(...counts)
  return fewest === 1 ? 'Each is one move.' : `Each is the median of ${fewest} moves or more.`
}

function changesWords(mebibytes: number): string {
  return mebibytes < 1 ? 'less than 1 MiB' : `${mebibytes} MiB`
}

function barWords(figure: FigureBar | null): string {
  if (figure === null) return '–'
  const { memoryS, totalS, isMore } = figure
  return isMore ? withUnit(memoryS, 's', true) : `${memoryS} s (${totalS} s)`
}

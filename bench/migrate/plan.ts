/** What is measured, in which order. Pure. */
import type { Move } from '../lib/move.ts'
import { type BenchRow, compare, linkName } from '../lib/report.ts'

export type Load = 'none' | 'fill'

export interface Case {
  megabitsPerS: number
  load: Load
  rounds: number
}

/** The loads grow, because a filled guest stays filled. */
export function planCases(quick: boolean): Case[] {
  if (quick) return [{ megabitsPerS: 100, load: 'none', rounds: 1 }]
  const loads: readonly Load[] = ['none', 'fill']
  return loads.flatMap((load) => [100, 1000].map((megabitsPerS) => ({ megabitsPerS, load, rounds: 5 })))
}

export const peerName = 'plain QEMU over TCP'

export function rowsOf(of: Case, ours: readonly Move[], peer: readonly Move[]): BenchRow[] {
  const base = { case: 'migrate', link: linkName(of.megabitsPerS), load: of.load, peerName }
  const row = (metric: string, unit: string, digits: number, value: (move: Move) => number): BenchRow =>
    compare({ ...base, metric, unit, digits, ours: ours.map(value), peer: peer.map(value) })
  return [
    row('total', 's', 2, (move) => move.totalMs / 1000),
    row('freeze', 'ms', 0, (move) => move.freezeMs),
    row('on the wire', 'MB', 1, (move) => move.wireBytes / 1e6),
  ]
}

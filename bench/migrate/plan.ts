/** What is measured, in which order. Pure. */
import { type BenchRow, compare } from '../lib/report.ts'

export type Load = 'none' | 'fill'

/** One migration, measured from outside the same way for both sides. */
export interface Move {
  /** From the decision, before a QEMU is started there, to the guest's first tick there. */
  totalMs: number
  /** Between the guest's last tick here and its first there. */
  freezeMs: number
  /** What both ends of the link sent. */
  wireBytes: number
}

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

/** Who goes first changes each round, so that a machine that slows down or speeds up favours nobody. */
export function turns<Side>(round: number, ours: Side, peer: Side): readonly [Side, Side] {
  return round % 2 === 0 ? [ours, peer] : [peer, ours]
}

export const peerName = 'plain QEMU over TCP'

export function rowsOf(of: Case, ours: readonly Move[], peer: readonly Move[]): BenchRow[] {
  const link = of.megabitsPerS >= 1000 ? `${of.megabitsPerS / 1000} Gbit/s` : `${of.megabitsPerS} Mbit/s`
  const base = { case: 'migrate', link, load: of.load, peerName }
  const row = (metric: string, unit: string, digits: number, value: (move: Move) => number): BenchRow =>
    compare({ ...base, metric, unit, digits, ours: ours.map(value), peer: peer.map(value) })
  return [
    row('total', 's', 2, (move) => move.totalMs / 1000),
    row('freeze', 'ms', 0, (move) => move.freezeMs),
    row('on the wire', 'MB', 1, (move) => move.wireBytes / 1e6),
  ]
}

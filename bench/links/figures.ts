/** The middle of what several moves took, where some may have been given up. Pure. */
import type { Move, Outcome } from '../lib/move.ts'
import { median } from '../lib/report.ts'

/** `more` is only known to be more than that. */
export interface Middle {
  value: number
  isMore: boolean
  /** Moves behind it. */
  n: number
}

/** Of times in ms. Those that were given up count as longer than all others. @returns seconds; null where nothing was measured */
export function middleSeconds(outcomes: readonly Outcome[], ms: (move: Move) => number): Middle | null {
  if (outcomes.length === 0) return null
  const value = median(outcomes.map((outcome) => (outcome.kind === 'arrived' ? ms(outcome.move) : Infinity)))
  if (Number.isFinite(value)) return { value: value / 1000, isMore: false, n: outcomes.length }
  const limits = outcomes.flatMap((outcome) => (outcome.kind === 'gave-up' ? outcome.afterMs : []))
  return { value: median(limits) / 1000, isMore: true, n: outcomes.length }
}

/** Of what only a guest that arrived has. @returns null where none did */
export function middleOf(outcomes: readonly Outcome[], value: (move: Move) => number): Middle | null {
  const values = outcomes.flatMap((outcome) => (outcome.kind === 'arrived' ? value(outcome.move) : []))
  return values.length === 0 ? null : { value: median(values), isMore: false, n: values.length }
}

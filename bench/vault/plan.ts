/** What is measured, how often, and the arithmetic of it. Pure. */
import { type BenchRow, round } from '../lib/report.ts'

/** The rows, in the order of the table. */
export const rowNames = [
  'stall',
  'slowdown',
  'incremental',
  'rate',
  'restore',
  'again',
  'list',
  'link',
  'figures',
] as const
export type RowName = (typeof rowNames)[number]

/** How often things are done. */
export interface Repetitions {
  /** Checkpoints for each load, for the stall. */
  stalls: number
  slowdowns: number
  incrementals: number
  fulls: number
  restores: number
  /** In the list. */
  listed: number
  lists: number
  links: number
  /** Added to the guest one after the other, MB. */
  figureMegabytes: readonly number[]
}

const full: Repetitions = {
  stalls: 20,
  slowdowns: 15,
  incrementals: 3,
  fulls: 5,
  restores: 5,
  listed: 500,
  lists: 5,
  links: 10,
  figureMegabytes: [10, 50, 100, 200, 512],
}

const quick: Repetitions = {
  stalls: 3,
  slowdowns: 1,
  incrementals: 1,
  fulls: 1,
  restores: 1,
  listed: 40,
  lists: 2,
  links: 3,
  figureMegabytes: [10, 50],
}

export function repetitions(isQuick: boolean): Repetitions {
  return isQuick ? quick : full
}

/** @param only names with commas between them; all when undefined @returns null for a name that is none */
export function chosenRows(only: string | undefined): RowName[] | null {
  if (only === undefined) return [...rowNames]
  const wanted = only.split(',')
  const found = rowNames.filter((name) => wanted.includes(name))
  return found.length === new Set(wanted).size ? found : null
}

/** A span of time in which one piece of work was done. */
export interface Span {
  fromMs: number
  toMs: number
}

/** How many pieces of work, whole and in part, fall into a time. */
export function workWithin(pieces: readonly Span[], { fromMs, toMs }: Span): number {
  return pieces.reduce((sum, piece) => {
    const sharedMs = Math.min(piece.toMs, toMs) - Math.max(piece.fromMs, fromMs)
    return sharedMs > 0 ? sum + sharedMs / (piece.toMs - piece.fromMs) : sum
  }, 0)
}

/** The same length of time right before. */
export function before({ fromMs, toMs }: Span): Span {
  return { fromMs: fromMs - (toMs - fromMs), toMs: fromMs }
}

/** By how much less was done, in percent; below zero where it was more. */
export function percentLess(then: number, now: number): number {
  return then === 0 ? 0 : (1 - now / then) * 100
}

export interface Measured extends Pick<BenchRow, 'case' | 'metric' | 'unit' | 'n'> {
  link?: string
  load?: string
  ours: number
  digits: number
  peer?: { name: string; value: number }
  goal?: BenchRow['goal']
}

export function measuredRow({ ours, digits, peer, link, load, goal, ...rest }: Measured): BenchRow {
  return {
    ...rest,
    link: link ?? null,
    load: load ?? null,
    ours: round(ours, digits),
    peer: peer === undefined ? null : round(peer.value, digits),
    peerName: peer?.name ?? null,
    ratio: peer === undefined || peer.value === 0 ? null : round(ours / peer.value, 3),
    goal: goal ?? null,
    gaveUp: [],
  }
}

export function atMost(value: number): NonNullable<BenchRow['goal']> {
  return { kind: 'at-most', value }
}

export function atLeast(value: number): NonNullable<BenchRow['goal']> {
  return { kind: 'at-least', value }
}

/** What is measured on slow links, in which order and how often. Pure. */
import type { Outcome } from '../lib/move.ts'
import type { PlainWay } from '../lib/plain-memory.ts'

/** `goals` are the promises, `figure` is the paper's Figure 4. */
export const parts = ['goals', 'figure'] as const
export type Part = (typeof parts)[number]

/** As a guest fills up: `idle` after its boot, `fill` with 150 MB of random bytes, `dirty` when 8 MB of them never rest. */
export const loads = ['idle', 'fill', 'dirty'] as const
export type Load = (typeof loads)[number]

/** What the guest does, as its command `load` knows it. */
export const workloads = ['terminal', 'video', 'mixed'] as const
export type Workload = (typeof workloads)[number]

/** Of ours. `first`: neither dock keeps anything of the guest; `return`: they met a while ago; `warm`: the dock that it goes to has prepared. `post-copy`: it goes over after one round, whatever was kept. */
export type Visit = 'first' | 'return' | 'warm' | 'post-copy'

interface Measured {
  /** Null where nothing limits the link. */
  megabitsPerS: number | null
  rounds: number
  /** In this order in each round. */
  visits: readonly Visit[]
  ways: readonly PlainWay[]
}

export interface GoalCase extends Measured {
  part: 'goals'
  load: Load
}

export interface FigureCase extends Measured {
  part: 'figure'
  load: Workload
}

export type Case = GoalCase | FigureCase

/** What is not done so long after memory began to cross is given up. */
export const giveUpAfterMs = 60_000

const slowMegabits = [100, 70] as const
/** There a move of ours is to take as long as QEMU's own. */
const fastMegabits = [1000, null] as const

export interface Choice {
  /** A part, a load or a workload; everything when undefined. */
  only?: string | undefined
  /** One round at 100 Mbit/s of what was chosen, or of the guest at rest. */
  isQuick: boolean
  rounds?: number | undefined
}

/** A filled guest stays filled, hence the order. @returns empty for a name that is none */
export function chosenCases({ only, isQuick, rounds }: Choice): Case[] {
  const wanted = only ?? (isQuick ? 'idle' : undefined)
  const chosen = (of: Case): boolean =>
    (wanted === undefined || wanted === of.part || wanted === of.load) &&
    (!isQuick || of.megabitsPerS === slowMegabits[0])
  const count = rounds ?? (isQuick ? 1 : undefined)
  return [...goalCases(), ...figureCases()]
    .filter(chosen)
    .map((of) => ({ ...of, rounds: count ?? of.rounds }))
}

/** Twice back in each round, so that both directions are measured. */
function goalCases(): GoalCase[] {
  const rounds = 5
  const common = { part: 'goals', rounds, ways: ['plain'] } as const
  return loads.flatMap((load) => {
    const slow = slowMegabits.map((megabitsPerS): GoalCase => {
      const last: Visit = load === 'dirty' ? 'post-copy' : 'warm'
      return { ...common, load, megabitsPerS, visits: ['first', 'return', 'return', last] }
    })
    const fast = fastMegabits.map((megabitsPerS): GoalCase => {
      return { ...common, load, megabitsPerS, visits: ['first', 'return', 'return'] }
    })
    return load === 'dirty' ? slow : [...slow, ...fast]
  })
}

function figureCases(): FigureCase[] {
  return workloads.flatMap((load) =>
    slowMegabits.map((megabitsPerS) => ({
      ...({ part: 'figure', load, megabitsPerS, rounds: 3 } as const),
      visits: ['first', 'return', 'warm'],
      ways: ['plain', 'multifd+zstd'],
    })),
  )
}

/** What the moves of a case took. A return is told by where it went: `home` is where the guest was made. */
export interface Samples {
  first: Outcome[]
  home: Outcome[]
  out: Outcome[]
  warm: Outcome[]
  'post-copy': Outcome[]
  plain: Outcome[]
  'multifd+zstd': Outcome[]
}

export function noSamples(): Samples {
  return { first: [], home: [], out: [], warm: [], 'post-copy': [], plain: [], 'multifd+zstd': [] }
}

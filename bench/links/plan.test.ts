import { describe, expect, it } from 'vitest'
import { type Case, chosenCases, workloads } from './plan.ts'

const names = (cases: readonly Case[]) => cases.map(({ load, megabitsPerS }) => `${load} ${megabitsPerS}`)

describe('the plan', () => {
  it('holds every promise and every workload, a filled guest after an empty one, a busy one last', () => {
    const goals = chosenCases({ isQuick: false, only: 'goals' })
    expect(names(goals)).toEqual([
      ...['idle 100', 'idle 70', 'idle 1000', 'idle null'],
      ...['fill 100', 'fill 70', 'fill 1000', 'fill null'],
      ...['dirty 100', 'dirty 70'],
    ])
    const figure = chosenCases({ isQuick: false, only: 'figure' })
    expect(names(figure)).toEqual(workloads.flatMap((load) => [`${load} 100`, `${load} 70`]))
    expect(chosenCases({ isQuick: false })).toEqual([...goals, ...figure])
  })

  it('measures promises five times and the figure three times, unless it is told', () => {
    const rounds = (of: Case['part']) =>
      new Set(chosenCases({ isQuick: false, only: of }).map((each) => each.rounds))
    expect(rounds('goals')).toEqual(new Set([5]))
    expect(rounds('figure')).toEqual(new Set([3]))
    expect(chosenCases({ isQuick: false, rounds: 2 }).every((each) => each.rounds === 2)).toBe(true)
  })

  it('is one round of the guest at rest at 100 Mbit/s for a quick look, or of what is named', () => {
    expect(chosenCases({ isQuick: true })).toMatchObject([{ load: 'idle', megabitsPerS: 100, rounds: 1 }])
    expect(chosenCases({ isQuick: true, only: 'video' })).toMatchObject([
      { part: 'figure', load: 'video', megabitsPerS: 100, rounds: 1, ways: ['plain', 'multifd+zstd'] },
    ])
  })

  it('knows no other names', () => {
    expect(chosenCases({ isQuick: false, only: 'idle' })).toHaveLength(4)
    expect(chosenCases({ isQuick: false, only: 'nothing' })).toEqual([])
  })

  it('comes back in both directions after each first visit', () => {
    for (const { part, visits } of chosenCases({ isQuick: false })) {
      expect(visits.slice(0, 2)).toEqual(['first', 'return'])
      expect(visits.filter((visit) => visit === 'return')).toHaveLength(part === 'goals' ? 2 : 1)
    }
  })
})

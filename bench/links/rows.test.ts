import { describe, expect, it } from 'vitest'
import type { Outcome } from '../lib/move.ts'
import { type BenchRow, isReached } from '../lib/report.ts'
import { chosenCases, type GoalCase, noSamples, type Samples } from './plan.ts'
import { dirtyRateRow, goalRows, residentRow } from './rows.ts'
import { never, took } from './testing.ts'

function caseOf(load: GoalCase['load'], megabitsPerS: number | null): GoalCase {
  const found = chosenCases({ isQuick: false, only: load }).find((of) => of.megabitsPerS === megabitsPerS)
  if (found?.part !== 'goals') throw new Error('no such case')
  return found
}

function rowsOf(of: GoalCase, samples: Partial<Samples>, atRest: Outcome[] = []) {
  const rows = goalRows(of, { ...noSamples(), ...samples }, atRest)
  return (metric: string): BenchRow => {
    const found = rows.find((row) => row.metric === metric)
    if (found === undefined) throw new Error(`no ${metric} in ${rows.map((row) => row.metric).join(', ')}`)
    return found
  }
}

describe('the promises about a slow link', () => {
  const samples = {
    plain: [took(8.6, { freezeMs: 400 }), took(8.6, { freezeMs: 400 }), took(9.6, { freezeMs: 400 })],
    first: [took(2.5), took(2.7), took(2.6)],
    home: [took(0.5)],
    out: [took(0.9), took(0.9)],
  }

  it('are of the time from when memory begins to cross, beside plain QEMU', () => {
    const row = rowsOf(caseOf('idle', 100), samples)
    const first = row('first: memory')
    expect(first).toMatchObject({
      link: '100 Mbit/s',
      load: 'idle',
      ours: 2.6,
      peer: 8.6,
      ratio: 0.302,
      n: 3,
    })
    expect(isReached(first)).toBe(false)
    expect(row('first: total')).toMatchObject({ ours: 3.1, peer: 9.1, goal: null })
    expect(isReached(row('first: downtime'))).toBe(true)
  })

  it('hold for a return in each direction, and in seconds for both', () => {
    const row = rowsOf(caseOf('fill', 70), samples)
    expect(isReached(row('return home: memory'))).toBe(true)
    expect(isReached(row('return, out again: memory'))).toBe(false)
    expect(row('return, either way: memory')).toMatchObject({ ours: 0.9, n: 3, goal: { value: 2 } })
    expect(isReached(row('return, either way: downtime'))).toBe(true)
  })

  it('ask for less where memory is random', () => {
    const goal = (of: GoalCase) => rowsOf(of, samples)('first: memory').goal
    expect(goal(caseOf('idle', 100))).toEqual({ kind: 'ratio-at-most', value: 0.3 })
    expect(goal(caseOf('fill', 100))).toEqual({ kind: 'ratio-at-most', value: 0.76 })
  })

  it('have no figure for what was not there to measure', () => {
    const warm = rowsOf(caseOf('idle', 100), samples)('first, to a warm dock: memory')
    expect(warm).toMatchObject({ ours: null, ratio: null, n: 0 })
    expect(isReached(warm)).toBeNull()
  })
})

describe('a guest that dirties its memory', () => {
  it('is compared with itself at rest, since plain QEMU never ends', () => {
    const samples = { plain: [never], first: [took(18)], home: [took(2.5)] }
    const rows = goalRows(caseOf('dirty', 100), { ...noSamples(), ...samples }, [took(16)])
    const firsts = rows.filter(({ metric }) => /^first.*: memory$/.test(metric))
    expect(firsts).toMatchObject([
      { ours: 18, peer: 60, ratio: null, gaveUp: ['peer'], goal: null },
      { ours: 18, peer: 16, ratio: 1.125, gaveUp: [], peerName: 'ours, not dirtying' },
    ])
    expect(firsts.map(isReached)).toEqual([null, true])
  })

  it('misses its promise when it does not arrive', () => {
    const row = rowsOf(caseOf('dirty', 70), { first: [never], home: [never] })
    expect(isReached(row('return, either way: memory'))).toBe(false)
    expect(row('return, either way: downtime')).toMatchObject({ ours: null, n: 0 })
    expect(row('post-copy: downtime')).toMatchObject({ ours: null, n: 0 })
  })
})

describe('a fast link', () => {
  it('is to take ours no longer than plain QEMU', () => {
    const row = rowsOf(caseOf('fill', null), { plain: [took(1)], first: [took(1.04)], out: [took(1.1)] })
    expect(row('first: memory').link).toBe('unlimited')
    expect(isReached(row('first: memory'))).toBe(true)
    expect(isReached(row('return, either way: memory'))).toBe(false)
  })
})

describe('what else is told', () => {
  it('is how much memory changes, in MiB, and how much the hosts take, in MB', () => {
    expect(dirtyRateRow({ load: 'dirty' }, 8 * 1024 ** 2)).toMatchObject({ ours: 8, unit: 'MiB' })
    expect(residentRow('PC a', 'host', 165_400_000)).toMatchObject({ ours: 165, unit: 'MB', link: null })
  })
})

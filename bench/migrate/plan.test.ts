import { describe, expect, it } from 'vitest'
import type { Move } from '../lib/move.ts'
import { planCases, rowsOf } from './plan.ts'

describe('the plan', () => {
  it('holds each load at each link, the growing load last', () => {
    const cases = planCases(false).map(({ load, megabitsPerS }) => `${load} ${megabitsPerS}`)
    expect(cases).toEqual(['none 100', 'none 1000', 'fill 100', 'fill 1000'])
  })

  it('is one case for a quick look', () => {
    expect(planCases(true)).toHaveLength(1)
  })
})

describe('the rows of a case', () => {
  const move = (totalMs: number, freezeMs: number): Move => ({
    totalMs,
    memoryMs: totalMs / 2,
    freezeMs,
    wireBytes: 2e6,
  })
  const rows = rowsOf(
    { megabitsPerS: 1000, load: 'fill', rounds: 3 },
    [move(1000, 50), move(3000, 60), move(2000, 90)],
    [move(4000, 300), move(4000, 400), move(9000, 100)],
  )

  it('are total time, freeze and bytes, as medians', () => {
    expect(rows.map(({ metric, ours, peer, unit }) => [metric, ours, peer, unit])).toEqual([
      ['total', 2, 4, 's'],
      ['freeze', 60, 300, 'ms'],
      ['on the wire', 2, 2, 'MB'],
    ])
  })

  it('name link and load', () => {
    expect(rows[0]).toMatchObject({ link: '1 Gbit/s', load: 'fill', ratio: 0.5, n: 3 })
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  atMost,
  before,
  chosenRows,
  measuredRow,
  percentLess,
  repetitions,
  rowNames,
  workWithin,
} from './plan.ts'

describe('the plan', () => {
  it('has all rows unless some are named, in the order of the table', () => {
    expect(chosenRows(undefined)).toEqual(rowNames)
    expect(chosenRows('rate,stall')).toEqual(['stall', 'rate'])
  })

  it('knows no other names', () => {
    expect(chosenRows('stall,speed')).toBeNull()
    expect(chosenRows('')).toBeNull()
  })

  it('takes twenty checkpoints for a percentile, and few for a quick look', () => {
    expect(repetitions(false).stalls).toBe(20)
    expect(repetitions(true).stalls).toBeLessThan(5)
  })
})

describe('work within a time', () => {
  const pieces = [
    { fromMs: 0, toMs: 100 },
    { fromMs: 100, toMs: 300 },
    { fromMs: 300, toMs: 400 },
  ]

  it('counts what lies in it whole and the rest by its share', () => {
    expect(workWithin(pieces, { fromMs: 50, toMs: 350 })).toBe(2)
    expect(workWithin(pieces, { fromMs: 150, toMs: 250 })).toBe(0.5)
    expect(workWithin(pieces, { fromMs: 900, toMs: 950 })).toBe(0)
  })

  it('is the same in one time as in its two halves', () => {
    const at = fc.integer({ min: -50, max: 450 })
    fc.assert(
      fc.property(at, at, at, (...times) => {
        const [a = 0, b = 0, c = 0] = times.toSorted((x, y) => x - y)
        const halves = workWithin(pieces, { fromMs: a, toMs: b }) + workWithin(pieces, { fromMs: b, toMs: c })
        expect(workWithin(pieces, { fromMs: a, toMs: c })).toBeCloseTo(halves)
      }),
    )
  })

  it('is compared with as long a time right before', () => {
    expect(before({ fromMs: 500, toMs: 800 })).toEqual({ fromMs: 200, toMs: 500 })
    expect(percentLess(8, 6)).toBe(25)
    expect(percentLess(0, 0)).toBe(0)
  })
})

describe('a row', () => {
  it('has figures of so many digits, and the ratio of those before rounding', () => {
    const peer = { name: 'none', value: 30 }
    const row = measuredRow({
      ...{ case: 'stall', metric: 'gap', unit: 'ms', n: 2 },
      ...{ ours: 20.04, digits: 0, peer, goal: atMost(60) },
    })
    expect(row).toMatchObject({ ours: 20, peer: 30, peerName: 'none', ratio: 0.668, link: null })
    expect(row.goal).toEqual({ kind: 'at-most', value: 60 })
  })
})

/** The measurements' common language: medians, rows, tables. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type BenchReport,
  type BenchRow,
  benchReport,
  compare,
  isReached,
  markdownTable,
  median,
  percentile95,
  textTable,
} from './report.ts'

const measured = {
  case: 'migrate',
  link: '100 Mbit/s',
  load: 'none',
  metric: 'total',
  unit: 's',
  peerName: 'plain QEMU',
  digits: 2,
}

function reportOf(...rows: BenchReport['rows']): BenchReport {
  const machine = { cpu: 'A', cores: 2, memoryBytes: 1, kernel: '6.1', qemu: '7.2', node: '24.0.0' }
  return benchReport.parse({
    bench: 'migrate',
    commit: null,
    date: '2026-01-02T03:04:05.000Z',
    machine,
    rows,
  })
}

describe('the median', () => {
  it('is the middle value of an odd number, the mean of the middle two of an even one', () => {
    expect(median([9, 1, 5])).toBe(5)
    expect(median([4, 1, 2, 100])).toBe(3)
  })

  it('lies between the extremes and does not depend on the order', () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 1 }), (values) => {
        const middle = median(values)
        expect(middle).toBeGreaterThanOrEqual(Math.min(...values))
        expect(middle).toBeLessThanOrEqual(Math.max(...values))
        expect(median(values.toReversed())).toBe(middle)
      }),
    )
  })

  it('of nothing is refused', () => {
    expect(() => median([])).toThrow(RangeError)
  })
})

describe('the 95th percentile', () => {
  it('of twenty values is the second largest', () => {
    expect(percentile95(Array.from({ length: 20 }, (_, at) => at + 1))).toBe(19)
  })

  it('is one of the values, and at least 95 of 100 do not exceed it', () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 1 }), (values) => {
        const value = percentile95(values)
        expect(values).toContain(value)
        expect(values.filter((each) => each <= value).length).toBeGreaterThanOrEqual(values.length * 0.95)
      }),
    )
  })

  it('of nothing is refused', () => {
    expect(() => percentile95([])).toThrow(RangeError)
  })
})

describe('a row', () => {
  it('holds both medians and their ratio', () => {
    const row = compare({ ...measured, ours: [8, 8.5, 12], peer: [10, 10, 10] })
    expect(row).toMatchObject({ ours: 8.5, peer: 10, ratio: 0.85, n: 3, peerName: 'plain QEMU' })
  })

  it('has no ratio to nothing', () => {
    expect(compare({ ...measured, ours: [8], peer: [0] }).ratio).toBeNull()
  })
})

describe('the tables', () => {
  const report = reportOf(compare({ ...measured, ours: [8], peer: [10] }))

  it('show every row with its units, for a terminal', () => {
    expect(textTable(report)).toContain('100 Mbit/s  none  total      8 s  10 s   0.80  1')
  })

  it('name the peer in the head, for a page', () => {
    const lines = markdownTable(report).split('\n')
    expect(lines[0]).toBe('| link | load | measured | ours | plain QEMU | ratio | n |')
    expect(lines[2]).toBe('| 100 Mbit/s | none | total | 8 s | 10 s | 0.80 | 1 |')
  })

  it('say where the figures come from', () => {
    expect(markdownTable(report)).toContain('QEMU 7.2, Node 24.0.0; 2026-01-02.')
  })
})

describe('a goal', () => {
  const row: BenchRow = { ...compare({ ...measured, ours: [8], peer: [10] }), goal: null }
  const most: BenchRow['goal'] = { kind: 'at-most', value: 8 }
  const least: BenchRow['goal'] = { kind: 'at-least', value: 9 }

  it('is reached at its own value, and only promised where there is one', () => {
    expect(isReached(row)).toBeNull()
    expect(isReached({ ...row, goal: most })).toBe(true)
    expect(isReached({ ...row, goal: least })).toBe(false)
    expect(isReached({ ...row, goal: most, ours: null })).toBeNull()
  })

  it('may be of the ratio, which is not known where the peer never ended', () => {
    const ratio: BenchRow = { ...row, goal: { kind: 'ratio-at-most', value: 0.8 } }
    expect(isReached(ratio)).toBe(true)
    expect(isReached({ ...ratio, ratio: null, gaveUp: ['peer'] })).toBeNull()
    expect(isReached({ ...ratio, ratio: null, gaveUp: ['ours', 'peer'] })).toBe(false)
    const lines = markdownTable(reportOf({ ...ratio, ratio: null, gaveUp: ['peer'] })).split('\n')
    expect(lines[2]).toBe('| 100 Mbit/s | none | total | 8 s | ratio ≤ 0.8 | – | > 10 s | – | 1 |')
  })

  it('has columns of its own in a table that knows goals, with peers by name where they differ', () => {
    const other = { ...row, goal: null, peerName: 'none taken' }
    const lines = markdownTable(reportOf({ ...row, goal: most }, other)).split('\n')
    expect(lines[0]).toBe('| link | load | measured | ours | goal | reached | beside | ratio | n |')
    expect(lines[2]).toBe('| 100 Mbit/s | none | total | 8 s | ≤ 8 s | yes | 10 s (plain QEMU) | 0.80 | 1 |')
    expect(lines[3]).toContain('| – | – | 10 s (none taken) |')
  })
})

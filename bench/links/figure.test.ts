import { describe, expect, it } from 'vitest'
import { markdownCells } from '../lib/report.ts'
import { figureCells, figurePointOf, figureRuns, linksReport } from './figure.ts'
import { figurePicture } from './picture.ts'
import { chosenCases, type FigureCase, noSamples } from './plan.ts'
import { never, took } from './testing.ts'

const isFigure = (of: { part: string }): of is FigureCase => of.part === 'figure'
const cases = chosenCases({ isQuick: false, only: 'figure' }).filter(isFigure)
const samples = {
  ...noSamples(),
  plain: [never, never, took(50)],
  'multifd+zstd': [took(9)],
  first: [took(4), took(5), took(6)],
  out: [took(0.4), took(0.5)],
}
const points = cases.map((of) => figurePointOf(of, samples, 3 * 1024 ** 2))

describe('the figure', () => {
  it('has the seconds of the paper for each workload at each link', () => {
    expect(points.map(({ link, workload, paperS }) => `${workload}, ${link}: ${paperS}`)).toEqual([
      ...['terminal, 100 Mbit/s: 20', 'terminal, 70 Mbit/s: 110'],
      ...['video, 100 Mbit/s: 25', 'video, 70 Mbit/s: 150'],
      ...['mixed, 100 Mbit/s: 25', 'mixed, 70 Mbit/s: 130'],
    ])
  })

  it('says in a line what each way took, what was given up, and what is not there yet', () => {
    const lines = markdownCells(figureCells(points.slice(0, 1))).split('\n')
    expect(lines[2]).toBe(
      '| 100 Mbit/s | terminal | 3 MiB | 20 s | > 60 s | 9 s (9.5 s) | 5 s (5.5 s) | 0.45 s (0.95 s) | – |',
    )
  })

  it('says on how many moves it rests', () => {
    expect(figureRuns(points)).toBe('Each is one move.')
    const thrice = { ...noSamples(), plain: [never, never, never], first: [took(4), took(5), took(6)] }
    const all = cases.map((of) => figurePointOf(of, thrice, 0))
    expect(figureRuns(all)).toBe('Each is the median of 3 moves or more.')
  })

  it('is read again from what was kept', () => {
    const machine = { cpu: 'A', cores: 2, memoryBytes: 1, kernel: '6.1', qemu: '7.2', node: '24.0.0' }
    const about = { bench: 'links', commit: null, date: '2026-01-02T03:04:05.000Z', machine, rows: [] }
    const kept = JSON.stringify({ ...about, figure: points })
    expect(linksReport.parse(JSON.parse(kept)).figure).toEqual(points)
  })
})

describe('the picture', () => {
  const svg = figurePicture(points)

  it('has a panel for each link and a bar for each way and the paper, hollow where it was given up', () => {
    expect(svg).toContain('>100 Mbit/s</text>')
    expect(svg).toContain('>70 Mbit/s</text>')
    expect(svg.match(/Z" fill="[^"]+" stroke/g)).toHaveLength(points.length * 5)
    expect(svg.match(/fill="none" stroke/g)).toHaveLength(points.length)
    expect(svg).toContain('>&gt; 60</text>')
  })

  it('has a place for warm docks only where there are some', () => {
    expect(svg).not.toContain('warm')
    const warm = cases.map((of) => figurePointOf(of, { ...samples, warm: [took(0.8)] }, 0))
    expect(figurePicture(warm)).toContain('>ours, to a warm dock</text>')
  })

  it('draws nothing behind itself, and every number is one', () => {
    expect(svg).not.toMatch(/<rect|NaN|Infinity|undefined/)
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { alongAxis, decadesAround, downtimePicture, pointsOf } from './picture.ts'
import { measuredRow } from './plan.ts'

const row = (link: string, megabytes: number, computed: boolean) =>
  measuredRow({
    ...{ case: 'figures', metric: 'downtime, 110 MB in all', unit: 's', digits: 3, n: 1 },
    ...{ link, load: `${megabytes} MB`, ours: 0.05 },
    peer: {
      name: computed ? 'stop and copy, from its measured rate' : 'stop and copy',
      value: megabytes * 4,
    },
  })
const points = pointsOf([row('3G', 10, true), row('3G', 512, true), row('Wi-Fi', 10, false)])

describe('the points', () => {
  it('are those of the rows, and know what was computed', () => {
    expect(points[0]).toEqual({ link: '3G', megabytes: 10, oursS: 0.05, stopAndCopyS: 40, isComputed: true })
    expect(points.map(({ isComputed }) => isComputed)).toEqual([true, true, false])
  })
})

describe('a logarithmic axis', () => {
  it('goes from one power of ten to another around all values', () => {
    expect(decadesAround([0.05, 2048])).toEqual({ from: 0.01, to: 10_000 })
    expect(decadesAround([10])).toEqual({ from: 10, to: 100 })
    expect(decadesAround([])).toEqual({ from: 0.1, to: 1 })
  })

  it('keeps the order of values and stays between its ends', () => {
    const seconds = fc.double({ min: 0.001, max: 1e5, noNaN: true })
    fc.assert(
      fc.property(seconds, seconds, (a, b) => {
        const axis = decadesAround([a, b])
        const [low, high] = [alongAxis(Math.min(a, b), axis), alongAxis(Math.max(a, b), axis)]
        expect(low).toBeGreaterThanOrEqual(0)
        expect(high).toBeGreaterThanOrEqual(low)
        expect(high).toBeLessThanOrEqual(1 + 1e-9)
      }),
    )
  })
})

describe('the picture', () => {
  const svg = downtimePicture(points)

  it('has a panel for each link, and hollow dots for what was computed', () => {
    expect(svg).toContain('>3G</text>')
    expect(svg).toContain('>Wi-Fi</text>')
    expect(svg.match(/<circle/g)).toHaveLength(2 * points.length + 3)
    expect(
      svg.match(/fill="none" stroke="#d1663b" stroke-width="2"\/><circle|r="4" fill="none"/g)?.length,
    ).toBe(3)
  })

  it('draws nothing behind itself, and every number is one', () => {
    expect(svg).not.toMatch(/<rect|NaN|Infinity|undefined/)
  })
})

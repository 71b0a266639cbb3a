import { describe, expect, it } from 'vitest'
import { downtimePicture, pointsOf } from './picture.ts'
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

import { describe, expect, it } from 'vitest'
import { Crossing, type CrossingSample } from './convergence.ts'

const megabyte = 1e6
const sample = (change: Partial<CrossingSample>): CrossingSample => ({
  atMs: 0,
  rounds: 2,
  transferredBytes: 0,
  believedBytesPerS: 500 * megabyte,
  framedBytes: 0,
  sentBytes: 0,
  ackedBytes: 0,
  ...change,
})
const crossingOver = (linkBytesPerS: number | null) =>
  new Crossing({ targetMs: 120, laterTargetMs: 360, linkBytesPerS })

/** With how much left QEMU stops the guest. */
const leftBytes = (limitMs: number | null, believedBytesPerS: number) =>
  ((limitMs ?? 0) / 1000) * believedBytesPerS

describe('the limit of the downtime', () => {
  it('lets no more be left than the link carries in time, whatever QEMU believes', () => {
    const limitMs = crossingOver(10 * megabyte).firstLimitMs(600 * megabyte)
    expect(leftBytes(limitMs, 600 * megabyte)).toBeCloseTo(1.2 * megabyte, -5)
  })

  it('is wider where what changes compresses well', () => {
    const crossing = crossingOver(10 * megabyte)
    crossing.see(sample({ atMs: 0 }))
    const limitMs = crossing.see(
      sample({ atMs: 100, framedBytes: 4 * megabyte, sentBytes: 0.4 * megabyte, ackedBytes: 0.4 * megabyte }),
    )
    expect(leftBytes(limitMs, 500 * megabyte)).toBeCloseTo(12 * megabyte, -6)
  })

  it('takes nothing for cheap that belongs to the first round, in which most was there already', () => {
    const crossing = crossingOver(10 * megabyte)
    crossing.see(sample({ atMs: 0, transferredBytes: 100 * megabyte, framedBytes: 80 * megabyte }))
    const limitMs = crossing.see(
      sample({ atMs: 40, transferredBytes: 110 * megabyte, framedBytes: 99 * megabyte }),
    )
    expect(leftBytes(limitMs, 500 * megabyte)).toBeCloseTo(1.2 * megabyte, -6)
  })

  it('heeds what QEMU believed a moment ago: it may believe that again', () => {
    const crossing = crossingOver(10 * megabyte)
    crossing.see(sample({ atMs: 0, believedBytesPerS: 200 * megabyte }))
    const soon = crossing.see(sample({ atMs: 100, believedBytesPerS: 10 * megabyte }))
    expect(leftBytes(soon, 200 * megabyte)).toBeCloseTo(1.2 * megabyte, -6)
    const later = crossing.see(sample({ atMs: 600, believedBytesPerS: 10 * megabyte }))
    expect(later).toBe(120)
  })

  it('is wider for a guest that does not come to rest in a few rounds', () => {
    const crossing = crossingOver(10 * megabyte)
    const believedBytesPerS = 10 * megabyte
    expect(crossing.see(sample({ believedBytesPerS }))).toBe(120)
    expect(crossing.see(sample({ believedBytesPerS, rounds: 4 }))).toBe(360)
  })

  it('says nothing in the first round, nor before QEMU has measured anything', () => {
    const crossing = crossingOver(null)
    expect(crossing.see(sample({ rounds: 1 }))).toBeNull()
    const other = crossingOver(null)
    expect(other.see(sample({ believedBytesPerS: 0 }))).toBeNull()
  })

  it('learns that the link is faster than it was thought to be', () => {
    const crossing = crossingOver(null)
    crossing.see(sample({ rounds: 1 }))
    const fast = { framedBytes: 30 * megabyte, sentBytes: 30 * megabyte, ackedBytes: 30 * megabyte }
    crossing.see(sample({ atMs: 300, ...fast }))
    const limitMs = crossing.see(sample({ atMs: 310, ...fast }))
    expect(leftBytes(limitMs, 500 * megabyte)).toBeCloseTo(12 * megabyte, -6)
  })
})

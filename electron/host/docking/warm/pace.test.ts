import { describe, expect, it } from 'vitest'
import { type PaceSample, WarmPace } from './pace.ts'

const calm = { rttMs: 2, slowdown: 0, isBusy: false }

/** Looks every half second while so much of the pace crosses the link. @returns the paces, in MB/s */
function paces(pace: WarmPace, looks: number, share: number, of: Partial<PaceSample> = {}): number[] {
  let linkBytes = 0
  return Array.from({ length: looks }, (_, look) => {
    linkBytes += pace.bytesPerS * share * 0.5
    return pace.see({ ...calm, ...of, atMs: look * 500, linkBytes }) / 1e6
  })
}

describe('the pace of what nobody waits for', () => {
  it('settles at a share of the link', () => {
    const pace = new WarmPace(12e6)
    expect(paces(pace, 20, 1).at(-1)).toBeCloseTo(3.6, 0)
    expect(pace.budget(false)).toBeCloseTo(3.6e6)
  })

  it('is quick where the other dock has nearly all of it, and never endless', () => {
    expect(paces(new WarmPace(12e6), 20, 0.01).at(-1)).toBe(64)
  })

  it('gives way to other work on this PC', () => {
    const busy = paces(new WarmPace(100e6), 30, 1, { isBusy: true }).at(-1) ?? 0
    expect(busy).toBeCloseTo(5, 0)
  })

  it('gives way to a guest that is slowed by more than 2 %, and no further than is of use', () => {
    const pace = new WarmPace(100e6)
    paces(pace, 3, 0.1)
    const [first = 0, second = 0, ...rest] = paces(pace, 10, 0.1, { slowdown: 0.03 })
    expect(second).toBeLessThan(first)
    expect(rest.at(-1)).toBe(2)
    expect(paces(pace, 10, 0.1, { slowdown: 0.01 }).at(-1)).toBeGreaterThan(20)
  })

  it('gives way where what it sends begins to queue on the link', () => {
    const pace = new WarmPace(100e6)
    paces(pace, 5, 0.1)
    expect(paces(pace, 10, 0.1, { rttMs: 90 }).at(-1)).toBe(2)
  })

  it('takes a link that is not known for a slow one', () => {
    expect(new WarmPace(null).budget(false)).toBeCloseTo(1.5e6)
  })
})

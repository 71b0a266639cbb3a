import { expect, it } from 'vitest'
import { CodecBrake } from './codec-brake.ts'

const seeTwice = (waitedMs: number, carriedPages: number, tookMs = 800): number | null => {
  const brake = new CodecBrake()
  brake.see({ atMs: 0, linkWaitMs: 0, carriedPages: 0 })
  return brake.see({ atMs: tookMs, linkWaitMs: waitedMs, carriedPages })
}

it('tells how fast many pages crossed while the link was never waited for', () => {
  expect(seeTwice(0, 10_000)).toBe(51_200_000)
  expect(seeTwice(20, 10_000)).toBe(51_200_000)
})

it('tells nothing where the link was waited for', () => {
  expect(seeTwice(100, 10_000)).toBeNull()
  expect(seeTwice(750, 10_000)).toBeNull()
})

it('tells nothing where little had to be sent, or too short a time has passed', () => {
  expect(seeTwice(0, 100)).toBeNull()
  expect(seeTwice(0, 10_000, 300)).toBeNull()
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Line } from './line.ts'

describe('a line', () => {
  it('takes the time of its rate, and the delay', () => {
    const line = new Line({ bitsPerS: 8000, delayMs: 15 })
    expect(line.send(0, 100)).toBe(115)
    expect(line.send(0, 100)).toBe(215)
    expect(line.send(1000, 100)).toBe(1115)
  })

  it('takes a new shape for what is sent from then on, and keeps the order', () => {
    const line = new Line({ bitsPerS: 8000, delayMs: 500 })
    expect(line.send(0, 10)).toBe(510)
    line.reshape({ bitsPerS: 8_000_000, delayMs: 0 })
    expect(line.send(20, 10)).toBe(510)
    expect(line.send(600, 10)).toBeCloseTo(600.01)
  })

  it('never carries more than its rate, and never turns the order around', () => {
    const sends = fc.array(
      fc.record({ waitMs: fc.nat({ max: 50 }), bytes: fc.integer({ min: 1, max: 65_536 }) }),
      { minLength: 1, maxLength: 60 },
    )
    fc.assert(
      fc.property(sends, (all) => {
        const line = new Line({ bitsPerS: 1e6, delayMs: 15 })
        let nowMs = 0
        let sentBytes = 0
        let lastMs = 0
        for (const { waitMs, bytes } of all) {
          nowMs += waitMs
          sentBytes += bytes
          const atMs = line.send(nowMs, bytes)
          expect(atMs).toBeGreaterThanOrEqual(Math.max(lastMs, nowMs + 15 + bytes / 125) - 1e-6)
          expect(atMs).toBeGreaterThanOrEqual(sentBytes / 125 + 15 - 1e-6)
          lastMs = atMs
        }
      }),
    )
  })
})

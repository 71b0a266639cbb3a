/**
 * The model check of a move: the real logic of both docks over a simulated network and simulated QEMUs, hit on its whole
 * way. Whatever happens, the guest never runs twice, and it runs once when the docks meet again.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { blows, runCase } from './testing/cases.ts'
import { steps, sweep, tell, verdictOf } from './testing/sweep.ts'

describe('a handover between two docks', () => {
  it('moves a running guest, and a paused one stays paused', async () => {
    for (const running of [true, false]) {
      const plan = { running, pull: false, blows: [] }
      const { wrong, story, steps: taken } = await runCase(plan)
      expect(tell(plan, wrong, story)).toBe('')
      expect(taken).toBeLessThan(steps.start)
      expect(taken).toBeGreaterThan(steps.start / 2)
    }
  })

  it.each(blows)(
    'ends with one runner when something befalls the move: %s',
    { timeout: 60_000 },
    async (blow) => {
      expect(await sweep('start', blow, 12)).toEqual([])
    },
  )

  it('ends with one runner whatever comes together', { timeout: 60_000 }, async () => {
    const strike = (from: 'start' | 'loaded') =>
      fc.record({
        from: fc.constant(from),
        step: fc.integer({ min: 0, max: steps[from] }),
        blow: fc.constantFrom(...blows),
        mendAfterMs: fc.constantFrom(null, 5, 15, 40),
      })
    const plan = fc.record({
      running: fc.boolean(),
      pull: fc.boolean(),
      blows: fc.array(fc.oneof(strike('start'), strike('loaded')), { minLength: 1, maxLength: 3 }),
    })
    const property = fc.asyncProperty(plan, async (each) => {
      expect(await verdictOf(each)).toBe('')
    })
    await fc.assert(property, { numRuns: 40, seed: 20_261, endOnFailure: true })
  })
})

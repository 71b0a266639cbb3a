/**
 * The model check of a move: the real logic of both docks over a simulated network and simulated QEMUs, hit at every
 * step. Whatever happens, the guest never runs twice, and it runs once when the docks meet again.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Blow, blows, type ModelCase, runCase } from './testing/cases.ts'

/** A whole move takes about 95, its handover the last 25. */
const steps = { start: 110, loaded: 26 }

function tell(plan: ModelCase, wrong: string[], story: readonly string[]): string {
  return wrong.length === 0 ? '' : [JSON.stringify(plan), ...wrong, ...story].join('\n')
}

async function verdictOf(plan: ModelCase): Promise<string> {
  const { wrong, story } = await runCase(plan)
  return tell(plan, wrong, story)
}

/** One blow at every `stride`th step. */
async function sweep(from: 'start' | 'loaded', blow: Blow, stride: number): Promise<string[]> {
  const failures: string[] = []
  for (let step = from === 'start' ? 1 : 0; step <= steps[from]; step += stride) {
    const strike = { from, step, blow, mendAfterMs: step % 2 === 0 ? 12 : null }
    const plan = { running: step % 5 !== 1, pull: step % 3 === 0, blows: [strike] }
    const failure = await verdictOf(plan)
    if (failure !== '') failures.push(failure)
  }
  return failures
}

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
      expect(await sweep('start', blow, 9)).toEqual([])
    },
  )

  it.each(blows)(
    'ends with one runner at whatever step of the handover: %s',
    { timeout: 60_000 },
    async (blow) => {
      expect(await sweep('loaded', blow, 1)).toEqual([])
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

/** The model check of a move at every single step of its handover; handover.test.ts has the rest. */
import { describe, expect, it } from 'vitest'
import { blows } from './testing/cases.ts'
import { sweep } from './testing/sweep.ts'

describe('a handover between two docks', () => {
  it.each(blows)(
    'ends with one runner at whatever step of the handover: %s',
    { timeout: 60_000 },
    async (blow) => {
      expect(await sweep('loaded', blow, 1)).toEqual([])
    },
  )
})

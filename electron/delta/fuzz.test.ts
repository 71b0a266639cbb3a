import { expect, it } from 'vitest'
import { randomFrom } from '../../scripts/lib/random-from.ts'
import { fuzzBoth } from './testing/fuzz-both.ts'

const busyMachineMs = 60_000

it(
  'makes a named error of hostile messages, and never a wrong byte (npm run fuzz:delta sends a million)',
  () => {
    const { wrong, refusals } = fuzzBoth(randomFrom(4), 1000)
    expect(wrong).toBeNull()
    // It comes upon many things to refuse, not upon the same all the time.
    expect(refusals).toBeGreaterThan(10)
  },
  busyMachineMs,
)

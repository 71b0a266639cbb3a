/** Outcomes of moves that never were. For tests only. */
import type { Outcome } from '../lib/move.ts'

export function took(memoryS: number, { freezeMs = 100, wireMegabytes = 10 } = {}): Outcome {
  const memoryMs = memoryS * 1000
  return {
    kind: 'arrived',
    move: { memoryMs, totalMs: memoryMs + 500, freezeMs, wireBytes: wireMegabytes * 1e6 },
  }
}

export const never: Outcome = { kind: 'gave-up', afterMs: 60_000 }

/** Time, injected so that tests can turn it. Promises durations in milliseconds; relies on nothing. */
import { setTimeout as wait } from 'node:timers/promises'

export interface Clock {
  /** Wall-clock time, milliseconds since 1970 UTC. May jump. */
  nowMs(): number
  /** Milliseconds since an arbitrary start. Never jumps back: use it for durations. */
  monotonicMs(): number
  /** Resolves after `durationMs`; rejects with the signal's reason when aborted before. */
  sleep(durationMs: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: async (durationMs, signal) => {
    await wait(durationMs, undefined, signal ? { signal } : {})
  },
}

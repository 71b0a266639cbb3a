/** Waiting that can be called off. */
import type { Clock } from '../platform/clock.ts'

/** @throws the signal's own reason: timers of Node have an error of theirs */
export async function pause(
  clock: Clock,
  durationMs: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (durationMs <= 0) return
  try {
    await clock.sleep(durationMs, signal)
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  }
}

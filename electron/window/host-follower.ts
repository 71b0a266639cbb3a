/**
 * Follows the state of the host for everything around the window: tray, notifications, power. Promises each
 * listener every state in order, and to start again with a snapshot when the host ends the stream.
 */
import { applyHostEvent, type HostEvent, type HostState } from '../../shared/models/host-state.ts'
import type { Log } from '../platform/log.ts'

/** Called with the state before (null at first) and after each change. */
export type StateListener = (after: HostState, before: HostState | null) => void

export interface FollowOptions {
  watch(signal: AbortSignal): Promise<AsyncIterable<HostEvent>> | AsyncIterable<HostEvent>
  listeners: readonly StateListener[]
  log: Log
  /** Ends the following. */
  signal: AbortSignal
  /** Between two attempts. Default 2000. */
  retryMs?: number
}

/** Resolves when the signal has fired. Never rejects. */
export async function followHost(options: FollowOptions): Promise<void> {
  let state: HostState | null = null
  while (!options.signal.aborted) {
    try {
      for await (const event of await options.watch(options.signal)) {
        const before: HostState | null = state
        state = applyHostEvent(before, event)
        if (state !== null) for (const listener of options.listeners) listener(state, before)
      }
    } catch (error) {
      if (!options.signal.aborted) options.log.warn('lost touch with the host', { error })
    }
    await pause(options.retryMs ?? 2000, options.signal)
  }
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, milliseconds)
    function done(): void {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    signal.addEventListener('abort', done)
  })
}

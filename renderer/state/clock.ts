/**
 * One ticking clock for everything that counts time. It runs only while somebody looks: no subscriber or a
 * hidden page, no timer. Only the components that read it render again.
 */
import { useSyncExternalStore } from 'react'

const tickMs = 1000
const listeners = new Set<() => void>()
let timer: ReturnType<typeof setInterval> | undefined
let nowMs = Date.now()

function tick(): void {
  nowMs = Date.now()
  for (const listener of listeners) listener()
}

function adjust(): void {
  const wanted = listeners.size > 0 && !document.hidden
  if (wanted && timer === undefined) {
    timer = setInterval(tick, tickMs)
    tick()
  } else if (!wanted && timer !== undefined) {
    clearInterval(timer)
    timer = undefined
  }
}

function subscribe(listener: () => void): () => void {
  if (listeners.size === 0) document.addEventListener('visibilitychange', adjust)
  listeners.add(listener)
  adjust()
  return () => {
    listeners.delete(listener)
    if (listeners.size === 0) document.removeEventListener('visibilitychange', adjust)
    adjust()
  }
}

/** The text that `read` makes of now; renders again only when that text changes. */
export function useTimeText(read: (nowMs: number) => string): string {
  return useSyncExternalStore(subscribe, () => read(nowMs))
}

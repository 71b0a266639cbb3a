/** Texts that change by themselves as time passes. Each renders alone. */
import { formatDuration } from '../../shared/format.ts'
import { agoWords, countdownWords, momentWords, startOfDay } from '../model/dates.ts'
import { useTimeText } from '../state/clock.ts'

/** `up 3 min` */
export function Uptime({ sinceMs }: { sinceMs: number }) {
  return useTimeText((nowMs) => `up ${uptimeWords(nowMs - sinceMs)}`)
}

/** Whole seconds: a clock that counts tenths once a second looks broken. */
function uptimeWords(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  return seconds < 60 ? `${seconds} s` : formatDuration(seconds * 1000)
}

export function Ago({ atMs }: { atMs: number }) {
  return useTimeText((nowMs) => agoWords(atMs, nowMs))
}

/** For how long something has been going on: `12 s` */
export function Elapsed({ sinceMs }: { sinceMs: number }) {
  return useTimeText((nowMs) => uptimeWords(nowMs - sinceMs))
}

/** `today, 14:05` */
export function Moment({ atMs }: { atMs: number }) {
  return useTimeText((nowMs) => momentWords(atMs, nowMs))
}

/** The first instant of today; what reads it renders anew at midnight. */
export function useToday(): number {
  return Number(useTimeText((nowMs) => String(startOfDay(nowMs))))
}

export function Countdown({ untilMs }: { untilMs: number }) {
  return useTimeText((nowMs) => countdownWords(untilMs - nowMs))
}

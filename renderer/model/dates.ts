/** Instants as people say them. Pure; the words of durations come from `shared/format.ts`. */
import { formatDuration } from '../../shared/format.ts'

/** `just now`, `5 min ago`. */
export function agoWords(thenMs: number, nowMs: number): string {
  const passedMs = nowMs - thenMs
  return passedMs < 60_000 ? 'just now' : `${formatDuration(passedMs)} ago`
}

const dayFormat = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short' })

export function dateWords(atMs: number): string {
  return dayFormat.format(atMs)
}

/** `1:07` for a countdown. */
export function countdownWords(leftMs: number): string {
  const seconds = Math.max(0, Math.ceil(leftMs / 1000))
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}

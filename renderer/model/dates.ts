/** Instants as people say them. Pure; the words of durations come from `shared/format.ts`. */
import { formatDuration } from '../../shared/format.ts'

/** `just now`, `5 min ago`. */
export function agoWords(thenMs: number, nowMs: number): string {
  const passedMs = nowMs - thenMs
  return passedMs < 60_000 ? 'just now' : `${formatDuration(passedMs)} ago`
}

const dayFormat = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short' })
const clockFormat = new Intl.DateTimeFormat('en-GB', { timeStyle: 'short' })
const thisYearFormat = new Intl.DateTimeFormat('en-GB', { weekday: 'short', day: 'numeric', month: 'short' })
const otherYearFormat = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' })

export function dateWords(atMs: number): string {
  return dayFormat.format(atMs)
}

/** `14:05` */
export function clockWords(atMs: number): string {
  return clockFormat.format(atMs)
}

/** The first instant of a day where this PC is. */
export function startOfDay(atMs: number): number {
  return new Date(atMs).setHours(0, 0, 0, 0)
}

/** `today`, `yesterday`, `Tue 3 Mar`, `3 Mar 2024`. */
export function dayWords(atMs: number, nowMs: number): string {
  // Rounded, for days of 23 and 25 hours.
  const daysAhead = Math.round((startOfDay(atMs) - startOfDay(nowMs)) / 86_400_000)
  if (daysAhead === 0) return 'today'
  if (daysAhead === -1) return 'yesterday'
  if (daysAhead === 1) return 'tomorrow'
  const sameYear = new Date(atMs).getFullYear() === new Date(nowMs).getFullYear()
  return (sameYear ? thisYearFormat : otherYearFormat).format(atMs).replace(',', '')
}

/** `today, 14:05` */
export function momentWords(atMs: number, nowMs: number): string {
  return `${dayWords(atMs, nowMs)}, ${clockWords(atMs)}`
}

/** An instant in the form that the browser's field for date and time wants: `2026-03-03T14:05`. */
export function dateFieldText(atMs: number): string {
  const at = new Date(atMs)
  const two = (number: number): string => String(number).padStart(2, '0')
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}`
}

/** `1:07` for a countdown. */
export function countdownWords(leftMs: number): string {
  const seconds = Math.max(0, Math.ceil(leftMs / 1000))
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}

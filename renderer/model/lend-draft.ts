/** For how long a checkpoint is lent: what was chosen, and the instants that come of it. Pure. */
import { momentWords } from './dates.ts'

export type LendSpan = 'hours' | 'day' | 'until' | 'ever'

export interface LendDraft {
  span: LendSpan
  /** As the browser's field for date and time gives it, in the time of this PC. */
  until: string
  startsLater: boolean
  start: string
}

export interface LendTimes {
  /** Null is at once. */
  startMs: number | null
  /** Null is for ever. */
  endMs: number | null
}

export type LendProblems = Partial<Record<'until' | 'start', string>>

const hourMs = 3_600_000

/** @returns the instants, or what is wrong with which field */
export function readLendDraft(
  draft: LendDraft,
  nowMs: number,
): { times: LendTimes } | { problems: LendProblems } {
  const problems: LendProblems = {}
  const start = draft.startsLater ? Date.parse(draft.start) : nowMs
  if (Number.isNaN(start)) problems.start = 'Choose a day and a time.'
  else if (draft.startsLater && start <= nowMs) problems.start = 'This has passed already.'
  const end = endOf(draft, start)
  if (Number.isNaN(end) && draft.span === 'until') problems.until = 'Choose a day and a time.'
  else if (end !== null && end <= nowMs) problems.until = 'This has passed already.'
  else if (end !== null && end <= start) problems.until = 'It would end before it begins.'
  if (Object.keys(problems).length > 0) return { problems }
  return { times: { startMs: draft.startsLater ? start : null, endMs: end } }
}

function endOf({ span, until }: LendDraft, startMs: number): number | null {
  switch (span) {
    case 'hours':
      return startMs + 2 * hourMs
    case 'day':
      return startMs + 24 * hourMs
    case 'until':
      return Date.parse(until)
    case 'ever':
      return null
  }
}

/** `until tomorrow, 14:05`, `for ever`, `from today, 18:00 until tomorrow, 18:00`, `ended yesterday, 9:10` */
export function lentWords({ startMs, endMs }: LendTimes, nowMs: number): string {
  if (endMs !== null && endMs <= nowMs) return `ended ${momentWords(endMs, nowMs)}`
  const end = endMs === null ? 'for ever' : `until ${momentWords(endMs, nowMs)}`
  return startMs !== null && startMs > nowMs ? `from ${momentWords(startMs, nowMs)} ${end}` : end
}

/**
 * The first link to something lent in a text that was pasted, which may have more around it or be broken into
 * lines; null where there is none.
 */
export function findLink(text: string): string | null {
  const joinedLines = text.replace(/\s*[\r\n]+\s*/g, '')
  return /wdock:(?:\/\/)?lend[^\s<>"']+/i.exec(joinedLines)?.[0] ?? null
}

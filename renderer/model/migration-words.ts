/** Moves in the words of people: phases, estimates, outcomes. Pure. */
import { assertNever } from '../../shared/assert-never.ts'
import { formatBytes, formatDuration, formatRate, formatTimeRange } from '../../shared/format.ts'
import type { MigrationEstimate, MigrationRecord } from '../../shared/models/migration.ts'
import type { MigrationPhase, MigrationResult, Operation, Progress } from '../../shared/models/operation.ts'

export const phases: readonly { phase: MigrationPhase; word: string; term: string }[] = [
  { phase: 'checking', word: 'checking', term: 'compare capabilities' },
  { phase: 'preparing', word: 'making room', term: 'prepare the destination' },
  { phase: 'copying-layers', word: 'copying the disk', term: 'copy immutable layers' },
  { phase: 'mirroring-disk', word: 'keeping the disk in step', term: 'mirror the top layer' },
  { phase: 'copying-memory', word: 'copying memory', term: 'pre-copy' },
  { phase: 'switching-over', word: 'switching over', term: 'switchover' },
  { phase: 'finishing', word: 'settling in', term: 'finish' },
]

export function phaseWord(phase: MigrationPhase): string {
  return phases.find((each) => each.phase === phase)?.word ?? phase
}

/** `ready in about 2 s · freeze of 0.1 s · 105 MB` */
export function estimateWords(estimate: MigrationEstimate): string {
  const freeze = formatTimeRange(estimate.freeze).replace('about ', '')
  return `ready in ${formatTimeRange(estimate.time)} · freeze of ${freeze} · ${bytesRange(estimate.bytes)}`
}

function bytesRange(bytes: { min: number; max: number }): string {
  const low = formatBytes(bytes.min)
  const high = formatBytes(bytes.max)
  return low === high ? high : `${low} to ${high}`
}

/** The part that is done, 0 to 1; null while the whole is unknown. Never full before the end. */
export function doneShare(progress: Progress): number | null {
  if (progress.totalBytes === null || progress.totalBytes === 0) return null
  return Math.min(0.99, progress.doneBytes / progress.totalBytes)
}

/** `98 MB/s · about 3 s left`; parts that are unknown are left out. */
export function paceWords(progress: Progress): string {
  const parts: string[] = []
  if (progress.rateBytesPerS > 0) parts.push(formatRate(progress.rateBytesPerS))
  if (progress.timeLeft !== null) parts.push(`${formatTimeRange(progress.timeLeft)} left`)
  return parts.join(' · ')
}

/** `212 MB of 530 MB` */
export function amountWords(progress: Progress): string {
  const done = formatBytes(progress.doneBytes)
  return progress.totalBytes === null ? done : `${done} of ${formatBytes(progress.totalBytes)}`
}

/** `Moved in 3.2 s, freeze of 0.06 s` */
export function resultWords(result: MigrationResult): string {
  return `Moved in ${formatDuration(result.totalMs)}, freeze of ${formatDuration(result.downtimeMs)}`
}

export function outcomeWord(outcome: MigrationRecord['outcome']): string {
  switch (outcome.kind) {
    case 'done':
      return 'moved'
    case 'cancelled':
      return 'cancelled'
    case 'failed':
      return 'failed'
    default:
      return assertNever(outcome)
  }
}

/** A sentence for a screen reader, which changes only when there is news. */
export function announcement(operation: Operation): string {
  const { work, state, guestName } = operation
  if (work.kind !== 'migration') return ''
  switch (state.kind) {
    case 'running':
      return `${guestName} is moving: ${phaseWord(work.phase)}.`
    case 'cancelling':
      return `The move of ${guestName} is being cancelled.`
    case 'done':
      return work.result === null ? `${guestName} has moved.` : `${guestName}: ${resultWords(work.result)}.`
    case 'cancelled':
      return `The move of ${guestName} was cancelled.`
    case 'failed':
      return `${guestName} was not moved. ${state.error.message}`
    default:
      return assertNever(state)
  }
}

/** Only moves are announced; creating a guest is told by its own line. */
export function isNews(operation: Operation): boolean {
  return operation.work.kind === 'migration'
}

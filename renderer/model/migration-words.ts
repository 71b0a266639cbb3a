/** Moves as sentences for the page: estimates, results, announcements; the words of phases and outcomes are in `shared/words.ts`. Pure. */
import { assertNever } from '../../shared/assert-never.ts'
import type { ErrorShape } from '../../shared/errors/index.ts'
import { formatBytes, formatTimeRange } from '../../shared/format.ts'
import type { MigrationEstimate } from '../../shared/models/migration.ts'
import {
  type MigrationPhase,
  type MigrationResult,
  migrationPhase,
  type Operation,
  type Progress,
} from '../../shared/models/operation.ts'
import { phaseWord, tookWords } from '../../shared/words.ts'

type MigrationWork = Extract<Operation['work'], { kind: 'migration' }>

const phaseTerms: Record<MigrationPhase, string> = {
  checking: 'compare capabilities',
  preparing: 'prepare the destination',
  'copying-layers': 'copy immutable layers',
  'mirroring-disk': 'mirror the top layer',
  'copying-memory': 'pre-copy',
  'switching-over': 'switchover',
  'fetching-rest': 'post-copy',
  'waiting-for-link': 'post-copy, broken off',
  finishing: 'finish',
}

/** The phases in the order in which they happen, each with the field's term. */
export const phases: readonly { phase: MigrationPhase; word: string; term: string }[] =
  migrationPhase.options.map((phase) => ({ phase, word: phaseWord(phase), term: phaseTerms[phase] }))

/** Those that a move goes through, or did: few wait for a link. */
export function stepsOf({
  phase: now,
  switchover,
}: Pick<MigrationWork, 'phase' | 'switchover'>): typeof phases {
  const isNever = (phase: MigrationPhase): boolean =>
    (phase === 'fetching-rest' && switchover !== 'post-copy') ||
    (phase === 'waiting-for-link' && phase !== now)
  return phases.filter(({ phase }) => !isNever(phase))
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

/** What a move that arrived took: `Moved in 3.2 s, freeze of 0.06 s` */
export function movedWords(result: MigrationResult | null): string {
  if (result === null) return 'Moved, cut at the handover and settled afterwards'
  return `Moved in ${tookWords(result)}`
}

/** `Not moved, it stays on Laptop.`; null where nobody knows yet. */
export function stayedWords(error: ErrorShape, fromName: string): string | null {
  return isUnsettled(error) ? null : `Not moved, it stays on ${fromName}.`
}

function isUnsettled(error: ErrorShape): boolean {
  return error.code === 'migration.unsettled'
}

/** A move as a sentence for a screen reader, which changes only when there is news. */
export function announcement(operation: Operation): string {
  const { work, state, guestName } = operation
  if (work.kind !== 'migration') return ''
  switch (state.kind) {
    case 'running':
      return `${guestName} is moving: ${phaseWord(work.phase)}.`
    case 'cancelling':
      return `The move of ${guestName} is being cancelled.`
    case 'done':
      return `${guestName}: ${movedWords(work.result)}.`
    case 'cancelled':
      return `The move of ${guestName} was cancelled.`
    case 'failed':
      return failedAnnouncement(guestName, state.error)
    default:
      return assertNever(state)
  }
}

function failedAnnouncement(guestName: string, error: ErrorShape): string {
  const why = `${error.message} ${error.fix}`
  return isUnsettled(error) ? why : `${guestName} was not moved. ${why}`
}

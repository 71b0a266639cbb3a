/**
 * Whatever is under way with a guest, and how it ended, in words: one place for moves, checkpoints, restores and
 * new guests. Pure; the words of phases are in `shared/words.ts`.
 */
import { assertNever } from '../../shared/assert-never.ts'
import type { ErrorShape } from '../../shared/errors/index.ts'
import { formatDuration } from '../../shared/format.ts'
import type { Operation, Progress } from '../../shared/models/operation.ts'
import { checkpointPhaseWord, phaseWord, restorePhaseWord } from '../../shared/words.ts'
import { announcement as moveAnnouncement } from './migration-words.ts'

export interface WorkWords {
  /** What the progress bar measures. */
  label: string
  /** What is done right now. */
  phase: string
  /** A few words beside the amount. */
  aside: string | null
  /** A sentence that a person should read. */
  note: string | null
}

type Restore = Extract<Operation['work'], { kind: 'restore' }>
type CheckpointWork = Extract<Operation['work'], { kind: 'checkpoint' }>

export function workWords({ work, guestName, progress }: Operation): WorkWords {
  const base = { aside: null, note: null }
  switch (work.kind) {
    case 'creating':
      return { ...base, label: `Creating ${guestName}`, phase: 'preparing its disk' }
    case 'migration':
      return {
        ...base,
        label: `Moving ${guestName}`,
        phase: phaseWord(work.phase),
        aside: work.throttlePercent > 0 ? 'slowing the guest' : null,
      }
    case 'checkpoint':
      return {
        ...base,
        label: `Checkpoint of ${guestName}`,
        phase: checkpointPhaseWord(work.phase),
        aside: work.freezeMs === null ? null : frozenWords(work.freezeMs),
      }
    case 'restore':
      return {
        ...base,
        label: `Restoring ${guestName}`,
        phase: restoreLine(work, progress),
        note: restoreNote(work),
      }
    default:
      return assertNever(work)
  }
}

/** `frozen for 0.04 s` */
export function frozenWords(freezeMs: number): string {
  return `frozen for ${formatDuration(freezeMs)}`
}

/** `runs; 62 % fetched` */
function restoreLine({ phase }: Restore, progress: Progress): string {
  if (phase === 'running') return `runs; ${fetchedWords(progress)}`
  if (phase === 'waiting') return `waits; ${fetchedWords(progress)}`
  return restorePhaseWord(phase)
}

/** Rounded down: everything is there only at the end. */
function fetchedWords({ doneBytes, totalBytes }: Progress): string {
  if (totalBytes === null || totalBytes === 0) return 'fetching the rest'
  return `${Math.min(99, Math.floor((doneBytes / totalBytes) * 100))} % fetched`
}

function restoreNote({ phase, slowSentence }: Restore): string | null {
  if (phase === 'waiting') return 'The network is gone: the guest may stand still until it is back.'
  return phase === 'preparing' || phase === 'fetching' ? slowSentence : null
}

/** `Checkpoint made, frozen for 0.04 s.` */
export function madeWords({ freezeMs }: Pick<CheckpointWork, 'freezeMs'>): string {
  return freezeMs === null ? 'Checkpoint made.' : `Checkpoint made, ${frozenWords(freezeMs)}.`
}

/** How something ended well or was called off, in a sentence; null for moves, which have their own, and failures. */
export function endedWords({ work, state }: Operation): string | null {
  if (work.kind === 'checkpoint') {
    if (state.kind === 'done') return madeWords(work)
    return state.kind === 'cancelled' ? 'No checkpoint: it was cancelled.' : null
  }
  if (work.kind === 'restore') {
    if (state.kind === 'done') return 'Restored. Everything is on this PC now.'
    return state.kind === 'cancelled' ? 'Not restored: it was cancelled.' : null
  }
  return null
}

/** What did not happen, above the reason. */
export function failedHead({ work }: Operation): string | null {
  if (work.kind === 'checkpoint') return 'No checkpoint was made.'
  return work.kind === 'restore' ? 'Not restored.' : null
}

/** Creating a guest is told by its own line, and what is made by itself is no news while it goes well. */
export function isNews({ work, state }: Operation): boolean {
  if (work.kind === 'checkpoint') return work.reason === 'person' || state.kind === 'failed'
  return work.kind === 'migration' || work.kind === 'restore'
}

/** A sentence for a screen reader, which changes only when there is news: it names phases, never numbers. */
export function announcement(operation: Operation): string {
  const { work, state, guestName } = operation
  if (work.kind === 'migration') return moveAnnouncement(operation)
  if (work.kind === 'creating') return ''
  const what = work.kind === 'checkpoint' ? 'Checkpoint' : 'Restore'
  switch (state.kind) {
    case 'running':
      return `${what} of ${guestName}: ${spokenPhase(work)}.`
    case 'cancelling':
      return `The ${what.toLowerCase()} of ${guestName} is being cancelled.`
    case 'done':
    case 'cancelled':
      return `${guestName}: ${endedWords(operation)}`
    case 'failed':
      return failedAnnouncement(operation, state.error)
    default:
      return assertNever(state)
  }
}

function spokenPhase(work: CheckpointWork | Restore): string {
  if (work.kind === 'checkpoint') return checkpointPhaseWord(work.phase)
  const note = work.phase === 'waiting' ? restoreNote(work) : null
  return note?.replace(/\.$/, '') ?? restorePhaseWord(work.phase)
}

function failedAnnouncement(operation: Operation, error: ErrorShape): string {
  return `${operation.guestName}: ${failedHead(operation)} ${error.message} ${error.fix}`
}

/** What the command line says of states, in the words that all faces share. */
import { assertNever } from '../../shared/assert-never.ts'
import type { ErrorShape } from '../../shared/errors/index.ts'
import { formatBytes, formatDuration } from '../../shared/format.ts'
import type { Dock, PairingState } from '../../shared/models/dock.ts'
import type { GuestState } from '../../shared/models/guest.ts'
import type { HostState } from '../../shared/models/host-state.ts'
import type { MigrationRecord } from '../../shared/models/migration.ts'
import type { MigrationResult, Operation } from '../../shared/models/operation.ts'
import {
  amountWords,
  checkpointPhaseWord,
  guestStateWord,
  outcomeWord,
  paceWords,
  phaseWord,
  restorePhaseWord,
  tookWords,
} from '../../shared/words.ts'
import { printable } from './table.ts'

export function dockNameOf(state: HostState, id: string): string {
  return printable(state.docks.find((dock) => dock.id === id)?.name ?? id.slice(0, 8))
}

/** The word for a state, with what belongs to it: the other dock, the error. */
export function guestStateWords(guest: GuestState, state: HostState): string {
  const word = guestStateWord(guest)
  switch (guest.kind) {
    case 'arriving':
      return `${word} from ${dockNameOf(state, guest.fromDockId)}`
    case 'leaving':
      return `running on ${dockNameOf(state, guest.toDockId)}, which fetches the rest of its memory from here`
    case 'unsettled':
      return `${word} with ${dockNameOf(state, guest.otherDockId)}`
    case 'paused':
      return guest.reason === undefined ? word : `${word}: ${printable(guest.reason.message)}`
    case 'failed':
      return `${word}: ${printable(guest.error.message)}`
    default:
      return word
  }
}

export function presenceWords(dock: Dock, nowMs: number): string {
  const { presence } = dock
  switch (presence.kind) {
    case 'here':
      return 'this PC'
    case 'online':
      return 'online'
    case 'nearby':
      return 'nearby'
    case 'offline':
      return presence.lastSeenAtMs === null
        ? 'offline'
        : `offline, last seen ${formatDuration(nowMs - presence.lastSeenAtMs)} ago`
    default:
      return assertNever(presence)
  }
}

export function pairingWords(state: PairingState): string {
  switch (state.kind) {
    case 'waiting-for-peer':
      return 'waiting for the other PC'
    case 'comparing':
      return `compare ${groupedCode(state.code)}`
    case 'confirmed-here':
      return `confirmed here (${groupedCode(state.code)}), waiting for the other PC`
    case 'ended':
      return { paired: 'paired', refused: 'refused', 'timed-out': 'timed out', failed: 'failed' }[
        state.outcome
      ]
    default:
      return assertNever(state)
  }
}

/** Six digits are easier to compare as three and three. */
export function groupedCode(code: string): string {
  return `${code.slice(0, 3)} ${code.slice(3)}`
}

function workPhaseWord(work: Operation['work']): string {
  switch (work.kind) {
    case 'creating':
      return work.kind
    case 'migration':
      return phaseWord(work.phase)
    case 'checkpoint':
      return `checkpoint: ${checkpointPhaseWord(work.phase)}`
    case 'restore':
      return `restoring: ${restorePhaseWord(work.phase)}`
    default:
      return assertNever(work)
  }
}

/** One line about a running operation: `copying memory · 61 MB of 105 MB · 11 MB/s · about 4 s left`. */
export function progressWords(operation: Operation): string {
  const { progress, work, state } = operation
  const phase = workPhaseWord(work)
  const parts = [state.kind === 'cancelling' ? 'cancelling' : phase]
  if (progress.totalBytes !== null || progress.doneBytes > 0) parts.push(amountWords(progress))
  const pace = paceWords(progress)
  if (pace !== '') parts.push(pace)
  if (work.kind === 'migration' && work.throttlePercent > 0) {
    parts.push(`guest slowed by ${work.throttlePercent} %`)
  }
  return parts.join(' · ')
}

/** `3.2 s, freeze of 0.06 s, 105 MB over the link`. */
export function resultWords(result: MigrationResult): string {
  return `${tookWords(result)}, ${formatBytes(result.wireBytes)} over the link`
}

export function outcomeWords({ outcome }: MigrationRecord): string {
  const word = outcomeWord(outcome)
  return outcome.kind === 'failed' ? `${word}: ${outcome.error.message}` : word
}

/** A failure and what to do about it, on lines of their own. */
export function errorWords(error: ErrorShape): string {
  const lines = [error.message, error.fix.trim()]
  if (error.detail) lines.push('', error.detail)
  return printable(lines.join('\n'), { keepLines: true })
}

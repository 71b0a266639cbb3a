/** States in the words of people, as the command line says them. */
import { assertNever } from '../../shared/assert-never.ts'
import type { ErrorShape } from '../../shared/errors/index.ts'
import { formatBytes, formatDuration, formatRate, formatTimeRange } from '../../shared/format.ts'
import type { Dock, PairingState } from '../../shared/models/dock.ts'
import type { GuestState } from '../../shared/models/guest.ts'
import type { HostState } from '../../shared/models/host-state.ts'
import type { MigrationRecord } from '../../shared/models/migration.ts'
import type { MigrationPhase, MigrationResult, Operation } from '../../shared/models/operation.ts'
import { printable } from './table.ts'

export function dockNameOf(state: HostState, id: string): string {
  return printable(state.docks.find((dock) => dock.id === id)?.name ?? id.slice(0, 8))
}

export function guestStateWords(guest: GuestState, state: HostState): string {
  switch (guest.kind) {
    case 'shutting-down':
      return 'shutting down'
    case 'arriving':
      return `arriving from ${dockNameOf(state, guest.fromDockId)}`
    case 'unsettled':
      return `unsettled with ${dockNameOf(state, guest.otherDockId)}`
    case 'failed':
      return `failed: ${guest.error.message}`
    case 'stopped':
    case 'starting':
    case 'running':
    case 'paused':
    case 'preparing':
      return guest.kind
    default:
      return assertNever(guest)
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

const phases: Record<MigrationPhase, string> = {
  checking: 'checking',
  preparing: 'preparing',
  'copying-layers': 'copying disk layers',
  'mirroring-disk': 'mirroring the disk',
  'copying-memory': 'copying memory',
  'switching-over': 'switching over',
  finishing: 'finishing',
}

/** One line about a running operation: `copying memory · 61 MB of 105 MB · 11 MB/s · about 4 s left`. */
export function progressWords(operation: Operation): string {
  const { progress, work, state } = operation
  const phase = work.kind === 'migration' ? phases[work.phase] : 'creating'
  const parts = [state.kind === 'cancelling' ? 'cancelling' : phase]
  const done = formatBytes(progress.doneBytes)
  if (progress.totalBytes !== null) parts.push(`${done} of ${formatBytes(progress.totalBytes)}`)
  else if (progress.doneBytes > 0) parts.push(done)
  if (progress.rateBytesPerS > 0) parts.push(formatRate(progress.rateBytesPerS))
  if (progress.timeLeft) parts.push(`${formatTimeRange(progress.timeLeft)} left`)
  if (work.kind === 'migration' && work.throttlePercent > 0) {
    parts.push(`guest slowed by ${work.throttlePercent} %`)
  }
  return parts.join(' · ')
}

/** `3.2 s, freeze of 0.06 s, 105 MB over the link`. */
export function resultWords(result: MigrationResult): string {
  const freeze = formatDuration(result.downtimeMs)
  return `${formatDuration(result.totalMs)}, freeze of ${freeze}, ${formatBytes(result.wireBytes)} over the link`
}

export function outcomeWords(record: MigrationRecord): string {
  const { outcome } = record
  switch (outcome.kind) {
    case 'done':
      return 'moved'
    case 'cancelled':
      return 'cancelled'
    case 'failed':
      return `failed: ${outcome.error.message}`
    default:
      return assertNever(outcome)
  }
}

/** A failure and what to do about it, on lines of their own. */
export function errorWords(error: ErrorShape): string {
  const lines = [error.message, error.fix.trim()]
  if (error.detail) lines.push('', error.detail)
  return printable(lines.join('\n'), { keepLines: true })
}

/**
 * States of guests and moves in the words of people, the same on every face. Pure. Promises a word for every
 * state and phase of the contract, in lower case, fit to stand after "Demo is …" or in a table.
 */
import { assertNever } from './assert-never.ts'
import { formatBytes, formatDuration, formatRate, formatTimeRange } from './format.ts'
import type { GuestState } from './models/guest.ts'
import type { MigrationRecord } from './models/migration.ts'
import type { MigrationPhase, MigrationResult, Progress } from './models/operation.ts'

export function guestStateWord(state: GuestState): string {
  switch (state.kind) {
    case 'stopped':
      return 'off'
    case 'starting':
    case 'running':
    case 'paused':
    case 'arriving':
      return state.kind
    case 'failed':
      return 'stopped by an error'
    case 'shutting-down':
      return 'shutting down'
    case 'preparing':
      return 'being created'
    case 'unsettled':
      return 'waiting to be settled'
    default:
      return assertNever(state)
  }
}

const phaseWords: Record<MigrationPhase, string> = {
  checking: 'checking',
  preparing: 'making room',
  'copying-layers': 'copying the disk',
  'mirroring-disk': 'keeping the disk in step',
  'copying-memory': 'copying memory',
  'switching-over': 'switching over',
  finishing: 'settling in',
}

export function phaseWord(phase: MigrationPhase): string {
  return phaseWords[phase]
}

export function outcomeWord(outcome: MigrationRecord['outcome']): string {
  switch (outcome.kind) {
    case 'done':
      return 'moved'
    case 'cancelled':
    case 'failed':
      return outcome.kind
    default:
      return assertNever(outcome)
  }
}

/** `212 MB of 530 MB` */
export function amountWords(progress: Progress): string {
  const done = formatBytes(progress.doneBytes)
  return progress.totalBytes === null ? done : `${done} of ${formatBytes(progress.totalBytes)}`
}

/** `98 MB/s · about 3 s left`; parts that are unknown are left out. */
export function paceWords(progress: Progress): string {
  const parts: string[] = []
  if (progress.rateBytesPerS > 0) parts.push(formatRate(progress.rateBytesPerS))
  if (progress.timeLeft !== null) parts.push(`${formatTimeRange(progress.timeLeft)} left`)
  return parts.join(' · ')
}

/** What a move took: `3.2 s, freeze of 0.06 s` */
export function tookWords(result: MigrationResult): string {
  return `${formatDuration(result.totalMs)}, freeze of ${formatDuration(result.downtimeMs)}`
}

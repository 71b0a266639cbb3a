/**
 * States of guests, moves and checkpoints in the words of people, the same on every face. Pure. Promises a word for
 * every state and phase of the contract, in lower case, fit to stand after "Demo is …" or in a table.
 */
import { assertNever } from './assert-never.ts'
import { formatBytes, formatDuration, formatRate, formatTimeRange } from './format.ts'
import type { Checkpoint, CheckpointReason, VaultWork } from './models/checkpoint.ts'
import type { GuestState } from './models/guest.ts'
import type { MigrationRecord } from './models/migration.ts'
import type {
  CheckpointPhase,
  MigrationPhase,
  MigrationResult,
  Progress,
  RestorePhase,
} from './models/operation.ts'
import type { WarmState } from './models/warmth.ts'

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
    case 'leaving':
      return 'running on the other PC, which fetches the rest of its memory from here'
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
  'fetching-rest': 'runs there while the rest of its memory follows',
  'waiting-for-link': 'waiting for the link to come back',
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

/** `3 of 12 checkpoints, 1.2 GB read` or `10 MB of 30 MB freed`; empty while nothing is known. */
export function vaultWorkWords({ progress }: VaultWork): string {
  if (progress.kind === 'sweep') {
    const { doneBytes, totalBytes } = progress
    return totalBytes === null ? '' : `${formatBytes(doneBytes)} of ${formatBytes(totalBytes)} freed`
  }
  const { checkpoints, ofCheckpoints, readBytes } = progress
  if (ofCheckpoints === null) return ''
  const read = readBytes === 0 ? '' : `, ${formatBytes(readBytes)} read`
  return `${checkpoints} of ${ofCheckpoints} checkpoints${read}`
}

/** `98 MB/s · about 3 s left`; parts that are unknown are left out. */
export function paceWords(progress: Progress): string {
  const parts: string[] = []
  if (progress.rateBytesPerS > 0) parts.push(formatRate(progress.rateBytesPerS))
  if (progress.timeLeft !== null) parts.push(`${formatTimeRange(progress.timeLeft)} left`)
  return parts.join(' · ')
}

/** What was chosen for a guest's memory while it is copied. @param dock where it goes */
export function transferWords(transfer: 'pages' | 'plain', dock: string): string {
  return transfer === 'pages'
    ? `Only what ${dock} lacks is sent.`
    : 'Memory is sent as it is: quickest over a fast link.'
}

/** Of a post-copy whose link broke: what to do. @param dock on which it runs */
export function waitingWords(name: string, dock: string): string {
  return `${name} runs on ${dock} and waits there for memory that is on the other PC. Bring both onto one network; it goes on by itself.`
}

/** What a move took: `3.2 s, freeze of 0.06 s` */
export function tookWords(result: MigrationResult): string {
  return `${formatDuration(result.totalMs)}, freeze of ${formatDuration(result.downtimeMs)}`
}

const checkpointPhaseWords: Record<CheckpointPhase, string> = {
  freezing: 'freezing it for a moment',
  'reading-memory': 'reading its memory',
  'reading-disk': 'reading its disk',
  uploading: 'sending it to the vault',
  finishing: 'finishing',
}

export function checkpointPhaseWord(phase: CheckpointPhase): string {
  return checkpointPhaseWords[phase]
}

const restorePhaseWords: Record<RestorePhase, string> = {
  'keeping-present': 'keeping its present state',
  preparing: 'making room',
  fetching: 'fetching it before it runs',
  running: 'runs while the rest is fetched',
  waiting: 'waiting for the network',
  finishing: 'settling in',
}

export function restorePhaseWord(phase: RestorePhase): string {
  return restorePhaseWords[phase]
}

const reasonWords: Record<CheckpointReason, string> = {
  person: 'made by hand',
  interval: 'made by itself',
  'before-move': 'made before a move',
  'before-restore': 'made before a restore',
  'low-battery': 'made on low battery',
  sleep: 'made before sleep',
  quit: 'made on quitting',
}

export function checkpointReasonWord(reason: CheckpointReason): string {
  return reasonWords[reason]
}

export function checkpointPlaceWord(place: Checkpoint['place']): string {
  switch (place.kind) {
    case 'vault':
      return 'in the vault'
    case 'on-its-way':
      return 'on its way, only on this PC so far'
    case 'damaged':
      return 'in the vault, but damaged'
    default:
      return assertNever(place)
  }
}

/** What a checkpoint takes: `42 MB, added 3 MB` */
export function checkpointSizeWords(sizes: Pick<Checkpoint, 'wholeBytes' | 'addedBytes'>): string {
  return `${formatBytes(sizes.wholeBytes)}, added ${formatBytes(sizes.addedBytes)}`
}

/** How far a dock is ready for a guest: `ready, about 2 s`, `92 % warm`, `not warm yet: Laptop runs on its battery`. */
export function warmWords(state: WarmState): string {
  switch (state.kind) {
    case 'ready': {
      if (state.time === null) return 'ready'
      const middleMs = (state.time.minMs + state.time.maxMs) / 2
      return `ready, ${formatTimeRange({ minMs: middleMs, maxMs: middleMs })}`
    }
    case 'warming':
      return `${Math.floor(state.percent)} % warm`
    case 'waiting': {
      const share = state.percent === 0 ? 'not warm yet' : `${Math.floor(state.percent)} % warm`
      return state.reason === null ? share : `${share}: ${state.reason.message.replace(/\.$/, '')}`
    }
    default:
      return assertNever(state)
  }
}

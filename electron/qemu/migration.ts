/**
 * QEMU's migration, from either side: capabilities, parameters, status. Promises typed status and waits that
 * end. Relies on the `events` capability, which `migrationCapabilities` holds.
 */
import { z } from 'zod'
import { fail } from '../../shared/errors/index.ts'
import {
  type MigrationInfo,
  migrate,
  migrateCancel,
  migrateContinue,
  migrateIncoming,
  migrateResume,
  migrateSetCapabilities,
  migrateSetParameters,
  migrateStartPostcopy,
  queryMigrate,
} from './qmp/commands.ts'
import type { QmpEvent } from './qmp/messages.ts'
import type { QmpSession } from './qmp/session.ts'

/** QEMU's MigrationStatus; `none` before the first one. */
const migrationStatus = z.enum([
  'none',
  'setup',
  'cancelling',
  'cancelled',
  'active',
  'postcopy-device',
  'postcopy-active',
  'postcopy-paused',
  'postcopy-recover',
  'postcopy-recover-setup',
  'completed',
  'failed',
  'failing',
  'colo',
  'pre-switchover',
  'device',
  'wait-unplug',
])
export type MigrationStatus = z.infer<typeof migrationStatus>

const postCopyStatuses: readonly MigrationStatus[] = [
  'postcopy-device',
  'postcopy-active',
  'postcopy-paused',
  'postcopy-recover',
  'postcopy-recover-setup',
]

/** Whether the guest has gone over before all of its memory, and some of that is still at the source. */
export function isPostCopy(status: MigrationStatus): boolean {
  return postCopyStatuses.includes(status)
}

/**
 * What both sides switch on, for the reasons in electron/docks/PROTOCOL.md: without `return-path` a source can
 * believe in a destination that failed; `pause-before-switchover` gives the moment at which mirrors end;
 * `late-block-activate` keeps the destination's hands off the disk until it runs; `auto-converge` throttles a
 * guest that dirties memory faster than the link carries it away.
 */
export const migrationCapabilities = [
  'events',
  'return-path',
  'pause-before-switchover',
  'late-block-activate',
  'auto-converge',
] as const

/**
 * What both sides switch on where the guest is to go over before all of its memory. Nothing slows it: what it changes
 * after the first round is fetched when it has gone over.
 */
export const postCopyCapabilities = [
  ...migrationCapabilities.filter((capability) => capability !== 'auto-converge'),
  'postcopy-ram',
] as const

export interface MigrationProgress {
  status: MigrationStatus
  /** Bytes of memory sent so far, with QEMU's headers. */
  ramTransferredBytes: number
  ramRemainingBytes: number
  ramTotalBytes: number
  /** Zero pages, which cost nine bytes each. */
  zeroPages: number
  dirtyRateBytesPerSecond: number
  bandwidthBitsPerSecond: number
  /** Rounds over memory so far. */
  dirtySyncCount: number
  /** Measured by QEMU on the source, once completed; null before. */
  downtimeMs: number | null
  expectedDowntimeMs: number | null
  setupMs: number | null
  totalMs: number | null
  /** Share of time the guest is held back by auto-converge. */
  throttlePercent: number
  errorDescription: string | null
}

/** Before `migrate` or `migrate-incoming`; the same on both sides. Default: all of `migrationCapabilities` on. */
export async function setCapabilities(
  qmp: QmpSession,
  capabilities: readonly string[] = migrationCapabilities,
): Promise<void> {
  const states = capabilities.map((capability) => ({ capability, state: true }))
  await migrateSetCapabilities(qmp, states)
}

/** Switches capabilities off again after use: some left on make later commands crash (QEMU issue 2881). */
export async function clearCapabilities(
  qmp: QmpSession,
  capabilities: readonly string[] = migrationCapabilities,
): Promise<void> {
  const states = capabilities
    .filter((capability) => capability !== 'events')
    .map((capability) => ({ capability, state: false }))
  await migrateSetCapabilities(qmp, states)
}

export interface MigrationParameters {
  /** 0 is no limit. */
  maxBandwidthBytesPerSecond?: number
  /** QEMU ends pre-copy when it thinks the rest crosses in this time. */
  downtimeLimitMs?: number
  throttleInitialPercent?: number
  throttleIncrementPercent?: number
  maxThrottlePercent?: number
  /** What is sent without being asked for once the guest has gone over before its memory; 0 is no limit. */
  maxPostCopyBytesPerSecond?: number
  /** The guest is slowed where it changes more than this share of what was sent meanwhile, twice in a row. */
  throttleTriggerPercent?: number
}

const parameterNames: Record<keyof MigrationParameters, string> = {
  maxBandwidthBytesPerSecond: 'max-bandwidth',
  downtimeLimitMs: 'downtime-limit',
  throttleInitialPercent: 'cpu-throttle-initial',
  throttleIncrementPercent: 'cpu-throttle-increment',
  maxThrottlePercent: 'max-cpu-throttle',
  throttleTriggerPercent: 'throttle-trigger-threshold',
  maxPostCopyBytesPerSecond: 'max-postcopy-bandwidth',
}

/** May be changed while a migration runs. */
export async function setParameters(qmp: QmpSession, parameters: MigrationParameters): Promise<void> {
  const args: Record<string, number> = {}
  for (const [key, name] of Object.entries(parameterNames)) {
    const value = parameters[key as keyof MigrationParameters]
    if (value !== undefined) args[name] = value
  }
  await migrateSetParameters(qmp, args)
}

/** The URI of a unix socket for `startMigration` and `startIncoming`. */
export function unixUri(socketPath: string): string {
  return `unix:${socketPath}`
}

/** Starts to send the guest. @returns once QEMU has begun; wait with `waitForMigrationStatus`. */
export async function startMigration(qmp: QmpSession, uri: string): Promise<void> {
  await migrate(qmp, uri)
}

/** Starts to listen in a QEMU that was launched with `incoming`. */
export async function startIncoming(qmp: QmpSession, uri: string): Promise<void> {
  await migrateIncoming(qmp, uri)
}

/** QEMU has been over all of memory once, and begins with what has changed meanwhile. */
export function isSecondRound({ name, data }: QmpEvent): boolean {
  return name === 'MIGRATION_PASS' && data.pass === 2
}

/** Asks QEMU to let the guest go over now, before the rest of its memory. */
export async function startPostCopy(qmp: QmpSession): Promise<void> {
  await migrateStartPostcopy(qmp)
}

/** Source, `postcopy-paused`: sends on over a new socket, on whose other end `listenForRest` (door.ts) listens. */
export async function resumeMigration(qmp: QmpSession, uri: string): Promise<void> {
  await migrateResume(qmp, uri)
}

/** Asks QEMU to give up. Before the switchover the guest runs on at the source; wait for `cancelled`. */
export async function cancelMigration(qmp: QmpSession): Promise<void> {
  await migrateCancel(qmp)
}

/** Lets a migration that stands at `pre-switchover` go on. */
export async function continueFromPreSwitchover(qmp: QmpSession): Promise<void> {
  await migrateContinue(qmp, 'pre-switchover')
}

export async function queryMigration(qmp: QmpSession): Promise<MigrationProgress> {
  return progressFrom(await queryMigrate(qmp))
}

/** QEMU's answer in our words and units. @throws qemu.bad_reply for a status no QEMU up to 10 knows */
export function progressFrom(info: MigrationInfo): MigrationProgress {
  const { ram } = info
  return {
    status: statusFrom(info.status ?? 'none'),
    ramTransferredBytes: ram?.transferred ?? 0,
    ramRemainingBytes: ram?.remaining ?? 0,
    ramTotalBytes: ram?.total ?? 0,
    zeroPages: ram?.duplicate ?? 0,
    dirtyRateBytesPerSecond: ram ? ram['dirty-pages-rate'] * ram['page-size'] : 0,
    bandwidthBitsPerSecond: (ram?.mbps ?? 0) * 1e6,
    dirtySyncCount: ram?.['dirty-sync-count'] ?? 0,
    downtimeMs: info.downtime ?? null,
    expectedDowntimeMs: info['expected-downtime'] ?? null,
    setupMs: info['setup-time'] ?? null,
    totalMs: info['total-time'] ?? null,
    throttlePercent: info['cpu-throttle-percentage'] ?? 0,
    errorDescription: info['error-desc'] ?? null,
  }
}

function statusFrom(text: unknown): MigrationStatus {
  const parsed = migrationStatus.safeParse(text)
  if (!parsed.success) throw fail('qemu.bad_reply', {}, { detail: `migration status ${String(text)}` })
  return parsed.data
}

const finalStatuses: readonly MigrationStatus[] = ['completed', 'failed', 'cancelled']

/**
 * Waits until the migration has one of `wanted`; true at once when it has it already. Call it after
 * `startMigration` or `startIncoming`, else the end of an earlier migration answers.
 * @throws qemu.migration_failed when it ends otherwise, QEMU's words in the detail; qemu.silent after
 * `timeoutMs`; host.cancelled (the migration itself is left alone); qemu.gone
 */
export async function waitForMigrationStatus(
  qmp: QmpSession,
  wanted: readonly MigrationStatus[],
  options: { timeoutMs: number; signal?: AbortSignal },
): Promise<MigrationStatus> {
  const endings: readonly unknown[] = [...wanted, ...finalStatuses]
  const ends = (status: unknown): boolean => endings.includes(status)
  const aborter = new AbortController()
  const signal = options.signal ? AbortSignal.any([options.signal, aborter.signal]) : aborter.signal
  const event = qmp.waitForEvent(({ name, data }) => name === 'MIGRATION' && ends(data.status), {
    timeoutMs: options.timeoutMs,
    signal,
  })
  // Both are awaited below; this only keeps the loser's rejection from being reported as unhandled.
  event.catch(() => {})
  try {
    const now = await queryMigration(qmp)
    const status = ends(now.status) ? now.status : statusFrom((await event).data.status)
    if (wanted.includes(status)) return status
    throw await migrationFailure(qmp, status)
  } finally {
    aborter.abort()
  }
}

async function migrationFailure(qmp: QmpSession, status: MigrationStatus): Promise<Error> {
  const description = await queryMigration(qmp).then(
    (progress) => progress.errorDescription,
    () => null,
  )
  return fail('qemu.migration_failed', { status }, description === null ? {} : { detail: description })
}

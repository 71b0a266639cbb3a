/**
 * Brings a kept guest's memory into a QEMU that waits for it: behind the guest's back while it runs, where this PC allows
 * that (post-copy, which needs userfaultfd), else all of it first. Promises that a guest stands loaded and paused when
 * this has ended, and that whoever is made to wait is told what would change that.
 *
 * The guest's clock: its hardware clock (RTC) shows the time of this PC at once, because QEMU keeps only the difference
 * between the two. Its system clock goes on from the instant of the checkpoint until the guest sets it itself (NTP, or
 * `hwclock --hctosys`); there is no agent in the guest that could be told.
 */
import { fail, isCode } from '../../../shared/errors/index.ts'
import type { Clock } from '../../platform/clock.ts'
import {
  clearCapabilities,
  queryMigration,
  setCapabilities,
  startIncoming,
  unixUri,
  waitForMigrationStatus,
} from '../../qemu/migration.ts'
import { whatWouldAllowIt } from '../../qemu/post-copy-probe.ts'
import type { QemuProcess } from '../../qemu/process.ts'
import { cont, queryStatus } from '../../qemu/qmp/commands.ts'
import type { QmpSession } from '../../qemu/qmp/session.ts'
import type { RestoreMemory } from '../../vault/service/vault-service.ts'
import type { RestoreSource } from './restore-source.ts'

export type MemoryRoute =
  | { how: 'post-copy' }
  /** `slowSentence` says what would let it run at once. */
  | { how: 'whole'; slowSentence: string }

const instantly = ['events', 'postcopy-ram'] as const
/** Fetching everything takes as long as it takes; a person can cancel. */
const fetchTimeoutMs = 7 * 24 * 3600 * 1000
/** For the devices, and what little memory loading them touches, over the slowest link. */
const loadTimeoutMs = 600_000
const lookEveryMs = 10

/** Asks the very QEMU that is to take the memory, by switching it on. @throws qemu.silent, qemu.gone */
export async function chooseRoute(
  qmp: QmpSession,
  readSetting?: (path: string) => Promise<string>,
): Promise<MemoryRoute> {
  try {
    await setCapabilities(qmp, instantly)
    return { how: 'post-copy' }
  } catch (error) {
    if (!isCode(error, 'qemu.command_failed')) throw error
    await setCapabilities(qmp, ['events'])
    const slow = 'All of it is fetched before the guest runs.'
    return { how: 'whole', slowSentence: `${slow} ${await whatWouldAllowIt(qmp, readSetting)}` }
  }
}

/**
 * Resolves when the guest stands loaded and paused: with all its memory (`whole`), or with the rest to come.
 * @throws qemu.load_failed, qemu.gone, host.cancelled; what the vault says when its part fails
 */
export async function loadMemory(
  process: QemuProcess,
  source: Pick<RestoreSource, 'sendMemory' | 'memoryDone'>,
  route: RestoreMemory['how'],
  options: { signal: AbortSignal; clock: Clock },
): Promise<void> {
  const { qmp, sockets } = process
  const { signal, clock } = options
  const over = new AbortController()
  const either = AbortSignal.any([signal, over.signal])
  await startIncoming(qmp, unixUri(sockets.incoming))
  const failed = source.memoryDone.then((error) => {
    if (error !== null) throw error
    return untilAborted(either)
  })
  const loaded =
    route === 'whole'
      ? waitForMigrationStatus(qmp, ['completed'], { timeoutMs: fetchTimeoutMs, signal: either })
      : untilLoaded(qmp, clock, either)
  const sent = source.sendMemory({ socketPath: sockets.incoming, how: route })
  for (const each of [failed, loaded, sent]) each.catch(() => {})
  try {
    await Promise.race([sent, failed, untilAborted(either)])
    await Promise.race([loaded, failed, untilAborted(either)])
  } catch (error) {
    throw signal.aborted ? signal.reason : asLoadFailure(error)
  } finally {
    over.abort()
  }
}

/**
 * For a guest that runs while its memory arrives. @returns null when it has all of it; else why it never will
 */
export async function awaitMemory(
  { qmp }: QemuProcess,
  source: Pick<RestoreSource, 'memoryDone'>,
  signal: AbortSignal,
): Promise<Error | null> {
  const over = new AbortController()
  const either = AbortSignal.any([signal, over.signal])
  // A source that went away leaves QEMU paused in the middle, for a recovery that nobody can give it.
  const broken = waitForMigrationStatus(qmp, ['completed', 'postcopy-paused'], {
    timeoutMs: fetchTimeoutMs,
    signal: either,
  }).then(
    (status) => (status === 'completed' ? null : fail('qemu.migration_failed', { status })),
    (error: Error) => error,
  )
  const told = source.memoryDone.then((error) => error ?? broken)
  try {
    return await Promise.race([told, broken])
  } finally {
    over.abort()
  }
}

/**
 * For a guest whose host ended while its memory was on its way: lets it run when all of it had come by then.
 * @returns false when it had not, and never will @throws qemu.silent, qemu.gone
 */
export async function settleMemory({ qmp }: QemuProcess): Promise<boolean> {
  const { status } = await queryMigration(qmp)
  if (status !== 'completed') return false
  // Nobody could pause it: until its memory was here it was in the hands of the restore.
  if ((await queryStatus(qmp)).status === 'paused') await cont(qmp)
  // It runs, whole, whatever comes of this.
  await tidyMigration(qmp).catch(() => {})
  return true
}

/** Capabilities that are left on would hold for the next move. */
export async function tidyMigration(qmp: QmpSession): Promise<void> {
  await clearCapabilities(qmp, instantly)
}

/** By looking: nothing tells of the moment at which a post-copy's devices have been loaded. */
async function untilLoaded(qmp: QmpSession, clock: Clock, signal: AbortSignal): Promise<void> {
  const endMs = clock.monotonicMs() + loadTimeoutMs
  for (;;) {
    const { status } = await queryStatus(qmp)
    if (status !== 'inmigrate' && status !== 'prelaunch') return
    if (clock.monotonicMs() > endMs) throw fail('qemu.silent', { command: 'migrate-incoming', seconds: 600 })
    await clock.sleep(lookEveryMs, signal)
  }
}

function untilAborted(signal: AbortSignal): Promise<never> {
  const aborted = Promise.withResolvers<never>()
  aborted.promise.catch(() => {})
  if (signal.aborted) aborted.reject(signal.reason)
  else signal.addEventListener('abort', () => aborted.reject(signal.reason), { once: true })
  return aborted.promise
}

function asLoadFailure(error: unknown): unknown {
  if (!isCode(error, 'qemu.migration_failed')) return error
  return fail('qemu.load_failed', {}, { detail: error.detail ?? error.message, cause: error })
}

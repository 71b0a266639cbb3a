/**
 * The destination's side of a guest that runs here before all of its memory is here (post-copy). Promises that its QEMU
 * listens anew for the rest whenever the source asks after a broken link, and to tell how it ended: whole, switched off,
 * or lost with one of the two QEMUs. Relies on the source to drive, and on QEMU's out-of-band commands, which it obeys
 * while it stands waiting for a page.
 */
import type { Duplex } from 'node:stream'
import { fail, isCode } from '../../../shared/errors/index.ts'
import { WindowedJoint } from '../../docks/windowed-joint.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Log } from '../../platform/log.ts'
import { listenForRest } from '../../qemu/door.ts'
import {
  clearCapabilities,
  isPostCopy,
  postCopyCapabilities,
  queryMigration,
  setCapabilities,
  unixUri,
  waitForMigrationStatus,
} from '../../qemu/migration.ts'
import type { QemuProcess } from '../../qemu/process.ts'
import type { QmpSession } from '../../qemu/qmp/session.ts'
import { queryStatus } from '../../qemu/screen.ts'
import { type SocketPaths, socketPaths } from '../../qemu/sockets.ts'
import type { LocalGuest } from '../guests/local-guest.ts'
import type { Operations } from '../operations.ts'
import type { Journal } from './journal.ts'
import type { RecoverAnswer } from './messages.ts'
import type { RestEnd } from './post-copy-departure.ts'
import { relayToQemu } from './relay.ts'
import { memoryWindow } from './tuning.ts'

/** How often QEMU is asked whether it stands loaded: nothing tells of that moment, and the guest stands still. */
const lookEveryMs = 4
/** How long QEMU may take to notice that its socket is gone. */
const pauseTimeoutMs = 10_000
const askTimeoutMs = 1000
const retryMs = 100
/** The rest takes as long as it takes. */
const fetchTimeoutMs = 7 * 24 * 3600 * 1000

/** Switches post-copy on in a QEMU that waits. @throws migration.post_copy_impossible */
export async function expectPostCopy(
  qmp: QmpSession,
  capabilities: readonly string[],
  names: { name: string; dock: string },
): Promise<void> {
  try {
    await setCapabilities(qmp, capabilities)
  } catch (error) {
    if (!isCode(error, 'qemu.command_failed')) throw error
    const why = 'QEMU there refuses to bring memory in late.'
    throw fail(
      'migration.post_copy_impossible',
      { ...names, why },
      { cause: error, detail: error.detail ?? error.message },
    )
  }
}

/** Resolves when devices have been loaded and the guest stands paused, with all of its memory or before. */
export async function awaitDevices(
  qmp: QmpSession,
  clock: Clock,
  options: { timeoutMs: number; signal: AbortSignal },
): Promise<void> {
  for (const endMs = clock.monotonicMs() + options.timeoutMs; ; await clock.sleep(lookEveryMs)) {
    options.signal.throwIfAborted()
    const { status } = await queryStatus(qmp)
    if (status !== 'inmigrate' && status !== 'prelaunch') return
    if (clock.monotonicMs() > endMs)
      throw fail('qemu.silent', { command: 'migrate-incoming', seconds: options.timeoutMs / 1000 })
  }
}

/** Whether a guest that stands loaded lacks memory; one that does not answer waits for some. */
export async function mayFetch(qmp: QmpSession): Promise<boolean> {
  return await queryMigration(qmp).then(
    ({ status }) => isPostCopy(status),
    () => true,
  )
}

export interface RestReceiverOptions {
  migrationId: string
  /** Where the rest comes from. */
  dockId: string
  guest: LocalGuest
  clock: Clock
  log: Log
}

export class RestReceiver {
  readonly migrationId: string
  readonly dockId: string
  readonly #options: RestReceiverOptions
  /** Where its QEMU listens, alive or not. */
  readonly #sockets: SocketPaths
  #joint: WindowedJoint | null = null
  #end: RestEnd | null = null

  constructor(options: RestReceiverOptions) {
    this.#options = options
    this.migrationId = options.migrationId
    this.dockId = options.dockId
    this.#sockets = socketPaths(options.guest.runDir)
  }

  /** Null while it still lacks memory. */
  get end(): RestEnd | null {
    return this.#end
  }

  /** Takes a stream of memory, the first or a later one. */
  join(stream: Duplex): void {
    const { log } = this.#options
    const { migrationId } = this
    this.cut()
    const joint = new WindowedJoint(stream, { window: memoryWindow })
    this.#joint = joint
    joint.ended.catch((error: unknown) => log.info('a relay ended', { migrationId, error }))
    relayToQemu(this.#sockets.incoming, joint).catch((error: unknown) => {
      log.warn('QEMU did not take a channel', { migrationId, error })
      joint.destroy()
    })
  }

  cut(): void {
    this.#joint?.destroy()
    this.#joint = null
  }

  /** The source would send the rest by a new stream. @throws qemu.command_failed when QEMU will not listen */
  async listenAgain(): Promise<RecoverAnswer> {
    const { clock } = this.#options
    this.cut()
    for (const endMs = clock.monotonicMs() + pauseTimeoutMs; ; await clock.sleep(retryMs)) {
      if (this.#end !== null) return { kind: 'over', how: this.#end }
      try {
        await listenForRest(this.#sockets, unixUri(this.#sockets.incoming))
        return { kind: 'listening' }
      } catch (error) {
        if (await this.#isWhole()) return { kind: 'over', how: 'whole' }
        // It has not noticed yet that its socket is gone.
        if (clock.monotonicMs() > endMs) throw error
      }
    }
  }

  /** It stands waiting for a page when it does not answer: then it is not whole. */
  async #isWhole(): Promise<boolean> {
    const { guest, clock } = this.#options
    if (guest.process === null) return false
    const asked = queryMigration(guest.process.qmp).then(({ status }) => status === 'completed')
    asked.catch(() => undefined)
    return await Promise.race([asked, clock.sleep(askTimeoutMs).then(() => false)]).catch(() => false)
  }

  /** Resolves when it has all of its memory, or never will. */
  async watch(): Promise<RestEnd> {
    const { clock } = this.#options
    const process = await this.#adopted()
    if (process === null) {
      this.#end = 'lost'
      return this.#end
    }
    const over = new AbortController()
    const exited = Promise.withResolvers<RestEnd>()
    const stop = process.onExit(({ shutdownReason }) =>
      exited.resolve(shutdownReason === null ? 'lost' : 'off'),
    )
    try {
      while (this.#end === null) {
        const whole = waitForMigrationStatus(process.qmp, ['completed'], {
          timeoutMs: fetchTimeoutMs,
          signal: over.signal,
        }).then((): RestEnd => 'whole')
        const end = await Promise.race([whole, exited.promise]).catch((error: unknown) => this.#endOf(error))
        this.#end ??= end
        if (end === null) await clock.sleep(retryMs)
      }
    } finally {
      stop()
      over.abort()
    }
    return this.#end
  }

  /** One that waits for a page does not answer a host that is new: not before the rest has begun to come again. */
  async #adopted(): Promise<QemuProcess | null> {
    const { guest, clock } = this.#options
    while (guest.process === null && guest.state.kind === 'failed' && this.#end === null) {
      const isThere = await guest.adopt().catch(() => true)
      if (!isThere) break
      await clock.sleep(retryMs)
    }
    return guest.process
  }

  /** @returns null where it is only busy waiting for a page */
  #endOf(error: unknown): RestEnd | null {
    return isCode(error, 'qemu.migration_failed') || this.#options.guest.process?.isRunning !== true
      ? 'lost'
      : null
  }

  /** The source's QEMU has ended: a guest that lacks memory would wait for ever. */
  async giveUp(): Promise<RestEnd> {
    if (this.#end === null && (await this.#isWhole())) this.#end ??= 'whole'
    this.#end ??= 'lost'
    if (this.#end === 'lost') await this.#options.guest.discardProcess()
    return this.#end
  }
}

export interface FollowedRest {
  journal: Journal
  guest: LocalGuest
  rest: RestReceiver
  operations: Operations
  log: Log
  dockName: string
}

/** Keeps a guest from moving on until it has all of its memory, or never will. Never rejects. */
export async function followRest(followed: FollowedRest): Promise<void> {
  const { journal, guest, rest, operations, log, dockName } = followed
  const { migrationId, guestId } = journal.head
  const release = operations.reserve(guestId, 'the rest of its memory is on its way here')
  guest.setOperation(migrationId, true)
  try {
    const end = await rest.watch()
    log.info('the rest of a guest’s memory', { guestId, migrationId, end })
    if (end === 'whole') {
      await journal.record('committed')
      if (guest.process !== null) await clearCapabilities(guest.process.qmp, postCopyCapabilities)
    } else if (end === 'lost') await stopLost(guest, dockName)
  } catch (error) {
    log.error('the end of a post-copy was not settled', { guestId, migrationId, error })
  } finally {
    guest.setOperation(null)
    release()
  }
}

/** Its disk is here, and nowhere else. */
async function stopLost(guest: LocalGuest, dock: string): Promise<void> {
  await guest.discardProcess()
  const why = 'one of the two QEMUs ended'
  guest.setState({
    kind: 'failed',
    error: fail('migration.memory_lost', { name: guest.name, dock, why }).toJSON(),
  })
  await guest.changeRecord({ bootedAtMs: null })
}

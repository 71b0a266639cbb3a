/**
 * The source's side of a guest that runs at its new dock before all of its memory is there (post-copy). Promises that
 * this dock's QEMU, which has the rest, is kept until the far one has everything or says that it never will; and that a
 * broken link is mended by a new stream as soon as the docks see each other, whoever of the two hosts died meanwhile.
 * Relies on QEMU's `postcopy-paused`, in which both of its sides wait for a new socket, and on the journal, which says
 * that the guest was given away.
 */
import { fail, isCode, toWdockError } from '../../../shared/errors/index.ts'
import { type FlowStats, WindowedJoint } from '../../docks/windowed-joint.ts'
import {
  isPostCopy,
  type MigrationProgress,
  queryMigration,
  resumeMigration,
  setParameters,
  unixUri,
} from '../../qemu/migration.ts'
import type { QemuProcess } from '../../qemu/process.ts'
import type { RecoverAnswer } from './messages.ts'
import type { DockingParts } from './parts.ts'
import { relayFromQemu } from './relay.ts'
import { pollEveryMs, postCopyWindow } from './tuning.ts'

/** `whole`: it has all of its memory there. `off`: it was switched off there before. `lost`: its QEMU there died. */
export type RestEnd = Extract<RecoverAnswer, { kind: 'over' }>['how']

export interface RestOptions {
  parts: Pick<DockingParts, 'calls' | 'clock' | 'log' | 'faults'>
  migrationId: string
  to: { dockId: string; name: string }
  process: QemuProcess
  /** What carries it now; null where an earlier host held that. */
  joint: WindowedJoint | null
  /** Fires when this host ends. */
  signal: AbortSignal
  /** `stats` of all that has carried it since this host does. */
  onProgress(progress: MigrationProgress, stats: FlowStats): void
  onPhase(phase: 'fetching-rest' | 'waiting-for-link'): void
}

/** How long the other side may take to listen anew. */
const listenTimeoutMs = 30_000
/** How long QEMU may take to find its new socket. */
const resumeTimeoutMs = 10_000
/** After a try to mend the link that failed. */
const retryMs = 500
/** With nothing left to send and no end. */
const stuckMs = 3000

export class RestOfMemory {
  readonly #options: RestOptions
  #joint: WindowedJoint | null = null
  #isHurried = false
  #waitsSinceMs: number | null = null
  /** Of joints that are cut. */
  #before: FlowStats = { sentBytes: 0, ackedBytes: 0, receivedBytes: 0, lastAckAtMs: null, rttMs: null }

  constructor(options: RestOptions) {
    this.#options = options
    if (options.joint !== null) this.#carryBy(options.joint)
  }

  /** @throws qemu.gone when the rest died with the QEMU of this dock; the reason of the signal when this host ends */
  async serve(): Promise<RestEnd> {
    const { parts, signal, onPhase, onProgress } = this.#options
    await parts.faults?.at('fetching')
    for (; ; await parts.clock.sleep(pollEveryMs)) {
      signal.throwIfAborted()
      const progress = await this.#look()
      if (progress.status === 'completed') return 'whole'
      if (!isPostCopy(progress.status)) throw fail('qemu.gone', {}, { detail: progress.status })
      if (!this.#isOnline) this.#cut()
      else if (this.#isStuck(progress)) return await this.#askWhetherWhole()
      if (this.#isOnline && progress.status !== 'postcopy-paused') {
        await this.#hurry()
        onPhase('fetching-rest')
        onProgress(progress, this.#stats())
        continue
      }
      onPhase('waiting-for-link')
      const end = this.#isOnline ? await this.#tryToMend() : null
      if (end !== null) return end
    }
  }

  /** For a guest that may not run there yet: its QEMU there must be fed before it can be asked for anything. */
  async mend(): Promise<RestEnd | null> {
    const { status } = await this.#look()
    return status === 'postcopy-paused' ? await this.#mend() : null
  }

  /** All was sent and taken, or dropped on its way, and QEMU has not ended: its word that it arrived was lost. */
  #isStuck({ status, ramRemainingBytes }: MigrationProgress): boolean {
    const { clock } = this.#options.parts
    const { sentBytes = 0, ackedBytes = 0 } = this.#joint?.stats() ?? {}
    const waits = status === 'postcopy-active' && ramRemainingBytes === 0 && sentBytes === ackedBytes
    this.#waitsSinceMs = waits ? (this.#waitsSinceMs ?? clock.monotonicMs()) : null
    return this.#waitsSinceMs !== null && clock.monotonicMs() - this.#waitsSinceMs > stuckMs
  }

  /**
   * QEMU before 8.2 does not find out that its link broke when it has nothing more to send, and cannot be told to go on.
   * @throws qemu.gone when the other side still lacks some
   */
  async #askWhetherWhole(): Promise<RestEnd> {
    const { parts, migrationId, to, signal } = this.#options
    const options = { timeoutMs: listenTimeoutMs, signal }
    const answer = await parts.calls.ask(to.dockId, 'docking.recover', { migrationId }, options)
    if (answer.kind === 'over') return answer.how
    throw fail('qemu.gone', {}, { detail: 'the link broke when all had been sent and not all had arrived' })
  }

  /** The guest runs: what it does not ask for may take the link now. */
  async #hurry(): Promise<void> {
    if (this.#isHurried) return
    await setParameters(this.#options.process.qmp, { maxPostCopyBytesPerSecond: 0 })
    this.#isHurried = true
  }

  get #isOnline(): boolean {
    const { parts, to } = this.#options
    return parts.calls.net.peers().some((peer) => peer.id === to.dockId && peer.state === 'online')
  }

  async #look(): Promise<MigrationProgress> {
    const { process } = this.#options
    if (!process.isRunning) throw fail('qemu.gone')
    return await queryMigration(process.qmp)
  }

  /** QEMU, whose socket outlives a stream that breaks until the guest is given away, is to hear of it from here on. */
  #carryBy(joint: WindowedJoint): void {
    this.#joint = joint
    joint.ended.catch(() => {
      if (this.#joint === joint) this.#cut()
    })
  }

  /** QEMU hears of it at once, rather than when it next wants to write. */
  #cut(): void {
    this.#before = this.#stats()
    this.#joint?.destroy()
    this.#joint = null
  }

  #stats(): FlowStats {
    const now = this.#joint?.stats()
    if (now === undefined) return this.#before
    const sentBytes = this.#before.sentBytes + now.sentBytes
    return { ...now, sentBytes, ackedBytes: this.#before.ackedBytes + now.ackedBytes }
  }

  async #tryToMend(): Promise<RestEnd | null> {
    const { parts, migrationId, signal } = this.#options
    try {
      return await this.#mend()
    } catch (error) {
      if (signal.aborted || isCode(error, 'qemu.gone')) throw error
      this.#cut()
      parts.log.warn('a post-copy could not go on yet', { migrationId, error: toWdockError(error).toJSON() })
      await parts.clock.sleep(retryMs)
      return null
    }
  }

  async #mend(): Promise<RestEnd | null> {
    const { parts, migrationId, to, process, signal } = this.#options
    const { calls, log } = parts
    this.#cut()
    const options = { timeoutMs: listenTimeoutMs, signal }
    const answer = await calls.ask(to.dockId, 'docking.recover', { migrationId }, options)
    if (answer.kind === 'over') return answer.how
    const stream = await calls.net.openStream(
      to.dockId,
      'memory',
      { kind: 'memory', migrationId },
      { signal },
    )
    const joint = new WindowedJoint(stream, { window: postCopyWindow, dock: to.name })
    this.#carryBy(joint)
    const relay = await relayFromQemu(process.sockets.outgoing, joint)
    try {
      await resumeMigration(process.qmp, unixUri(process.sockets.outgoing))
      await this.#awaitResumed()
    } catch (error) {
      await relay.close()
      throw error
    }
    log.info('a post-copy goes on', { migrationId })
    return null
  }

  /** @throws qemu.silent when it stays as it was */
  async #awaitResumed(): Promise<void> {
    const { clock } = this.#options.parts
    for (const endMs = clock.monotonicMs() + resumeTimeoutMs; ; await clock.sleep(pollEveryMs)) {
      const { status } = await this.#look()
      if (status === 'completed' || status === 'postcopy-active') return
      if (clock.monotonicMs() > endMs)
        throw fail('qemu.silent', { command: 'migrate', seconds: resumeTimeoutMs / 1000 })
    }
  }
}

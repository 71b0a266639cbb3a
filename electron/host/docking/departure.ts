/**
 * The source's side of a move: takes a running guest through check, layers, mirror, pre-copy and switchover to
 * another dock. Promises that until the guest is given away any failure or cancel leaves it running here with
 * its disk intact and nothing there; and that once it is given away it never runs here again by itself. Relies on
 * the journal for what survives a crash, and on the destination never running a guest without the commit.
 */
import type { Duplex } from 'node:stream'
import { fail, isCode, toWdockError, type WdockError } from '../../../shared/errors/index.ts'
import type { MemoryTransfer } from '../../../shared/models/migration.ts'
import type { MigrationPhase, MigrationResult, Switchover } from '../../../shared/models/operation.ts'
import { type MirrorJob, startMirror } from '../../disk/mirror.ts'
import { plainJoint } from '../../docks/joint.ts'
import type { WindowedJoint } from '../../docks/windowed-joint.ts'
import {
  continueFromPreSwitchover,
  isSecondRound,
  migrationCapabilities,
  postCopyCapabilities,
  queryMigration,
  setCapabilities,
  setParameters,
  startMigration,
  startPostCopy,
  unixUri,
  waitForMigrationStatus,
} from '../../qemu/migration.ts'
import type { QemuProcess } from '../../qemu/process.ts'
import type { QmpSession } from '../../qemu/qmp/session.ts'
import { queryStatus } from '../../qemu/screen.ts'
import type { LocalGuest } from '../guests/local-guest.ts'
import type { RunningOperation } from '../operations.ts'
import { blockedValues } from './arrival-check.ts'
import { DepartureMeter } from './departure-meter.ts'
import { assertTakesPostCopy, endMirror, once, sendMissing } from './departure-steps.ts'
import { resumeHere } from './ensure-running.ts'
import type { FaultPoint } from './faults.ts'
import type { Heartbeats } from './heartbeats.ts'
import { Journal } from './journal.ts'
import { MemoryCrossing } from './memory-crossing.ts'
import type { GuestOffer, StreamHeader } from './messages.ts'
import { makeOffer } from './offer.ts'
import type { DockingParts } from './parts.ts'
import { relayFromQemu } from './relay.ts'
import { type RestHooks, restHooks } from './rests.ts'
import { pollEveryMs, postCopyParameters, reasonMs, stallMs } from './tuning.ts'

export interface Move {
  guest: LocalGuest
  to: DepartureTarget
  operation: RunningOperation
  transfer: MemoryTransfer
  switchover: Switchover
}

export interface DepartureTarget {
  dockId: string
  name: string
}

/**
 * How a move ended that did not fail: the guest runs there, or the answer to the commit was lost. The journal
 * still says `given-away`; `finish` publishes the result once it is settled that the guest is there.
 */
export interface DepartureEnd {
  kind: 'moved' | 'unsettled'
  journal: Journal
  /** Why it is unsettled; null when it moved. */
  error: WdockError | null
  /** What serves the memory that the other side still lacks. Null where it has all. */
  rest: RestHooks | null
  finish: () => MigrationResult
}

const longMs = 24 * 3600 * 1000

const launchTimeoutMs = 60_000

export class Departure {
  readonly #parts: DockingParts
  readonly #guest: LocalGuest
  readonly #to: DepartureTarget
  readonly #operation: RunningOperation
  readonly #isPostCopy: boolean
  readonly #meter: DepartureMeter
  readonly #memory: MemoryCrossing
  /** Fires on cancel, on a lost link, and when the destination reports a failure. */
  readonly #stop = new AbortController()
  readonly #heartbeats: Heartbeats
  #calm: () => void = () => undefined
  #stoppedAtMs: number | null = null
  #memoryStartedAtMs = 0
  /** The guest could not be brought back just now: the journal must tell the next start. */
  #keepJournal = false

  constructor(parts: DockingParts, heartbeats: Heartbeats, move: Move) {
    const { guest, to, operation, switchover } = move
    this.#isPostCopy = switchover === 'post-copy'
    this.#parts = parts
    this.#heartbeats = heartbeats
    this.#guest = guest
    this.#to = to
    this.#operation = operation
    this.#meter = new DepartureMeter(parts.clock, operation)
    const onFailure = (error: unknown): void => void this.#fail(toWdockError(error))
    this.#memory = new MemoryCrossing({
      parts,
      guest,
      to,
      operation,
      // A page that a guest waits for must not wait for the codec.
      transfer: this.#isPostCopy ? 'plain' : move.transfer,
      keepsQemu: this.#isPostCopy,
      meter: this.#meter,
      onFailure,
    })
    operation.signal.addEventListener('abort', () => this.#stop.abort(operation.signal.reason), {
      once: true,
    })
  }

  get toDockId(): string {
    return this.#to.dockId
  }

  /** The other side reports that it can no longer receive. */
  failedThere(error: WdockError): void {
    const detail = [error.message, error.detail].filter((text) => text !== null).join('\n')
    this.#stop.abort(
      error.code === 'qemu.gone'
        ? fail('migration.destination_died', this.#names(), { detail })
        : fail(
            'migration.failed_there',
            { ...this.#names(), why: error.message, todo: error.fix },
            { detail },
          ),
    )
  }

  linkLost(): void {
    this.#stop.abort(fail('migration.link_lost', this.#names()))
  }

  /** @throws why the guest did not move; the operation's undo stack then brings everything back */
  async run(): Promise<DepartureEnd> {
    const { undo } = this.#operation
    this.#guest.setOperation(this.#operation.id)
    undo.add('let go of the guest', () => this.#letGo())
    try {
      return await this.#move()
    } catch (thrown) {
      throw await this.#reason(thrown)
    }
  }

  async #move(): Promise<DepartureEnd> {
    // What a person asked of the guest just before ends first.
    await this.#guest.exclusively(async () => undefined)
    const process = this.#guest.requireProcess('moved')
    const { running: wasRunning } = await queryStatus(process.qmp)
    const offer = await this.#check()
    const journal = await this.#open(wasRunning)
    await this.#ask('docking.prepare', { migrationId: journal.head.migrationId, offer })
    await this.#copyLayers(offer)
    this.#phase('preparing')
    await this.#at('preparing')
    await this.#memory.choose(process)
    const launch = {
      migrationId: this.#operation.id,
      pages: this.#memory.usesPages,
      postCopy: this.#isPostCopy,
    }
    const options = { timeoutMs: launchTimeoutMs, signal: this.#stop.signal }
    const ready = await this.#parts.calls.ask(this.#to.dockId, 'docking.launch', launch, options)
    if (!ready.pages) await this.#memory.refused()
    await this.#at('launched')
    const mirrors = await this.#mirrorDisks(process)
    const memory = await this.#copyMemory(process, wasRunning)
    const isWhole = await this.#switchOver(process, mirrors, memory)
    return await this.#giveAway(journal, wasRunning, isWhole ? null : memory)
  }

  async #letGo(): Promise<void> {
    this.#guest.setOperation(null)
    await this.#guest.readStatus()
  }

  async #check(): Promise<GuestOffer> {
    this.#phase('checking')
    if (this.#isPostCopy) assertTakesPostCopy(this.#parts, this.#guest.name, this.#to)
    const { layers, bootFiles, calls } = this.#parts
    const offer = await makeOffer(this.#guest, layers, bootFiles)
    const answer = await calls.ask(this.#to.dockId, 'docking.check', offer, { signal: this.#stop.signal })
    if (answer.blockers.length > 0) throw fail('migration.blocked', blockedValues(this.#to, offer, answer))
    this.#meter.missing(offer, answer)
    return offer
  }

  /** The journal first: from here on a crash is found at the next start. */
  async #open(wasRunning: boolean): Promise<Journal> {
    const { clock, journalDir, calls } = this.#parts
    const { undo, id: migrationId } = this.#operation
    const { dockId } = this.#to
    const journal = await Journal.create(journalDir, {
      version: 1,
      side: 'source',
      migrationId,
      guestId: this.#guest.id,
      guestName: this.#guest.name,
      otherDockId: dockId,
      startedAtMs: clock.nowMs(),
      wasRunning,
    })
    undo.add('remove the journal', async () => {
      if (!this.#keepJournal) await journal.remove()
    })
    this.#calm = this.#heartbeats.hurry(dockId)
    undo.add('calm the heartbeat', () => this.#calm())
    undo.add('tell the other side', async () => {
      // Where it cannot be told now, it asks when it is back and hears that the guest stayed.
      await calls.ask(dockId, 'docking.abort', { migrationId }, { timeoutMs: 3000 }).catch(() => undefined)
    })
    return journal
  }

  async #copyLayers(offer: GuestOffer): Promise<void> {
    if (this.#meter.missingCount > 0) this.#phase('copying-layers')
    await this.#at('copying-layers')
    await sendMissing(offer, {
      parts: this.#parts,
      meter: this.#meter,
      migrationId: this.#operation.id,
      signal: this.#stop.signal,
      openStream: (header) => this.#openStream('layer', header),
    })
  }

  /** Every disk follows the guest from here on, each write reaching both sides. */
  async #mirrorDisks(process: QemuProcess): Promise<MirrorJob[]> {
    const { undo, id: migrationId } = this.#operation
    const jobs: MirrorJob[] = []
    for (const { nodeName } of this.#guest.definition.disks) {
      this.#phase('mirroring-disk')
      const channel = await this.#openStream('disk', { kind: 'disk', migrationId, nodeName })
      const socketPath = `${process.sockets.mirror}.${nodeName}`
      const relay = await relayFromQemu(socketPath, plainJoint(channel))
      undo.add('close a disk channel', () => relay.close())
      const job = await startMirror(process.qmp, {
        nodeName,
        nbdSocketPath: socketPath,
        exportName: nodeName,
      })
      undo.add('end a mirror', () => endMirror(job, relay))
      void job.failed.then((error) => this.#fail(error))
      this.#meter.addDisk(relay)
      jobs.push(job)
    }
    await this.#at('mirroring-disk')
    const ready = Promise.all(jobs.map((job) => job.ready))
    ready.catch(() => undefined)
    await this.#until(ready, async () =>
      this.#meter.diskProgress(await Promise.all(jobs.map((job) => job.progress()))),
    )
    return jobs
  }

  /** Pre-copy, until QEMU has stopped the guest for the switchover. */
  async #copyMemory(process: QemuProcess, wasRunning: boolean): Promise<WindowedJoint> {
    const { undo, id: migrationId } = this.#operation
    const { qmp, sockets } = process
    this.#phase('copying-memory')
    const stream = await this.#openStream('memory', { kind: 'memory', migrationId })
    const joint = await this.#memory.open(process, stream)
    await setCapabilities(qmp, this.#isPostCopy ? postCopyCapabilities : migrationCapabilities)
    const late = this.#isPostCopy ? postCopyParameters : {}
    await setParameters(qmp, { ...this.#memory.parameters, ...late })
    const stopListening = qmp.onEvent((event) => {
      if (event.name === 'STOP') this.#stoppedAtMs ??= this.#parts.clock.monotonicMs()
      if (this.#isPostCopy && isSecondRound(event)) startPostCopy(qmp).catch((error) => this.#fail(error))
    })
    undo.add('run on here', () => this.#runOnHere(process, wasRunning))
    this.#memoryStartedAtMs = performance.now()
    await startMigration(qmp, unixUri(sockets.outgoing))
    await this.#at('copying-memory')
    const stopped = waitForMigrationStatus(qmp, ['pre-switchover'], {
      timeoutMs: longMs,
      signal: this.#stop.signal,
    })
    stopped.catch(() => undefined)
    try {
      await this.#until(stopped, () => this.#watchMemory(qmp, joint), this.#memory.lookEveryMs)
    } finally {
      stopListening()
    }
    this.#stoppedAtMs ??= this.#parts.clock.monotonicMs()
    await this.#at('guest-stopped')
    return joint
  }

  /** First of all that is undone, because the guest may stand still. */
  async #runOnHere(process: QemuProcess, wasRunning: boolean): Promise<void> {
    try {
      await resumeHere(process, wasRunning)
    } catch (error) {
      this.#keepJournal = process.isRunning
      throw error
    }
  }

  async #watchMemory(qmp: QmpSession, joint: WindowedJoint): Promise<void> {
    await this.#memory.look(qmp, joint)
    const stats = joint.stats()
    const quietMs = performance.now() - (stats.lastAckAtMs ?? this.#memoryStartedAtMs)
    if (quietMs > stallMs && stats.sentBytes > stats.ackedBytes) {
      this.#stop.abort(fail('migration.stalled', { ...this.#names(), seconds: Math.round(quietMs / 1000) }))
    }
  }

  /**
   * The guest stands still: mirrors end in step, device state crosses, the other side loads it, paused.
   * @returns whether it has all of its memory there
   */
  async #switchOver(
    process: QemuProcess,
    mirrors: readonly MirrorJob[],
    memory: WindowedJoint,
  ): Promise<boolean> {
    const { id: migrationId } = this.#operation
    const { qmp } = process
    this.#phase('switching-over')
    const told = this.#ask('docking.switching', { migrationId })
    await Promise.all([told, ...mirrors.map((mirror) => mirror.complete())])
    const loaded = this.#ask('docking.await-loaded', { migrationId }, longMs)
    loaded.catch(() => undefined)
    await continueFromPreSwitchover(qmp)
    // What is left of memory may have been so little that QEMU sent it along.
    const wanted = this.#isPostCopy ? (['completed', 'postcopy-active'] as const) : (['completed'] as const)
    const { signal } = this.#stop
    const status = await waitForMigrationStatus(qmp, wanted, { timeoutMs: launchTimeoutMs, signal })
    await loaded
    const isWhole = status === 'completed'
    if (isWhole) this.#meter.memoryDone(await queryMigration(qmp), memory.stats())
    await this.#at('loaded')
    return isWhole
  }

  /** The point of no return. */
  async #giveAway(journal: Journal, wasRunning: boolean, rest: WindowedJoint | null): Promise<DepartureEnd> {
    const { calls, clock, faults } = this.#parts
    const { dockId } = this.#to
    this.#stop.signal.throwIfAborted()
    this.#operation.pointOfNoReturn()
    await journal.record('given-away')
    this.#operation.undo.commit()
    let error: WdockError | null = null
    try {
      await faults?.at('given-away')
      const { migrationId } = journal.head
      await calls.ask(dockId, 'docking.commit', { migrationId, run: wasRunning, fetches: rest !== null })
      await faults?.at('answered')
    } catch (cause) {
      const { message, detail } = toWdockError(cause)
      error = fail('migration.unsettled', this.#names(), { cause, detail: detail ?? message })
    } finally {
      this.#calm()
    }
    this.#memory.givenAway(error === null)
    const { answerMs } = this.#memory
    const downtimeMs = clock.monotonicMs() - (this.#stoppedAtMs ?? clock.monotonicMs()) - answerMs
    this.#phase(rest === null ? 'finishing' : 'fetching-rest')
    const finish = (): MigrationResult => this.#meter.result(Math.max(0, downtimeMs))
    const kind = error === null ? 'moved' : 'unsettled'
    return { kind, journal, error, rest: rest === null ? null : restHooks(this.#meter, rest), finish }
  }

  /** Waits for `end`, looking every moment, and gives up when the move is to stop. */
  async #until(end: Promise<unknown>, look: () => Promise<void>, everyMs = pollEveryMs): Promise<void> {
    let over = false
    const stopped = Promise.withResolvers<never>()
    const onStop = (): void => stopped.reject(this.#stop.signal.reason)
    this.#stop.signal.addEventListener('abort', onStop, { once: true })
    if (this.#stop.signal.aborted) onStop()
    stopped.promise.catch(() => undefined)
    const ended = end.finally(() => {
      over = true
    })
    try {
      while (!over) {
        await Promise.race([ended, stopped.promise, this.#parts.clock.sleep(everyMs)])
        if (!over) await look()
      }
      await ended
    } finally {
      this.#stop.signal.removeEventListener('abort', onStop)
    }
  }

  /** Gives what broke a moment to be explained: a lost link breaks the mirror and QEMU's stream as well. */
  async #fail(error: WdockError): Promise<void> {
    this.#stop.abort(await this.#reason(error))
  }

  /** Why the move really stopped: of what fails together, the link or the other side is what people can mend. */
  async #reason(thrown: unknown): Promise<unknown> {
    const { signal } = this.#stop
    if (!signal.aborted) {
      await Promise.race([once(signal), this.#parts.clock.sleep(reasonMs)])
    }
    if (signal.aborted) return signal.reason
    if (isCode(thrown, 'qemu.migration_failed')) {
      return fail('migration.qemu_failed', this.#names(), {
        cause: thrown,
        detail: thrown.detail ?? thrown.message,
      })
    }
    return thrown
  }

  /** A place at which a test may stop the move; what stops the move ends that as well. */
  async #at(point: FaultPoint): Promise<void> {
    const { faults } = this.#parts
    if (faults === null) return
    await Promise.race([faults.at(point), once(this.#stop.signal)])
    this.#stop.signal.throwIfAborted()
  }

  async #ask<Method extends 'docking.prepare' | 'docking.switching' | 'docking.await-loaded'>(
    method: Method,
    input: Parameters<DockingParts['calls']['ask']>[2],
    timeoutMs = 20_000,
  ): Promise<void> {
    const { signal } = this.#stop
    await this.#parts.calls.ask(this.#to.dockId, method, input as never, { timeoutMs, signal })
  }

  async #openStream(use: 'layer' | 'disk' | 'memory', header: StreamHeader): Promise<Duplex> {
    return await this.#parts.calls.net.openStream(this.#to.dockId, use, header, { signal: this.#stop.signal })
  }

  #phase(phase: MigrationPhase): void {
    this.#meter.phase(phase)
  }

  #names(): { name: string; dock: string } {
    return { name: this.#guest.name, dock: this.#to.name }
  }
}

/**
 * The source's side of a move: takes a running guest through check, layers, mirror, pre-copy and switchover to
 * another dock. Promises that until the guest is given away any failure or cancel leaves it running here with
 * its disk intact and nothing there; and that once it is given away it never runs here again by itself. Relies on
 * the journal for what survives a crash, and on the destination never running a guest without the commit.
 */
import type { Duplex } from 'node:stream'
import { fail, isCode, type WdockError } from '../../../shared/errors/index.ts'
import type { MigrationPhase, MigrationResult } from '../../../shared/models/operation.ts'
import { sendLayer } from '../../disk/layer-transfer.ts'
import { type MirrorJob, startMirror } from '../../disk/mirror.ts'
import { type WindowedStream, windowed } from '../../docks/flow.ts'
import {
  continueFromPreSwitchover,
  queryMigration,
  setCapabilities,
  setParameters,
  startMigration,
  unixUri,
  waitForMigrationStatus,
} from '../../qemu/migration.ts'
import type { QemuProcess } from '../../qemu/process.ts'
import { queryStatus } from '../../qemu/screen.ts'
import type { LocalGuest } from '../guests/local-guest.ts'
import type { RunningOperation } from '../operations.ts'
import { blockedValues } from './arrivals.ts'
import { DepartureMeter } from './departure-meter.ts'
import { ensureRunningHere } from './ensure-running.ts'
import { Journal } from './journal.ts'
import type { GuestOffer, StreamHeader } from './messages.ts'
import { makeOffer } from './offer.ts'
import type { DockingParts } from './parts.ts'
import { relayFromQemu } from './relay.ts'
import {
  downtimeLimitMs,
  memoryWindowBytes,
  movingHeartbeatMs,
  pollEveryMs,
  restingHeartbeatMs,
  stallMs,
} from './tuning.ts'

export interface DepartureTarget {
  dockId: string
  name: string
}

/** How a move ended that did not fail: the result, or the journal of a handover whose answer was lost. */
export type DepartureEnd =
  | { kind: 'moved'; result: MigrationResult }
  | { kind: 'unsettled'; journal: Journal; error: WdockError }

const longMs = 24 * 3600 * 1000
const launchTimeoutMs = 60_000

export class Departure {
  readonly #parts: DockingParts
  readonly #guest: LocalGuest
  readonly #to: DepartureTarget
  readonly #operation: RunningOperation
  readonly #meter: DepartureMeter
  /** Fires on cancel, on a lost link, and when the destination reports a failure. */
  readonly #stop = new AbortController()
  #stoppedAtMs: number | null = null

  constructor(parts: DockingParts, guest: LocalGuest, to: DepartureTarget, operation: RunningOperation) {
    this.#parts = parts
    this.#guest = guest
    this.#to = to
    this.#operation = operation
    this.#meter = new DepartureMeter(parts.clock, operation)
    operation.signal.addEventListener('abort', () => this.#stop.abort(operation.signal.reason), {
      once: true,
    })
  }

  /** The other side reports that it can no longer receive. */
  failedThere(error: WdockError): void {
    this.#stop.abort(
      fail('migration.destination_died', this.#names(), { detail: `${error.message} ${error.detail ?? ''}` }),
    )
  }

  linkLost(): void {
    this.#stop.abort(fail('migration.link_lost', this.#names()))
  }

  async run(): Promise<DepartureEnd> {
    const { undo } = this.#operation
    this.#guest.setOperation(this.#operation.id)
    undo.add('let go of the guest', () => this.#guest.setOperation(null))
    const process = this.#guest.requireProcess('moved')
    const { running: wasRunning } = await queryStatus(process.qmp)
    const offer = await this.#check()
    const journal = await this.#open(wasRunning)
    await this.#ask('docking.prepare', { migrationId: journal.head.migrationId, offer })
    await this.#copyLayers(offer)
    this.#phase('preparing')
    await this.#ask('docking.launch', { migrationId: this.#operation.id }, launchTimeoutMs)
    const mirrors = await this.#mirrorDisks(process)
    const memory = await this.#copyMemory(process, wasRunning)
    await this.#switchOver(process, mirrors)
    return await this.#giveAway(journal, memory, wasRunning)
  }

  async #check(): Promise<GuestOffer> {
    this.#phase('checking')
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
    undo.add('remove the journal', () => journal.remove())
    calls.net.setHeartbeat(dockId, movingHeartbeatMs)
    undo.add('calm the heartbeat', () => calls.net.setHeartbeat(dockId, restingHeartbeatMs))
    undo.add('tell the other side', async () => {
      // Where it cannot be told now, it asks when it is back and hears that the guest stayed.
      await calls.ask(dockId, 'docking.abort', { migrationId }, { timeoutMs: 3000 }).catch(() => undefined)
    })
    return journal
  }

  async #copyLayers(offer: GuestOffer): Promise<void> {
    const { layers, bootFiles } = this.#parts
    if (this.#meter.missingCount > 0) this.#phase('copying-layers')
    for (const layer of offer.layers.filter((each) => this.#meter.isMissing(each.id))) {
      const stream = await this.#openStream('layer', {
        kind: 'layer',
        migrationId: this.#operation.id,
        layer,
      })
      await sendLayer(stream, layers, layer.id, {
        signal: this.#stop.signal,
        onProgress: ({ doneBytes }) => this.#meter.fileProgress(layer.id, doneBytes),
      })
      stream.destroy()
    }
    for (const file of offer.bootFiles.filter((each) => this.#meter.isMissing(each.id))) {
      const stream = await this.#openStream('layer', {
        kind: 'boot-file',
        migrationId: this.#operation.id,
        file,
      })
      await bootFiles.send(file.id, stream, this.#stop.signal)
      stream.destroy()
      this.#meter.fileProgress(file.id, file.sizeBytes)
    }
  }

  /** Every disk follows the guest from here on, each write reaching both sides. */
  async #mirrorDisks(process: QemuProcess): Promise<MirrorJob[]> {
    const { undo, id: migrationId } = this.#operation
    const jobs: MirrorJob[] = []
    for (const { nodeName } of this.#guest.definition.disks) {
      this.#phase('mirroring-disk')
      const channel = await this.#openStream('disk', { kind: 'disk', migrationId, nodeName })
      const socketPath = `${process.sockets.mirror}.${nodeName}`
      const relay = await relayFromQemu(socketPath, channel, () => undefined)
      undo.add('close a disk channel', () => relay.close())
      const job = await startMirror(process.qmp, {
        nodeName,
        nbdSocketPath: socketPath,
        exportName: nodeName,
      })
      undo.add('end a mirror', () => job.abort())
      void job.failed.then((error) => this.#stop.abort(error))
      this.#meter.addDisk(relay)
      jobs.push(job)
    }
    const ready = Promise.all(jobs.map((job) => job.ready))
    ready.catch(() => undefined)
    await this.#until(ready, async () =>
      this.#meter.diskProgress(await Promise.all(jobs.map((job) => job.progress()))),
    )
    return jobs
  }

  /** Pre-copy, until QEMU has stopped the guest for the switchover. */
  async #copyMemory(process: QemuProcess, wasRunning: boolean): Promise<WindowedStream> {
    const { undo, id: migrationId } = this.#operation
    const { qmp, sockets } = process
    this.#phase('copying-memory')
    const stream = await this.#openStream('memory', { kind: 'memory', migrationId })
    const channel = windowed(stream, { windowBytes: memoryWindowBytes, dock: this.#to.name })
    const relay = await relayFromQemu(sockets.outgoing, channel, () => undefined)
    undo.add('close the memory channel', () => relay.close())
    await setCapabilities(qmp)
    await setParameters(qmp, { maxBandwidthBytesPerSecond: 0, downtimeLimitMs })
    const stopListening = qmp.onEvent((event) => {
      if (event.name === 'STOP') this.#stoppedAtMs ??= this.#parts.clock.monotonicMs()
    })
    undo.add('run on here', () => ensureRunningHere(process, wasRunning))
    await startMigration(qmp, unixUri(sockets.outgoing))
    const stopped = waitForMigrationStatus(qmp, ['pre-switchover'], {
      timeoutMs: longMs,
      signal: this.#stop.signal,
    })
    stopped.catch(() => undefined)
    try {
      await this.#until(stopped, async () => this.#watchMemory(await queryMigration(qmp), channel))
    } finally {
      stopListening()
    }
    this.#stoppedAtMs ??= this.#parts.clock.monotonicMs()
    return channel
  }

  #watchMemory(progress: Awaited<ReturnType<typeof queryMigration>>, channel: WindowedStream): void {
    const stats = channel.stats()
    this.#meter.memoryProgress(progress, stats)
    const quietMs = performance.now() - (stats.lastAckAtMs ?? performance.now())
    if (quietMs > stallMs) {
      this.#stop.abort(fail('migration.stalled', { ...this.#names(), seconds: Math.round(quietMs / 1000) }))
    }
  }

  /** The guest stands still: mirrors end in step, device state crosses, the other side loads it, paused. */
  async #switchOver(process: QemuProcess, mirrors: readonly MirrorJob[]): Promise<void> {
    const { id: migrationId } = this.#operation
    const { qmp } = process
    this.#phase('switching-over')
    const told = this.#ask('docking.switching', { migrationId })
    await Promise.all([told, ...mirrors.map((mirror) => mirror.complete())])
    const loaded = this.#ask('docking.await-loaded', { migrationId }, longMs)
    loaded.catch(() => undefined)
    await continueFromPreSwitchover(qmp)
    await waitForMigrationStatus(qmp, ['completed'], {
      timeoutMs: launchTimeoutMs,
      signal: this.#stop.signal,
    })
    await loaded
    this.#meter.memoryDone(await queryMigration(qmp))
  }

  /** The point of no return. */
  async #giveAway(journal: Journal, memory: WindowedStream, wasRunning: boolean): Promise<DepartureEnd> {
    const { calls, clock } = this.#parts
    const { dockId } = this.#to
    this.#stop.signal.throwIfAborted()
    this.#operation.pointOfNoReturn()
    await journal.record('given-away')
    this.#operation.undo.commit()
    try {
      await calls.ask(dockId, 'docking.commit', { migrationId: journal.head.migrationId, run: wasRunning })
    } catch (cause) {
      const error = fail('migration.unsettled', this.#names(), { cause, detail: String(cause) })
      return { kind: 'unsettled', journal, error }
    }
    const answerMs = (memory.stats().rttMs ?? 0) / 2
    const downtimeMs = clock.monotonicMs() - (this.#stoppedAtMs ?? clock.monotonicMs()) - answerMs
    this.#phase('finishing')
    calls.net.setHeartbeat(dockId, restingHeartbeatMs)
    await journal.remove()
    return { kind: 'moved', result: this.#meter.result(Math.max(0, downtimeMs)) }
  }

  /** Waits for `end`, looking every moment, and gives up when the move is to stop. */
  async #until(end: Promise<unknown>, look: () => Promise<void>): Promise<void> {
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
        await Promise.race([ended, stopped.promise, this.#parts.clock.sleep(pollEveryMs)])
        if (!over) await look()
      }
      await ended
    } catch (thrown) {
      throw this.#reason(thrown)
    } finally {
      this.#stop.signal.removeEventListener('abort', onStop)
    }
  }

  /** Why the move really stopped: a lost link makes QEMU fail as well, but it is the link that people can mend. */
  #reason(thrown: unknown): unknown {
    if (this.#stop.signal.aborted) return this.#stop.signal.reason
    if (isCode(thrown, 'qemu.migration_failed')) {
      return fail('migration.qemu_failed', this.#names(), {
        cause: thrown,
        detail: thrown.detail ?? thrown.message,
      })
    }
    return thrown
  }

  async #ask<
    Method extends 'docking.prepare' | 'docking.launch' | 'docking.switching' | 'docking.await-loaded',
  >(method: Method, input: Parameters<DockingParts['calls']['ask']>[2], timeoutMs = 20_000): Promise<void> {
    try {
      await this.#parts.calls.ask(this.#to.dockId, method, input as never, {
        timeoutMs,
        signal: this.#stop.signal,
      })
    } catch (thrown) {
      throw this.#reason(thrown)
    }
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

/**
 * Takes one checkpoint of a guest of this dock: memory, devices and disks of one instant into the vault. Promises that
 * the guest is afterwards as it was, however this ends: it runs if it ran, writes to its own disks, and is free
 * again; and that nothing stays of one that was cancelled or failed. Relies on an operation that holds the guest, so
 * that it is neither started, moved nor paused meanwhile.
 */
import { join } from 'node:path'
import { fail, toWdockError } from '../../../shared/errors/index.ts'
import type { Checkpoint, CheckpointLabel, CheckpointReason } from '../../../shared/models/checkpoint.ts'
import { captureGuest } from '../../disk/capture-guest.ts'
import { exportFrozen, frozenExportName } from '../../disk/frozen-export.ts'
import { exportImage } from '../../disk/image-export.ts'
import { recoverOverlays } from '../../disk/recover-overlays.ts'
import type { Clock } from '../../platform/clock.ts'
import { Disposer } from '../../platform/dispose.ts'
import type { Log } from '../../platform/log.ts'
import type { Random } from '../../platform/random.ts'
import { flushFileSystems, hasAgent } from '../../qemu/agent/agent.ts'
import type { MemoryCapture } from '../../qemu/capture/memory.ts'
import { type CaptureRoute, preferredRoute, snapshotSupport } from '../../qemu/capture/routes.ts'
import type { QemuProcess } from '../../qemu/process.ts'
import { queryStatus } from '../../qemu/qmp/commands.ts'
import type { CaptureInstant, CaptureStart, VaultService } from '../../vault/service/vault-service.ts'
import { type BootFileStore, bootFileIds } from '../guests/boot-files.ts'
import type { GuestMachine } from '../guests/guest-environment.ts'
import type { LocalGuest } from '../guests/local-guest.ts'
import type { Pictures } from '../pictures.ts'
import { CaptureMeter, type CaptureReport } from './capture-meter.ts'
import type { VaultDesk } from './vault-desk.ts'

export interface CaptureParts {
  desk: Pick<VaultDesk, 'opened' | 'onEvent'>
  dock: { id: string; name: () => string }
  machine: Pick<GuestMachine, 'require'>
  bootFiles: Pick<BootFileStore, 'path'>
  pictures: Pick<Pictures, 'get'>
  clock: Clock
  random: Random
  log: Log
}

/** What is to be kept, and why. */
export interface CaptureWanted {
  reason: CheckpointReason
  label: CheckpointLabel
}

/** The operation in which it is made. */
export interface CaptureHolder {
  operationId: string
  /** Cancels it, until all is kept on this PC. */
  signal: AbortSignal
  tell(report: CaptureReport): void
}

const captureSocketName = 'capture.sock'
const diskSocketName = 'frozen.sock'

/**
 * @param captureId the vault's name for the work, as `newCaptureId` makes them
 * @returns the checkpoint once all of it is kept on this PC; it may still be on its way into the vault
 * @throws vault.*, qemu.*, disk.*, guest.wrong_state, host.cancelled
 */
export async function takeCheckpoint(
  parts: CaptureParts,
  guest: LocalGuest,
  captureId: string,
  wanted: CaptureWanted,
  holder: CaptureHolder,
): Promise<Checkpoint> {
  return await new Capture(parts, guest, captureId, wanted, holder).run()
}

/**
 * Running, paused or off; not one that arrives, whose move is not settled, or that has not everything yet of what it
 * was restored from. @throws guest.wrong_state, restore.unfinished
 */
export function assertCanBeCaptured(guest: LocalGuest): void {
  if (guest.record.restore !== undefined) throw fail('restore.unfinished', { name: guest.name })
  const { kind } = guest.state
  const isOff = guest.process === null && (kind === 'stopped' || kind === 'failed')
  if (!isOff && kind !== 'running' && kind !== 'paused') throw guest.wrongState('checkpointed')
}

class Capture {
  readonly #parts: CaptureParts
  readonly #guest: LocalGuest
  readonly #id: string
  readonly #wanted: CaptureWanted
  readonly #holder: CaptureHolder
  readonly #meter: CaptureMeter
  readonly #service: VaultService
  /** Fires on cancel, and when the vault's side of the work has failed. */
  readonly #stop = new AbortController()
  readonly #undo = new Disposer()
  #givenBack: () => void = () => {}

  constructor(
    parts: CaptureParts,
    guest: LocalGuest,
    captureId: string,
    wanted: CaptureWanted,
    holder: CaptureHolder,
  ) {
    this.#parts = parts
    this.#guest = guest
    this.#id = captureId
    this.#wanted = wanted
    this.#holder = holder
    this.#service = parts.desk.opened()
    const { memoryBytes } = guest.definition
    const estimateBytes = (guest.process === null ? 0 : memoryBytes) + guest.view().diskUsedBytes
    this.#meter = new CaptureMeter(parts.clock, estimateBytes, (report) => holder.tell(report))
  }

  async run(): Promise<Checkpoint> {
    const { log } = this.#parts
    const { signal } = this.#holder
    const onAbort = (): void => this.#stop.abort(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    this.#hold()
    this.#undo.add('stop listening', () => signal.removeEventListener('abort', onAbort))
    try {
      return await this.#take()
    } catch (thrown) {
      throw signal.aborted ? signal.reason : toWdockError(thrown)
    } finally {
      for (const { name, error } of await this.#undo.run()) {
        log.error('a checkpoint was not tidied up', { guestId: this.#guest.id, step: name, error })
      }
    }
  }

  /** While it is held, QEMU's stops and resumes are ours. */
  #hold(): void {
    const guest = this.#guest
    const { operationId } = guest.view()
    guest.setOperation(this.#holder.operationId)
    this.#undo.add('let go of the guest', async () => {
      guest.setOperation(operationId)
      await guest.readStatus()
    })
  }

  async #take(): Promise<Checkpoint> {
    const guest = this.#guest
    // What a person asked of the guest just before ends first.
    await this.#until(guest.exclusively(async () => {}))
    assertCanBeCaptured(guest)
    const keep = this.#undo.add('give the checkpoint up', async () => {
      await this.#service.abandonCapture(this.#id)
    })
    const { process } = guest
    const instant = process === null ? await this.#takeOff() : await this.#takeLive(process)
    this.#meter.phase('finishing')
    const [checkpoint] = await Promise.all([this.#complete(instant), this.#giveBack(process)])
    keep()
    const { id: checkpointId, freezeMs, wholeBytes } = checkpoint
    this.#parts.log.info('a checkpoint is kept', { guestId: guest.id, checkpointId, freezeMs, wholeBytes })
    return checkpoint
  }

  /** Memory and devices by a migration into the vault's thread; disks by freezing them in the same instant. */
  async #takeLive(process: QemuProcess): Promise<CaptureInstant> {
    const guest = this.#guest
    const { qmp } = process
    const disks = guest.diskFiles
    // Before the vault says that a disk cannot be read any more.
    const unfollow = process.onExit(({ stderrTail }) =>
      this.#stop.abort(fail('qemu.gone', {}, { detail: stderrTail })),
    )
    this.#undo.add('stop following QEMU', unfollow)
    // What an earlier checkpoint could not give back.
    await this.#until(guest.thaw())
    // A guest that stands still changes nothing while it is copied.
    const { running } = await queryStatus(qmp)
    const preferred = preferredRoute(guest.definition.accelerator, await snapshotSupport(qmp))
    const route = running ? preferred : 'pre-copy'
    const socketPath = join(guest.runDir, captureSocketName)
    const start = await this.#start(socketPath, qemuVersionOf(process))
    const begun = this.#until(this.#service.beginCapture(start))
    begun.catch(() => {})
    // Before sleep there is no time for it.
    if (running && this.#wanted.reason !== 'sleep') await this.#flush(process)
    await begun
    this.#givenBack = this.#undo.add('give the disks back', () => this.#giveBack(process))
    const { memory, received } = await this.#takeMemory(process, socketPath, route)
    const { atMs, freezeMs, wasRunning } = memory
    this.#meter.frozen(freezeMs)
    this.#meter.phase('reading-disk')
    const nbdSocketPath = join(guest.runDir, diskSocketName)
    if (disks.length > 0) await exportFrozen(qmp, disks, nbdSocketPath)
    for (const { nodeName, virtualSizeBytes } of disks) {
      const exportName = frozenExportName(nodeName)
      const disk = { nodeName, virtualSizeBytes, nbdSocketPath, exportName }
      await this.#until(this.#service.captureDisk(this.#id, disk))
    }
    await this.#until(received)
    return { atMs, freezeMs, frozenBy: wasRunning ? memory.route : 'stopped' }
  }

  /** What the guest's file systems hold back is then on its disk as well as in its memory; a checkpoint is whole without. */
  async #flush({ qmp, sockets }: QemuProcess): Promise<void> {
    if (!this.#guest.definition.agent) return
    try {
      if (await hasAgent(qmp)) await this.#until(flushFileSystems(sockets.agent))
    } catch (error) {
      this.#stop.signal.throwIfAborted()
      this.#parts.log.warn('a guest did not flush its file systems', { guestId: this.#guest.id, error })
    }
  }

  /** QEMU has sent everything, and the guest is as it was; the vault has it when `received` resolves. */
  async #takeMemory(
    process: QemuProcess,
    socketPath: string,
    route: CaptureRoute,
  ): Promise<{ memory: MemoryCapture; received: Promise<void> }> {
    const { desk, log } = this.#parts
    const first = Promise.withResolvers<void>()
    const stopListening = desk.onEvent((event) => {
      if (!('captureId' in event) || event.captureId !== this.#id) return
      if (event.type === 'capture.first-part') first.resolve()
      if (event.type === 'capture.read') this.#meter.read(event.memoryBytes, event.diskBytes)
    })
    this.#undo.add('stop listening to the vault', stopListening)
    const received = this.#service.memoryCaptured(this.#id)
    // A receiver that failed must not leave QEMU sending.
    received.catch((error: unknown) => this.#stop.abort(error))
    const taken = captureGuest(process.qmp, {
      route,
      socketPath,
      firstPart: first.promise,
      disks: this.#guest.diskFiles,
      hurry: isWaitedFor(this.#wanted.reason),
      signal: this.#stop.signal,
      log,
    })
    const memory = await taken.catch((error: unknown) => {
      throw this.#stop.signal.aborted ? this.#stop.signal.reason : error
    })
    return { memory, received }
  }

  /** Nobody writes to the disks of a guest that is off, and it cannot be started while it is held. */
  async #takeOff(): Promise<CaptureInstant> {
    const guest = this.#guest
    const { machine, clock } = this.#parts
    const { signal } = this.#stop
    const { qemu } = await machine.require()
    await recoverOverlays(guest.diskFiles, { signal })
    await this.#until(this.#service.beginCapture(await this.#start(null, qemu.version.text)))
    const atMs = clock.nowMs()
    this.#meter.phase('reading-disk')
    const stopListening = this.#parts.desk.onEvent((event) => {
      if (event.type === 'capture.read' && event.captureId === this.#id) this.#meter.read(0, event.diskBytes)
    })
    this.#undo.add('stop listening to the vault', stopListening)
    await guest.makeRunDir()
    const nbdSocketPath = join(guest.runDir, diskSocketName)
    for (const { nodeName, virtualSizeBytes, layerPaths, topPath } of guest.diskFiles) {
      const chain = [...layerPaths, topPath]
      const exportName = frozenExportName(nodeName)
      const served = await exportImage({ chain, socketPath: nbdSocketPath, exportName, signal })
      try {
        const disk = { nodeName, virtualSizeBytes, nbdSocketPath, exportName }
        await this.#until(this.#service.captureDisk(this.#id, disk))
      } finally {
        await served.end()
      }
    }
    return { atMs, freezeMs: null, frozenBy: 'off' }
  }

  async #start(memorySocketPath: string | null, qemuVersion: string): Promise<CaptureStart> {
    const { dock, bootFiles } = this.#parts
    const { definition } = this.#guest
    return {
      captureId: this.#id,
      guest: definition,
      byDockId: dock.id,
      byDockName: dock.name(),
      reason: this.#wanted.reason,
      label: this.#wanted.label,
      qemuVersion,
      accelerator: definition.accelerator,
      picturePng: await this.#picture(),
      memorySocketPath,
      bootFiles: bootFileIds(definition.boot).map((sha256) => ({ sha256, path: bootFiles.path(sha256) })),
    }
  }

  /** As the screen was a moment ago; a checkpoint without a picture is better than none. */
  async #picture(): Promise<Uint8Array | null> {
    const { pictures, dock, log } = this.#parts
    if (this.#guest.process === null) return null
    try {
      const picture = await pictures.get(dock.id, this.#guest.id, null)
      return picture === null ? null : Buffer.from(picture.pngBase64, 'base64')
    } catch (error) {
      log.warn('a checkpoint has no picture', { guestId: this.#guest.id, error })
      return null
    }
  }

  /** Once all is kept here it is too late to cancel: who does so in the same moment gets the checkpoint. */
  async #complete(instant: CaptureInstant): Promise<Checkpoint> {
    const kept = this.#service.completeCapture(this.#id, instant)
    try {
      return await this.#until(kept)
    } catch (error) {
      if (!this.#stop.signal.aborted) throw error
      if ((await this.#service.abandonCapture(this.#id)) === 'cancelled') throw error
      return await kept
    }
  }

  /** A failure does not undo the checkpoint: the guest runs on with its overlays, and this is tried again later. */
  async #giveBack(process: QemuProcess | null): Promise<void> {
    if (process === null || this.#guest.process !== process) return
    try {
      await this.#guest.thaw()
      this.#givenBack()
    } catch (error) {
      this.#parts.log.error('disks stay frozen for now', { guestId: this.#guest.id, error })
    }
  }

  /** Waits for the vault's answer, but no longer than the checkpoint is wanted. */
  async #until<T>(answer: Promise<T>): Promise<T> {
    const { signal } = this.#stop
    const stopped = Promise.withResolvers<never>()
    const onStop = (): void => stopped.reject(signal.reason)
    signal.addEventListener('abort', onStop, { once: true })
    if (signal.aborted) onStop()
    answer.catch(() => {})
    try {
      return await Promise.race([answer, stopped.promise])
    } finally {
      stopped.promise.catch(() => {})
      signal.removeEventListener('abort', onStop)
    }
  }
}

function qemuVersionOf({ qmp }: QemuProcess): string {
  const { major, minor, micro } = qmp.version.qemu
  return `${major}.${minor}.${micro}`
}

/** Whether what comes next waits for the checkpoint, and nobody works in the guest meanwhile. */
function isWaitedFor(reason: CheckpointReason): boolean {
  return reason !== 'person' && reason !== 'interval' && reason !== 'low-battery'
}

/**
 * One restore on its way, in the operation that holds its guest. Promises that until the guest runs, cancelling or a
 * failure leaves everything as it was; that from then on it runs while the rest arrives; and that what it replaced is
 * only given up when it needs nothing more of its memory. Relies on the guest's record, by which a later host goes on.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fail, toWdockError, type WdockError } from '../../../shared/errors/index.ts'
import type { GuestDefinition } from '../../../shared/models/guest-definition.ts'
import type { Operation, RestorePhase } from '../../../shared/models/operation.ts'
import { createEmpty, fillFromExport } from '../../disk/image.ts'
import { recoverOverlays } from '../../disk/recover-overlays.ts'
import type { QemuProcess } from '../../qemu/process.ts'
import { cont } from '../../qemu/qmp/commands.ts'
import { setGuestClock } from '../guests/guest-clock.ts'
import type { UnfinishedRestore } from '../guests/guest-record.ts'
import type { LocalGuest } from '../guests/local-guest.ts'
import { residentBytes } from '../memory.ts'
import type { RunningOperation } from '../operations.ts'
import type { RestoreParts } from './restore.ts'
import { streamDisk } from './restore-disks.ts'
import { awaitMemory, chooseRoute, loadMemory, tidyMigration } from './restore-memory.ts'
import { RestoreMeter } from './restore-meter.ts'
import { putBack, trashPrevious } from './restore-replaced.ts'
import type { RestoreSource } from './restore-source.ts'

type RestoreWork = Extract<Operation['work'], { kind: 'restore' }>

const tellEveryMs = 250
const tryAgainMs = 3000

/** `off`: it was switched off before it had all of its disk; the rest is another operation. */
export type RestoreEnd = 'complete' | 'off'

export class RestoreRun {
  readonly #parts: RestoreParts
  readonly #guest: LocalGuest
  readonly #source: RestoreSource
  readonly #operation: RunningOperation
  readonly #meter: RestoreMeter
  #phase: RestorePhase = 'preparing'

  constructor(parts: RestoreParts, guest: LocalGuest, source: RestoreSource, operation: RunningOperation) {
    this.#parts = parts
    this.#guest = guest
    this.#source = source
    this.#operation = operation
    // The record may be of an earlier restore, which this one replaces.
    const restore = guest.record.restore?.restoreId === source.restoreId ? guest.record.restore : undefined
    const missing = restore?.disks ?? source.facts.disks.map(({ nodeName }) => nodeName)
    const memory = source.facts.hasMemory && restore?.memory !== 'here'
    this.#meter = new RestoreMeter(parts.clock, source.facts, missing, memory)
  }

  /** For a guest that was registered with the record of this restore. */
  async asNew(): Promise<RestoreEnd> {
    const { guests } = this.#parts
    this.#operation.undo.add('forget the guest', () => guests.forget(this.#guest.id))
    return await this.#fill()
  }

  /** Puts the checkpoint in the place of a guest of this dock, whose state was kept before. */
  async inPlace(definition: GuestDefinition, restore: UnfinishedRestore): Promise<RestoreEnd> {
    const guest = this.#guest
    const { signal, undo } = this.#operation
    const { record } = guest
    if (guest.process !== null) await guest.thaw()
    signal.throwIfAborted()
    this.#tell('preparing')
    guest.setState({ kind: 'preparing' })
    undo.add('put back what it was', () => putBack(guest, { kind: 'stopped' }))
    await guest.discardProcess()
    if (record.restore === undefined) await recoverOverlays(guest.diskFiles, { signal })
    const previous = record.restore === undefined ? record : record.restore.previous
    const kept =
      previous === null ? null : { definition: previous.definition, createdAtMs: previous.createdAtMs }
    // What came of an earlier restore that was broken off is of no use.
    if (record.restore !== undefined) await removeTops(guest)
    const booted = { bootedAtMs: null, definition }
    await guest.changeRecord({ ...booted, restore: { ...restore, previous: kept } })
    return await this.#fill()
  }

  /** For a guest whose memory is here, found by a later host or switched off meanwhile. */
  async goOn(): Promise<RestoreEnd> {
    const guest = this.#guest
    await this.#serveMissing()
    this.#tell(guest.process === null ? 'fetching' : 'running')
    if (guest.process !== null) {
      this.#operation.pointOfNoReturn()
      this.#operation.undo.forget()
      // The host before may have ended too soon to do it.
      void setGuestClock(guest.definition, guest.process, this.#parts)
    }
    return await this.#bringDisks()
  }

  /** Everything that can still be undone, then the rest. */
  async #fill(): Promise<RestoreEnd> {
    const guest = this.#guest
    const { facts } = this.#source
    this.#tell('preparing')
    await this.#fetchBootFiles()
    for (const disk of guest.definition.disks) {
      const path = guest.topPath(disk.nodeName)
      await rm(path, { force: true })
      await createEmpty(path, disk.virtualSizeBytes)
    }
    await this.#serveMissing()
    if (!facts.hasMemory) return await this.#bringDisks()
    const process = await this.#letRun()
    const hasMemory = await this.#bringMemory(process)
    if (!hasMemory) return 'complete'
    return await this.#bringDisks()
  }

  async #serveMissing(): Promise<void> {
    const guest = this.#guest
    await guest.makeRunDir()
    const remotes = await this.#until(this.#source.serve(guest.record.restore?.disks ?? [], guest.runDir))
    guest.setRemotes(remotes)
  }

  /** They are taken in by their contents, so that a wrong one cannot get in. */
  async #fetchBootFiles(): Promise<void> {
    const { bootFiles } = this.#parts
    const { signal } = this.#operation
    const guest = this.#guest
    for (const { sha256 } of this.#source.facts.bootFiles) {
      if ((await bootFiles.size(sha256)) !== null) continue
      const path = join(guest.folder, 'boot.part')
      await rm(path, { force: true })
      try {
        await this.#until(this.#source.bootFile(sha256, path))
        const id = await bootFiles.add(path, guest.name, signal)
        if (id !== sha256) throw fail('vault.damaged', {}, { detail: `boot file ${sha256} is ${id}` })
      } finally {
        await rm(path, { force: true })
      }
    }
  }

  /** Until the guest runs, with all its memory or with the rest to come. */
  async #letRun(): Promise<QemuProcess> {
    const guest = this.#guest
    const { clock } = this.#parts
    const { signal, undo } = this.#operation
    const endPledge = this.#pledgeMemory()
    undo.add('give the memory back', endPledge)
    const process = await guest.launch(true)
    undo.add('end QEMU', () => guest.discardProcess())
    const route = await (this.#parts.chooseRoute ?? chooseRoute)(process.qmp)
    if (route.how === 'whole') this.#change({ slowSentence: route.slowSentence })
    this.#tell('fetching')
    await this.#telling(loadMemory(process, this.#source, route.how, { signal, clock }))
    // A record of a guest that runs: from here on a later host must not take it for half made.
    await guest.changeRecord({ complete: true, bootedAtMs: this.#source.facts.checkpoint.atMs })
    this.#operation.pointOfNoReturn()
    await cont(process.qmp)
    undo.forget()
    process.onExit(endPledge)
    this.#tell('running')
    guest.setState({ kind: 'running' })
    void setGuestClock(guest.definition, process, this.#parts)
    return process
  }

  /**
   * Until the guest needs nothing more of its memory: all is here, or it was switched off.
   * @returns false when this program ends meanwhile @throws restore.memory_lost
   */
  async #bringMemory(process: QemuProcess): Promise<boolean> {
    const guest = this.#guest
    const { signal: ending } = this.#parts.ending
    if (guest.record.restore?.memory === 'coming') {
      const error = await this.#telling(awaitMemory(process, this.#source, ending))
      if (ending.aborted) return false
      if (error !== null && guest.process === process && process.isRunning) throw await this.#lose(error)
      await this.#noteMemory()
    }
    this.#meter.memoryDone()
    if (guest.process === process) await tidyMigration(process.qmp).catch(() => {})
    await trashPrevious(guest, this.#parts.trash)
    return true
  }

  async #noteMemory(): Promise<void> {
    const { restore } = this.#guest.record
    if (restore !== undefined) await this.#guest.changeRecord({ restore: { ...restore, memory: 'here' } })
  }

  async #lose(why: Error): Promise<WdockError> {
    const guest = this.#guest
    const detail = why instanceof Error ? why.message : String(why)
    const error = fail('restore.memory_lost', { name: guest.name }, { detail, cause: why })
    await putBack(guest, { kind: 'failed', error: error.toJSON() })
    return error
  }

  /** Until its disks stand alone. */
  async #bringDisks(): Promise<RestoreEnd> {
    const guest = this.#guest
    for (let restore = guest.record.restore; restore !== undefined; restore = guest.record.restore) {
      const [nodeName] = restore.disks
      if (nodeName === undefined) break
      const { process } = guest
      this.#operation.signal.throwIfAborted()
      if (process === null && !this.#operation.cancellable) return 'off'
      const disk = process === null ? this.#fillDisk(nodeName) : this.#streamDisk(process, nodeName)
      if (!(await this.#telling(disk))) continue
      if (this.#parts.ending.signal.aborted) return 'complete'
      const disks = restore.disks.filter((other) => other !== nodeName)
      await guest.changeRecord({ restore: { ...restore, disks } })
    }
    await this.#finish()
    return 'complete'
  }

  /** @returns false when it did not come to its end because QEMU ended */
  async #streamDisk(process: QemuProcess, nodeName: string): Promise<boolean> {
    const { clock, log, ending } = this.#parts
    try {
      await streamDisk(process.qmp, nodeName, {
        clock,
        log,
        signal: ending.signal,
        onProgress: (fraction) => this.#meter.disk(nodeName, fraction),
      })
      return true
    } catch (error) {
      if (ending.signal.aborted) return true
      if (process.isRunning && this.#guest.process === process) throw error
      // Its end is told in a moment.
      await process.waitForExit()
      return false
    }
  }

  async #fillDisk(nodeName: string): Promise<boolean> {
    const guest = this.#guest
    const { clock, log } = this.#parts
    const { signal } = this.#operation
    const remote = guest.remotes.get(nodeName)
    if (remote === undefined) throw fail('restore.unfinished', { name: guest.name })
    for (;;) {
      try {
        await fillFromExport(guest.topPath(nodeName), remote, {
          signal,
          onProgress: (fraction) => this.#meter.disk(nodeName, fraction),
        })
        return true
      } catch (thrown) {
        signal.throwIfAborted()
        const error = toWdockError(thrown)
        if (error.permanent) throw error
        log.warn('a disk did not arrive, and is tried again', { nodeName, error: error.toJSON() })
        await clock.sleep(tryAgainMs, signal)
      }
    }
  }

  async #finish(): Promise<void> {
    const guest = this.#guest
    this.#tell('finishing')
    if (this.#operation.cancellable) this.#operation.pointOfNoReturn()
    await trashPrevious(guest, this.#parts.trash)
    await guest.changeRecord({ complete: true, restore: undefined })
    this.#operation.undo.forget()
    guest.setRemotes(new Map())
    await this.#source.end()
    guest.setOperation(null)
    if (guest.process === null && guest.state.kind === 'preparing') guest.setState({ kind: 'stopped' })
    else await guest.readStatus()
    await guest.refreshDiskUse()
  }

  /** QEMU takes the memory as it arrives: until then it is held back from others. */
  #pledgeMemory(): () => void {
    const guest = this.#guest
    const { memoryBytes } = guest.definition
    return this.#parts.machine.memory.pledge(guest.id, async () => {
      const { process } = guest
      if (process === null) return memoryBytes
      if (!process.isRunning || guest.record.restore?.memory !== 'coming') return 0
      return Math.max(0, memoryBytes - (await residentBytes(process.identity.pid)))
    })
  }

  /** Shows how far it is while `work` goes on, and serves its disks again should the vault's thread have died. */
  async #telling<T>(work: Promise<T>): Promise<T> {
    const over = new AbortController()
    const telling = this.#tellUntil(over.signal)
    try {
      return await work
    } finally {
      over.abort()
      await telling
    }
  }

  async #tellUntil(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts
    const phase = this.#phase
    while (!signal.aborted) {
      await clock.sleep(tellEveryMs, signal).catch(() => {})
      if (signal.aborted) break
      const isServed = await this.#source.reconnect().then(
        () => true,
        () => false,
      )
      this.#meter.memory(this.#source.fetched)
      const waits = !isServed || this.#source.trouble !== null
      if (!signal.aborted) this.#tell(waits ? 'waiting' : phase)
    }
    this.#phase = phase
  }

  #tell(phase: RestorePhase): void {
    this.#phase = phase
    this.#change({ phase })
  }

  #change(change: Partial<RestoreWork>): void {
    const { work } = this.#operation.view
    if (work.kind !== 'restore') return
    this.#operation.update({ progress: this.#meter.read(), work: { ...work, ...change } })
  }

  /** Waits for the vault's answer, but no longer than the restore is wanted. */
  async #until<T>(answer: Promise<T>): Promise<T> {
    const { signal } = this.#operation
    const stopped = Promise.withResolvers<never>()
    const onStop = (): void => stopped.reject(signal.reason)
    signal.addEventListener('abort', onStop, { once: true })
    if (signal.aborted) onStop()
    stopped.promise.catch(() => {})
    try {
      return await Promise.race([answer, stopped.promise])
    } finally {
      signal.removeEventListener('abort', onStop)
    }
  }
}

async function removeTops(guest: LocalGuest): Promise<void> {
  for (const { nodeName } of guest.definition.disks) await rm(guest.topPath(nodeName), { force: true })
}

/**
 * One guest that stands on this dock: its record, its QEMU while there is one, and the state people see. Promises
 * that the state follows QEMU's own events, that what a person asks is done one thing at a time, and that a
 * guest in the hands of a migration is left alone. Relies on the record on disk and on QEMU being adoptable.
 */

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fail, toWdockError } from '../../../shared/errors/index.ts'
import type { Accelerator } from '../../../shared/models/dock.ts'
import type { Guest, GuestState } from '../../../shared/models/guest.ts'
import type { GuestDefinition } from '../../../shared/models/guest-definition.ts'
import { guestStateWord } from '../../../shared/words.ts'
import { recoverOverlays } from '../../disk/recover-overlays.ts'
import { thawDisks } from '../../disk/thaw.ts'
import { OneAtATime } from '../../platform/one-at-a-time.ts'
import { settleMemoryCapture } from '../../qemu/capture/memory.ts'
import type { RemoteBacking } from '../../qemu/command-line.ts'
import {
  adoptQemu,
  killRecorded,
  launchQemu,
  type QemuExit,
  type QemuProcess,
  removeRunFiles,
} from '../../qemu/process.ts'
import type { QmpEvent } from '../../qemu/qmp/messages.ts'
import { isOutOfSpace, pause, queryStatus, resume, sendPowerButton } from '../../qemu/screen.ts'
import { socketPaths } from '../../qemu/sockets.ts'
import { setGuestClock } from './guest-clock.ts'
import { allocatedBytes, diskFilesOf, type GuestDiskFiles } from './guest-disks.ts'
import type { GuestEnvironment, QemuControl } from './guest-environment.ts'
import { adaptedForColdStart, launchSpec, topPath } from './guest-launch.ts'
import { type GuestRecord, writeGuestRecord } from './guest-record.ts'

const realQemu: QemuControl = { launch: launchQemu, adopt: adoptQemu, killRecorded }

/** How long a guest may take to obey before QEMU is ended. */
const forceOffGraceMs = 3000

export class LocalGuest {
  readonly #env: GuestEnvironment
  readonly #qemu: QemuControl
  #record: GuestRecord
  #state: GuestState
  #process: QemuProcess | null = null
  #operationId: string | null = null
  /** QEMU's stops and resumes are those of the operation. */
  #held = false
  #retired = false
  #pictureRevision: number | null = null
  #diskUsedBytes = 0
  #accelerator: Accelerator | null = null
  readonly #queue = new OneAtATime()
  #thawing: Promise<void> | null = null
  #remotes: ReadonlyMap<string, RemoteBacking> = new Map()

  constructor(env: GuestEnvironment, record: GuestRecord, state: GuestState) {
    this.#env = env
    this.#qemu = env.qemu ?? realQemu
    this.#record = record
    this.#state = state
  }

  get id(): string {
    return this.#record.definition.id
  }

  get name(): string {
    return this.#record.definition.name
  }

  get definition(): GuestDefinition {
    return this.#record.definition
  }

  get record(): GuestRecord {
    return this.#record
  }

  get state(): GuestState {
    return this.#state
  }

  /** The folder with its record and top layers. */
  get folder(): string {
    return join(this.#env.dataDir, 'guests', this.id)
  }

  /** The folder with QEMU's sockets. */
  get runDir(): string {
    return join(this.#env.runtimeDir, 'guests', this.id)
  }

  /** Where what is missing of its disks comes from; empty unless it is being restored. */
  get remotes(): ReadonlyMap<string, RemoteBacking> {
    return this.#remotes
  }

  setRemotes(remotes: ReadonlyMap<string, RemoteBacking>): void {
    this.#remotes = remotes
  }

  async makeRunDir(): Promise<void> {
    await mkdir(this.runDir, { recursive: true, mode: 0o700 })
  }

  get process(): QemuProcess | null {
    return this.#process
  }

  /** @throws guest.wrong_state when it does not run (nor stand paused) */
  requireProcess(wanted: string): QemuProcess {
    if (this.#process === null) throw this.wrongState(wanted)
    return this.#process
  }

  wrongState(wanted: string): Error {
    return fail('guest.wrong_state', { name: this.name, state: guestStateWord(this.#state), wanted })
  }

  /** Does one thing at a time with this guest. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    return this.#queue.run(work)
  }

  view(): Guest {
    const { definition } = this.#record
    return {
      id: definition.id,
      name: definition.name,
      dockId: this.#env.dockId,
      homeDockId: this.#record.homeDockId,
      state: this.#state,
      operationId: this.#operationId,
      cores: definition.cores,
      maxCores: definition.maxCores,
      memoryBytes: definition.memoryBytes,
      maxMemoryBytes: definition.maxMemoryBytes,
      diskBytes: definition.disks.reduce((sum, disk) => sum + disk.virtualSizeBytes, 0),
      diskUsedBytes: this.#diskUsedBytes,
      machine: definition.machine,
      cpuModel: definition.cpuModel,
      accelerator: this.#accelerator ?? { kind: definition.accelerator, sentence: '' },
      network: definition.network,
      bootKind: definition.boot.kind,
      createdAtMs: this.#record.createdAtMs,
      bootedAtMs: this.#record.bootedAtMs,
      pictureRevision: this.#pictureRevision,
    }
  }

  publish(): void {
    if (!this.#retired) this.#env.publish(this.view())
  }

  /** It stands here no more: what is still on its way to be told about it is not told. */
  retire(): void {
    this.#retired = true
  }

  setState(state: GuestState): void {
    this.#state = state
    this.publish()
  }

  /**
   * Names the operation that holds this guest; while a migration does, QEMU's stops and resumes are its own.
   * @param isUsable it runs here meanwhile, for people to use
   */
  setOperation(operationId: string | null, isUsable = false): void {
    this.#operationId = operationId
    this.#held = operationId !== null && !isUsable
    this.publish()
  }

  setPictureRevision(revision: number): void {
    this.#pictureRevision = revision
    this.publish()
  }

  async changeRecord(change: Partial<GuestRecord>): Promise<void> {
    const record = { ...this.#record, ...change }
    await writeGuestRecord(this.folder, record)
    this.#record = record
    this.publish()
  }

  /** Its disks as files: the top layers, and what is below each, bottom first. */
  get diskFiles(): GuestDiskFiles[] {
    return diskFilesOf(this.definition, this.folder, this.#env.layers)
  }

  topPath(nodeName: string): string {
    const disk = this.definition.disks.find((each) => each.nodeName === nodeName)
    if (disk === undefined) throw fail('host.bad_input', { why: `there is no disk ${nodeName}` })
    return topPath(this, disk)
  }

  /** Measures what its disks take on this dock. */
  async refreshDiskUse(): Promise<void> {
    const paths = this.diskFiles.flatMap((disk) => [disk.topPath, ...disk.layerPaths])
    const sizes = await Promise.all(paths.map((path) => allocatedBytes(path)))
    this.#diskUsedBytes = sizes.reduce((sum, size) => sum + size, 0)
    this.#accelerator = (await this.#env.machine.capabilities()).accelerator
    this.publish()
  }

  /** What its top layers take now, in bytes. */
  async topBytes(): Promise<number> {
    const sizes = await Promise.all(
      this.definition.disks.map((d) => allocatedBytes(this.topPath(d.nodeName))),
    )
    return sizes.reduce((sum, size) => sum + size, 0)
  }

  /**
   * Starts QEMU for this guest; an incoming one waits for its migration. @param lateMemory it may run before all of that
   * has come @throws qemu.*, disk.*, guest.too_big
   */
  async launch(incoming: boolean, lateMemory = false): Promise<QemuProcess> {
    this.#assertHasDisks()
    await this.#env.machine.memory.assertRoom(this.definition)
    // What it wrote while a checkpoint was read, if its QEMU died then.
    const recovered = await recoverOverlays(this.diskFiles)
    if (recovered > 0)
      this.#env.log.info('writes were brought back into disks', { guestId: this.id, recovered })
    const spec = await launchSpec(this.#env, this.definition, this, incoming)
    await this.makeRunDir()
    const process = await this.#qemu.launch({ ...spec, lateMemory }, { log: this.#env.log })
    this.attach(process)
    return process
  }

  /** What has not arrived must be served while QEMU runs. @throws restore.unfinished */
  #assertHasDisks(): void {
    const missing = this.#record.restore?.disks ?? []
    if (missing.every((nodeName) => this.#remotes.has(nodeName))) return
    throw fail('restore.unfinished', { name: this.name })
  }

  /** Follows a QEMU process from now on. */
  attach(process: QemuProcess): void {
    this.#process = process
    process.qmp.onEvent((event) => this.#onEvent(process, event))
    process.onExit((exit) => this.#onExit(process, exit))
  }

  /** Finds the QEMU that an earlier host started. @returns whether there is one */
  async adopt(): Promise<boolean> {
    const process = await this.#qemu.adopt(socketPaths(this.runDir).runFile)
    if (process === null) return false
    this.attach(process)
    await this.#settleCheckpoint(process)
    await this.readStatus()
    return true
  }

  /** A host that died while it took a checkpoint left the guest standing still, or its disks frozen. */
  async #settleCheckpoint({ qmp }: QemuProcess): Promise<void> {
    const { log } = this.#env
    try {
      const found = await settleMemoryCapture(qmp)
      if (found) log.info('a checkpoint that was broken off was cleaned up', { guestId: this.id })
    } catch (error) {
      log.error('a checkpoint that was broken off was not cleaned up', { guestId: this.id, error })
    }
    // Copying back what it wrote since takes a while, and the guest runs on meanwhile.
    this.thaw().catch((error: unknown) => log.error('disks stay frozen for now', { guestId: this.id, error }))
  }

  /**
   * Gives it back the disks that a checkpoint froze; does nothing where none did. The guest runs on meanwhile.
   * @throws disk.thaw_failed: it runs on, with the overlays; guest.wrong_state, qemu.gone, qemu.silent
   */
  thaw(): Promise<void> {
    const { qmp } = this.requireProcess('given its disks back')
    if (this.definition.disks.length === 0) return Promise.resolve()
    this.#thawing ??= thawDisks(qmp, this.diskFiles).finally(() => {
      this.#thawing = null
    })
    return this.#thawing
  }

  /** Asks QEMU whether the guest runs, and if not why, and shows it. */
  async readStatus(): Promise<void> {
    if (this.#process !== null) this.setState(await this.#askState(this.#process))
  }

  async #askState({ qmp }: QemuProcess): Promise<GuestState> {
    const { running, status } = await queryStatus(qmp)
    if (running) return { kind: 'running' }
    const isFull = status === 'io-error' && (await isOutOfSpace(qmp))
    return isFull
      ? { kind: 'paused', reason: fail('guest.disk_full', { name: this.name }).toJSON() }
      : { kind: 'paused' }
  }

  async start(): Promise<void> {
    if (this.#process !== null) throw this.wrongState('started')
    await this.#env.machine.require()
    this.setState({ kind: 'starting' })
    try {
      const definition = await adaptedForColdStart(this.#env, this.definition)
      if (definition !== this.definition) await this.changeRecord({ definition })
      await this.launch(false)
      await this.changeRecord({ bootedAtMs: this.#env.clock.nowMs() })
      this.setState({ kind: 'running' })
    } catch (thrown) {
      const error = toWdockError(thrown)
      // A guest whose start cannot be recorded must not run unseen.
      await this.discardProcess()
      this.setState(
        error.code === 'guest.too_big' ? { kind: 'stopped' } : { kind: 'failed', error: error.toJSON() },
      )
      throw error
    }
    void this.refreshDiskUse()
  }

  async pause(): Promise<void> {
    if (this.#state.kind !== 'running') throw this.wrongState('paused')
    await pause(this.requireProcess('paused').qmp)
    this.setState({ kind: 'paused' })
  }

  async resume(): Promise<void> {
    if (this.#state.kind !== 'paused') throw this.wrongState('resumed')
    const process = this.requireProcess('resumed')
    await resume(process.qmp)
    void setGuestClock(this.definition, process, this.#env)
    // What stopped it may do so again at once.
    await this.readStatus()
  }

  async shutDown(): Promise<void> {
    if (this.#state.kind !== 'running' && this.#state.kind !== 'shutting-down')
      throw this.wrongState('shut down')
    await sendPowerButton(this.requireProcess('shut down').qmp)
    this.setState({ kind: 'shutting-down' })
  }

  async forceOff(): Promise<void> {
    await this.requireProcess('forced off').quit({ graceMs: forceOffGraceMs })
    await this.#markStopped({ kind: 'stopped' })
  }

  /** Ends QEMU and forgets it, without a word about the state: for a migration that ended here. */
  async discardProcess(): Promise<void> {
    const process = this.#process
    this.#process = null
    if (process !== null) await process.quit({ graceMs: 1000 })
    // One that could not be adopted, or was being started when the host died.
    else await this.#qemu.killRecorded(socketPaths(this.runDir).runFile).catch(() => false)
    await removeRunFiles(this.runDir).catch(() => undefined)
  }

  /** Lets QEMU run on without this host. */
  release(): void {
    this.#process?.release()
  }

  #onEvent(process: QemuProcess, event: QmpEvent): void {
    if (process !== this.#process || this.#held) return
    if (event.name === 'STOP' && this.#state.kind === 'running') {
      this.setState({ kind: 'paused' })
      void this.#explainStop(process)
    }
    if (event.name === 'RESUME' && this.#state.kind === 'paused') this.setState({ kind: 'running' })
    if (event.name === 'POWERDOWN' && this.#state.kind === 'running') this.setState({ kind: 'shutting-down' })
  }

  /** A person paused it, or QEMU did, as the disk of this PC is full. */
  async #explainStop(process: QemuProcess): Promise<void> {
    try {
      const state = await this.#askState(process)
      const isOurs = process === this.#process && !this.#held
      if (isOurs && (this.#state.kind === 'paused' || this.#state.kind === 'running')) this.setState(state)
    } catch (error) {
      this.#env.log.warn('QEMU did not say why a guest stands still', { guestId: this.id, error })
    }
  }

  #onExit(process: QemuProcess, exit: QemuExit): void {
    if (process !== this.#process) return
    const wanted = exit.shutdownReason !== null
    this.#env.log.info('qemu ended', { guestId: this.id, reason: exit.shutdownReason, code: exit.code })
    const state: GuestState = wanted
      ? { kind: 'stopped' }
      : { kind: 'failed', error: fail('qemu.gone', {}, { detail: exit.stderrTail }).toJSON() }
    void this.#markStopped(state)
  }

  async #markStopped(state: GuestState): Promise<void> {
    this.#process = null
    if (this.#state.kind === 'arriving' || this.#state.kind === 'unsettled') return
    this.setState(state)
    await this.changeRecord({ bootedAtMs: null }).catch((error: unknown) => {
      this.#env.log.error('a guest record was not written', { guestId: this.id, error })
    })
    await this.refreshDiskUse()
  }
}

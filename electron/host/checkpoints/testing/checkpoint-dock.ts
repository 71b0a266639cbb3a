/**
 * One host as far as checkpoints go, over simulated QEMUs and a vault in memory, to be killed and started again. Time
 * passes only when a test says so.
 */
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { GuestDefinition } from '../../../../shared/models/guest-definition.ts'
import { defaultSettings, emptyHostState, type HostState } from '../../../../shared/models/host-state.ts'
import type { Operation } from '../../../../shared/models/operation.ts'
import { LayerStore } from '../../../disk/layers.ts'
import type { Clock } from '../../../platform/clock.ts'
import { silentLog } from '../../../platform/log.ts'
import { systemRandom } from '../../../platform/random.ts'
import { demoGuestDir } from '../../../qemu/test-guests.ts'
import { KeyStore } from '../../../vault/key-store.ts'
import { fakeMachine, modelGuest } from '../../docking/testing/fake-machine.ts'
import { FakeQemu } from '../../docking/testing/fake-qemu.ts'
import { BootFileStore } from '../../guests/boot-files.ts'
import type { QemuControl } from '../../guests/guest-environment.ts'
import { writeGuestRecord } from '../../guests/guest-record.ts'
import { Guests } from '../../guests/guests.ts'
import type { LocalGuest } from '../../guests/local-guest.ts'
import { Machine } from '../../machine.ts'
import { Operations } from '../../operations.ts'
import type { Pictures } from '../../pictures.ts'
import { StateStore } from '../../state-store.ts'
import { Checkpoints } from '../checkpoints.ts'
import { RuleBook } from '../rules.ts'
import { FakeVaults } from './fake-vault.ts'

const dockId = 'a'.repeat(52)

/** Sleeps end when the time they wait for has come, and that is moved by hand. */
export class HandClock implements Clock {
  #nowMs = 1_000_000_000_000
  readonly #sleepers = new Set<{ atMs: number; wake: () => void }>()

  nowMs(): number {
    return this.#nowMs
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  async sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    await new Promise<void>((resolve, reject) => {
      const sleeper = { atMs: this.#nowMs + durationMs, wake: resolve }
      this.#sleepers.add(sleeper)
      const onAbort = (): void => {
        this.#sleepers.delete(sleeper)
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** Lets time pass, and everything run that waited for it. */
  async pass(durationMs: number): Promise<void> {
    const endMs = this.#nowMs + durationMs
    for (;;) {
      const due = [...this.#sleepers].filter(({ atMs }) => atMs <= endMs)
      const next = due.toSorted((a, b) => a.atMs - b.atMs)[0]
      if (next === undefined) break
      this.#sleepers.delete(next)
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      next.wake()
      await settle()
    }
    this.#nowMs = endMs
    await settle()
  }
}

/** Lets what is ready run. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}

/** Waits, in real time, until something holds. */
export async function until(holds: () => boolean, what = 'it', withinMs = 3000): Promise<void> {
  for (const endMs = performance.now() + withinMs; !holds(); ) {
    if (performance.now() > endMs) throw new Error(`${what} did not come`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

interface Life {
  store: StateStore
  guests: Guests
  operations: Operations
  checkpoints: Checkpoints
}

export class CheckpointDock {
  readonly folder: string
  readonly isReal: boolean
  readonly vaults = new FakeVaults()
  readonly clock = new HandClock()
  readonly qemus: FakeQemu[] = []
  guestId: string = systemRandom.uuid()
  readonly place: { kind: 'folder'; path: string }
  #life: Life | null = null
  /** Of the life that is on; a dead host gets no answers. */
  #frozen = { is: false }

  private constructor(folder: string, isReal: boolean) {
    this.folder = folder
    this.isReal = isReal
    this.place = { kind: 'folder', path: join(folder, 'store') }
  }

  static async create(definition: Partial<GuestDefinition> = {}): Promise<CheckpointDock> {
    const dock = await CheckpointDock.empty(false)
    const record = modelGuest(dock.guestId, dockId)
    await writeGuestRecord(join(dock.paths.data, 'guests', dock.guestId), {
      ...record,
      definition: { ...record.definition, ...definition },
    })
    await dock.start()
    return dock
  }

  /** Without a guest. @param isReal with the QEMU of this PC */
  static async empty(isReal: boolean): Promise<CheckpointDock> {
    // In memory where there is room: a synced write costs nothing there.
    const root = !isReal && existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
    return new CheckpointDock(await mkdtemp(join(root, 'wc-')), isReal)
  }

  get paths() {
    const { folder } = this
    return { data: join(folder, 'd'), config: join(folder, 'c'), cache: join(folder, 'h') }
  }

  get life(): Life {
    if (this.#life === null) throw new Error('the host is down')
    return this.#life
  }

  get state(): HostState {
    return this.life.store.state
  }

  get guest(): LocalGuest {
    return this.life.guests.get(this.guestId)
  }

  get qemu(): FakeQemu {
    const found = this.qemus.find((each) => each.alive)
    if (found === undefined) throw new Error('no QEMU runs')
    return found
  }

  operation(id: string): Operation | undefined {
    return this.state.operations.find((each) => each.id === id)
  }

  async start(): Promise<void> {
    for (const path of Object.values(this.paths)) await mkdir(path, { recursive: true })
    this.#frozen = { is: false }
    const rules = await RuleBook.open(this.paths.data, silentLog)
    this.#life = await startLife(this, this.#frozen, rules)
    await this.life.checkpoints.start()
  }

  /** With a vault, and the guest running. */
  async ready(): Promise<this> {
    await this.life.checkpoints.desk.create(this.place)
    await this.life.guests.act(this.guestId, 'start')
    return this
  }

  /** SIGKILL of the host: its QEMUs and the store live on. */
  kill(): void {
    this.#frozen.is = true
    const { checkpoints, guests } = this.life
    // A dead host holds no connection; simulated ones are frozen instead.
    if (this.isReal) guests.release()
    this.#life = null
    void checkpoints.close()
  }

  async destroy(): Promise<void> {
    if (this.#life !== null) {
      await this.life.operations.stopAll(10)
      await this.life.checkpoints.close()
      if (this.isReal) for (const guest of this.life.guests.list()) await guest.discardProcess()
    }
    this.#frozen.is = true
    for (const qemu of this.qemus) qemu.kill()
    await settle()
    await rm(this.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 })
  }
}

async function startLife(dock: CheckpointDock, frozen: { is: boolean }, rules: RuleBook): Promise<Life> {
  const { paths, clock, vaults, folder } = dock
  const { data: dataDir } = paths
  const random = systemRandom
  const log = silentLog
  const layers = new LayerStore(dataDir)
  const bootFiles = new BootFileStore(dataDir, random)
  const store = new StateStore(emptyState(rules))
  const operations = new Operations(store, clock, log)
  const machine = dock.isReal ? realMachine(paths) : fakeMachine()
  const env = {
    ...{ dockId, dataDir, runtimeDir: join(folder, 'r'), layers, bootFiles, machine, clock, log },
    ...(dock.isReal ? {} : { qemu: controlOf(dock, frozen) }),
    publish: (guest: HostState['guests'][number]) => store.apply({ type: 'guest.changed', guest }),
  }
  const guests = new Guests({ env, creation: { env, random, demoGuestDir }, operations, store, log })
  await guests.load()
  const pictures = { get: async () => null } as unknown as Pictures
  const keys = new KeyStore(paths.config, async () => ({ code: 1, stdout: '' }))
  const checkpoints = new Checkpoints({
    ...{ paths, guests, operations, machine, bootFiles, pictures, rules, store, clock, random, log, keys },
    connect: vaults.connect,
    dock: { id: dockId, name: () => 'This PC' },
  })
  return { store, guests, operations, checkpoints }
}

function realMachine({ data: dataDir, cache: cacheDir }: CheckpointDock['paths']): Machine {
  return new Machine({ cacheDir, dataDir, appVersion: 'test', log: silentLog, otherDocks: () => [] })
}

/** QEMUs outlive hosts. */
function controlOf({ qemus, clock }: CheckpointDock, frozen: { is: boolean }): QemuControl {
  const isFrozen = (): boolean => frozen.is
  return {
    launch: async (spec) => {
      const qemu = new FakeQemu(
        spec,
        () => {},
        () => {},
      )
      qemu.nowMs = () => clock.nowMs()
      qemus.push(qemu)
      const process = await qemu.attach(isFrozen)
      await process.qmp.execute('cont')
      return process
    },
    adopt: async (runFile) => {
      const found = qemus.find((each) => each.alive && each.dir === dirname(runFile))
      return found === undefined ? null : await found.attach(isFrozen)
    },
    killRecorded: async () => false,
  }
}

function emptyState(rules: RuleBook): HostState {
  const info = {
    ...{ dockId, appVersion: 'model', dataDir: '', port: 0, addresses: [] },
    ...{ secretsSentence: '', demoGuestAvailable: false, isDemo: false },
  }
  const empty = emptyHostState(info, defaultSettings('This PC'))
  return { ...empty, checkpointRules: rules.changed }
}

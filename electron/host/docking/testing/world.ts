/**
 * Two whole hosts, but for their network and their QEMUs, in one process, to be killed, cut off and restarted at any
 * step. Promises to notice every moment at which one guest runs twice. A host that is killed is frozen: nothing
 * it still does is heard, and the next one starts from a copy of its data as it was at that instant.
 */
import { cpSync, existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { defaultSettings, emptyHostState, type HostState } from '../../../../shared/models/host-state.ts'
import { LayerStore } from '../../../disk/layers.ts'
import type { Clock } from '../../../platform/clock.ts'
import { silentLog } from '../../../platform/log.ts'
import { systemRandom } from '../../../platform/random.ts'
import { BootFileStore } from '../../guests/boot-files.ts'
import type { QemuControl } from '../../guests/guest-environment.ts'
import { writeGuestRecord } from '../../guests/guest-record.ts'
import { Guests } from '../../guests/guests.ts'
import { hasEnded, Operations } from '../../operations.ts'
import { PeerCalls } from '../../peer-calls.ts'
import { StateStore } from '../../state-store.ts'
import { Docking } from '../docking.ts'
import { MigrationHistory } from '../history.ts'
import { LinkRates } from '../link-rates.ts'
import { fakeMachine, modelGuest } from './fake-machine.ts'
import { FakeLink, FakeNet } from './fake-net.ts'
import { FakeQemu } from './fake-qemu.ts'

/** Waits are short: what takes a second in life takes milliseconds here. */
const quickClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (durationMs) => new Promise((resolve) => setTimeout(resolve, Math.min(durationMs, 3))),
}

export class World {
  readonly link = new FakeLink()
  readonly qemus: FakeQemu[] = []
  readonly folder: string
  readonly guestId: string = systemRandom.uuid()
  readonly a: ModelDock
  readonly b: ModelDock
  /** What happened, to read when a case fails. */
  readonly story: string[] = []
  steps = 0
  ranTwice = false
  isOver = false
  /** The step at which everything had arrived, once it had. */
  loadedAtStep: number | null = null
  /** Called at every step with its number. */
  onStep: (step: number) => void = () => undefined

  private constructor(folder: string) {
    this.folder = folder
    this.a = new ModelDock(this, 'Laptop', 'a'.repeat(52))
    this.b = new ModelDock(this, 'Tower', 'b'.repeat(52))
    this.link.onStep = (what) => this.step(what)
  }

  /** Two docks that are joined; the guest is on `a`, running or paused. */
  static async create(options: { running: boolean }): Promise<World> {
    const world = new World(await mkdtemp(join(quickFolder(), 'wm-')))
    const record = modelGuest(world.guestId, world.a.id)
    await writeGuestRecord(join(world.a.dataDir, 'guests', world.guestId), record)
    await world.a.start()
    await world.b.start()
    world.link.raise()
    await world.a.guests.act(world.guestId, 'start')
    if (!options.running) await world.a.guests.act(world.guestId, 'pause')
    world.story.length = 0
    world.steps = 0
    return world
  }

  step(what: string): void {
    this.steps += 1
    if (what === 'point loaded') this.loadedAtStep ??= this.steps
    this.story.push(`${this.steps} ${what}`)
    this.onStep(this.steps)
  }

  watch(): void {
    const running = this.qemus.filter((qemu) => qemu.running)
    if (running.length > 1) this.ranTwice = true
    this.story.push(`  qemus: ${this.qemus.map((qemu) => (qemu.alive ? qemu.state : 'dead')).join(' ')}`)
  }

  /** Brings everything up and lets the docks meet until nothing is open. @returns false when that never came */
  async heal(withinMs = 6000): Promise<boolean> {
    this.onStep = () => undefined
    const endMs = performance.now() + withinMs
    for (const dock of [this.a, this.b]) await dock.start()
    this.link.raise()
    for (let round = 1; ; round += 1) {
      await pause(10)
      if (await this.isSettled()) return true
      if (performance.now() > endMs) return false
      if (round % 15 === 0) {
        this.link.cut()
        this.link.raise()
      }
    }
  }

  /** Some host that is up works on a move of its own. */
  get isMoving(): boolean {
    return [this.a, this.b].some(
      (dock) =>
        dock.isUp &&
        dock.store.state.operations.some(
          ({ work, state }) =>
            work.kind === 'migration' &&
            work.fromDockId === dock.id &&
            (state.kind === 'running' || state.kind === 'cancelling'),
        ),
    )
  }

  async isSettled(): Promise<boolean> {
    for (const dock of [this.a, this.b]) {
      if (dock.store.state.operations.some((operation) => !hasEnded(operation))) return false
      if ((await dock.journals()).length > 0) return false
      for (const guest of dock.guests.list()) {
        if (['unsettled', 'arriving', 'starting'].includes(guest.state.kind)) return false
        if (guest.view().operationId !== null) return false
      }
    }
    return this.untruths().length === 0
  }

  /** What a dock says of the move, in its history or on its screen, that is not so. */
  untruths(): string[] {
    const moved = this.b.guests.find(this.guestId) !== null
    return [this.a, this.b].flatMap(({ name, store }) => {
      const told = [
        ...store.state.migrations.map(({ outcome }) => ['history', outcome] as const),
        ...store.state.operations.map(({ state }) => ['screen', state] as const),
      ]
      return told
        .filter(([, told]) => (told.kind === 'done') !== moved || JSON.stringify(told).includes('unsettled'))
        .map(([where, told]) => `${where} of ${name}: ${told.kind}`)
    })
  }

  async destroy(): Promise<void> {
    this.onStep = () => undefined
    this.isOver = true
    await Promise.all([this.a.started(), this.b.started()])
    for (const dock of [this.a, this.b]) dock.kill()
    for (const qemu of this.qemus) qemu.kill()
    await pause(5)
    // What a dead host was about to write may still appear.
    await rm(this.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 })
  }
}

/** In memory where there is room in memory: a synced write costs nothing there. */
function quickFolder(): string {
  return existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
}

export class ModelDock {
  readonly id: string
  readonly name: string
  readonly #world: World
  #life = 0
  #host: Host | null = null
  #starting: Promise<void> | null = null

  constructor(world: World, name: string, id: string) {
    this.#world = world
    this.name = name
    this.id = id
  }

  get dataDir(): string {
    return join(this.#world.folder, this.name, `life-${this.#life}`)
  }

  get runtimeDir(): string {
    return join(this.#world.folder, this.name[0] ?? '')
  }

  get isUp(): boolean {
    return this.#host !== null
  }

  get docking(): Docking {
    return this.#require().docking
  }

  get guests(): Guests {
    return this.#require().guests
  }

  get store(): StateStore {
    return this.#require().store
  }

  /** Starts it unless it is up, or joins the start that is going on. */
  async start(): Promise<void> {
    if (this.#host !== null || this.#world.isOver) return
    this.#starting ??= this.#start().finally(() => {
      this.#starting = null
    })
    await this.#starting
  }

  async #start(): Promise<void> {
    await mkdir(this.dataDir, { recursive: true })
    const host = await startModelHost(this.#world, this)
    this.#host = host
    host.showPeer(this.#world.link.isUp)
  }

  /** Resolves when no start is going on. */
  async started(): Promise<void> {
    await this.#starting?.catch(() => undefined)
  }

  /** SIGKILL of the host; its QEMUs live on. */
  kill(): void {
    const host = this.#host
    if (host === null) return
    this.#world.story.push(`  ${this.name} is killed`)
    host.net.frozen = true
    this.#host = null
    const left = this.dataDir
    this.#life += 1
    cpSync(left, this.dataDir, { recursive: true })
    this.#world.link.cut()
  }

  async journals(): Promise<string[]> {
    return await readdir(join(this.dataDir, 'journal')).catch(() => [])
  }

  async trashed(): Promise<string[]> {
    return await readdir(join(this.dataDir, 'trash')).catch(() => [])
  }

  /** On its way here, and not committed. */
  isArriving(guestId: string): boolean {
    const state = this.#host?.guests.find(guestId)?.state.kind
    return (state === 'arriving' || state === 'unsettled') && this.qemus().every((qemu) => !qemu.running)
  }

  /** The QEMUs of this dock that live. */
  qemus(): FakeQemu[] {
    return this.#world.qemus.filter((qemu) => qemu.alive && dirname(dirname(qemu.dir)) === this.runtimeDir)
  }

  #require(): Host {
    if (this.#host === null) throw new Error(`${this.name} is down`)
    return this.#host
  }
}

interface Host {
  net: FakeNet
  docking: Docking
  guests: Guests
  store: StateStore
  showPeer(online: boolean): void
}

async function startModelHost(world: World, dock: ModelDock): Promise<Host> {
  const { dataDir, runtimeDir } = dock
  const net = new FakeNet(world.link, dock.id, dock.name)
  const calls = new PeerCalls(net)
  const common = { machine: fakeMachine(), clock: quickClock, log: silentLog }
  const random = systemRandom
  const layers = new LayerStore(dataDir)
  const bootFiles = new BootFileStore(dataDir, random)
  const history = await MigrationHistory.open(dataDir)
  const store = new StateStore({ ...emptyState(dock), migrations: history.records })
  const operations = new Operations(store, quickClock, silentLog)
  const env = {
    ...common,
    dockId: dock.id,
    dataDir,
    runtimeDir,
    layers,
    bootFiles,
    qemu: controlOf(world, net),
    publish: (guest: HostState['guests'][number]) => store.apply({ type: 'guest.changed', guest }),
  }
  const creation = { env, random, demoGuestDir: null }
  const guests = new Guests({ env, creation, operations, store, log: silentLog })
  await guests.load()
  history.feed(store)
  const at = async (point: string): Promise<void> => {
    world.step(`point ${point}`)
    // What goes on beside the move gets ahead of it, or does not: both happen in life.
    await pause(2)
    world.step(`past ${point}`)
  }
  const journalDir = join(dataDir, 'journal')
  const parts = {
    ...common,
    calls,
    guests,
    layers,
    bootFiles,
    operations,
    store,
    random,
    dataDir,
    journalDir,
    visits: null,
    acceptWarm: null,
    rates: new LinkRates(calls, quickClock),
  }
  const docking = new Docking({ ...parts, faults: { at }, beforeMove: null }, history)
  const showPeer = (online: boolean): void => {
    for (const peer of net.peers()) store.apply({ type: 'dock.changed', dock: shown(peer, online) })
  }
  net.onOnline(() => showPeer(true))
  net.onOffline(() => showPeer(false))
  world.link.join(net)
  await docking.start()
  return { net, docking, guests, store, showPeer }
}

/** QEMUs live in the world, whatever becomes of hosts. A host that was killed gets no answer any more. */
function controlOf(world: World, net: FakeNet): QemuControl {
  const frozen = (): boolean => net.frozen
  const never = async (): Promise<void> => {
    if (net.frozen) await new Promise(() => undefined)
  }
  return {
    launch: async (spec) => {
      await never()
      world.step('qemu is launched')
      await pause(1)
      await never()
      const qemu = new FakeQemu(
        spec,
        () => world.watch(),
        () => world.step('qmp'),
      )
      world.qemus.push(qemu)
      const process = await qemu.attach(frozen)
      if (!spec.incoming) await process.qmp.execute('cont')
      return process
    },
    adopt: async (runFile) => {
      const qemu = world.qemus.find((each) => each.alive && each.dir === dirname(runFile))
      return qemu === undefined ? null : await qemu.attach(frozen)
    },
    killRecorded: async (runFile) => {
      await never()
      const left = world.qemus.filter((each) => each.alive && each.dir === dirname(runFile))
      for (const qemu of left) qemu.kill()
      return left.length > 0
    },
  }
}

function shown(peer: { id: string; name: string }, online: boolean): HostState['docks'][number] {
  const presence = online ? ({ kind: 'online' } as const) : ({ kind: 'offline', lastSeenAtMs: null } as const)
  const rest = { paired: true, address: null, linkRttMs: null, keepsReady: false, capabilities: null }
  return { id: peer.id, name: peer.name, presence, ...rest }
}

function emptyState(dock: ModelDock): HostState {
  const { id: dockId, name: dockName, dataDir } = dock
  const more = { demoGuestAvailable: false, isDemo: false, addresses: [], secretsSentence: '' }
  return emptyHostState({ dockId, appVersion: 'model', dataDir, port: 0, ...more }, defaultSettings(dockName))
}

export function pause(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs))
}

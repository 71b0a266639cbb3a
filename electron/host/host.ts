/**
 * The host: owns the truth of this dock and offers it through the contract. This is its composition root, to be
 * read from top to bottom; what is acquired first is released last. Relies on one data folder that no other host
 * uses. Ending it never ends a guest.
 */
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import type { ContractHandlers } from '../../shared/contract-handlers.ts'
import type { DockCapabilities } from '../../shared/models/dock.ts'
import type { Guest } from '../../shared/models/guest.ts'
import { emptyHostState, type HostState } from '../../shared/models/host-state.ts'
import { LayerStore } from '../disk/layers.ts'
import { DockNet, discoveryFromEnvironment } from '../docks/dock-net.ts'
import { KeptStore } from '../pages/kept/kept-store.ts'
import { systemClock } from '../platform/clock.ts'
import { Disposer } from '../platform/dispose.ts'
import { freeBytes } from '../platform/free-space.ts'
import { acquireHostLock } from '../platform/host-lock.ts'
import { createLog, type Log } from '../platform/log.ts'
import { type Environment, type Paths, resolvePaths } from '../platform/paths.ts'
import { systemRandom } from '../platform/random.ts'
import { SleepWatch, sleepDelayMs } from '../platform/sleep-watch.ts'
import { KeyStore } from '../vault/key-store.ts'
import { startVaultThread } from '../vault/service/vault-thread.ts'
import { Checkpoints, type CheckpointsOptions, vaultFolders } from './checkpoints/checkpoints.ts'
import { Lending, lendingHandlers, restoreHandler } from './checkpoints/lending.ts'
import { readPower } from './checkpoints/power.ts'
import { Rehearsals } from './checkpoints/rehearsals.ts'
import { clearRehearsal, rehearse } from './checkpoints/rehearse.ts'
import { Restores } from './checkpoints/restore.ts'
import { RuleBook } from './checkpoints/rules.ts'
import { Docking } from './docking/docking.ts'
import type { Faults } from './docking/faults.ts'
import { MigrationHistory } from './docking/history.ts'
import { KeptMemory, type KeptMemoryOptions } from './docking/kept-memory.ts'
import { LinkRates } from './docking/link-rates.ts'
import type { DockingParts } from './docking/parts.ts'
import { Visits } from './docking/visits.ts'
import { Economy } from './docking/warm/economy.ts'
import { WarmArrivals } from './docking/warm/warm-arrivals.ts'
import { WarmBook } from './docking/warm/warm-book.ts'
import { WarmDocks } from './docking/warm/warm-docks.ts'
import { WarmFiles } from './docking/warm/warm-files.ts'
import { BootFileStore } from './guests/boot-files.ts'
import { demoAvailable } from './guests/guest-creation.ts'
import { Guests } from './guests/guests.ts'
import type { LocalGuest } from './guests/local-guest.ts'
import { Trash } from './guests/trash.ts'
import { Machine } from './machine.ts'
import { capabilitiesInSight, Neighbours } from './neighbours.ts'
import { Operations, type RunningOperation } from './operations.ts'
import { PeerCalls } from './peer-calls.ts'
import { Pictures } from './pictures.ts'
import { Screens } from './screens.ts'
import { hostHandlers } from './service.ts'
import { Settings } from './settings.ts'
import { StateStore } from './state-store.ts'

export interface HostOptions {
  env: Environment
  appVersion: string
  /** Where the demo guest was built; null where there is none. */
  demoGuestDir?: string | null
  /** For tests alone: where a move stops and waits. */
  faults?: Faults | null
}

export interface RunningHost {
  readonly service: ContractHandlers & { readonly screens: { connect(ticket: string): Promise<Duplex> } }
  readonly paths: Paths
  readonly log: Log
  /** To be called when the PC is about to sleep: makes the checkpoints that are wanted then, `withinMs` at most. */
  beforeSleep(withinMs: number): Promise<void>
  /**
   * To be called before `stop`, while everything still works: makes the checkpoints that are wanted then, and waits for
   * the memory of guests that are being restored, which would be lost with it.
   */
  beforeStop(withinMs: number): Promise<void>
  /** Lets go of everything; guests run on. */
  stop(): Promise<void>
}

/** A store that does not answer for so long is not waited for any longer when the host is to end. */
const longestArrivalMs = 600_000
/** How often it is seen whether a disk has got short. */
const giveWayEveryMs = 60_000

/** @throws host.already_running, host.port_in_use, host.state_unreadable, host.no_permission */
export async function startHost(options: HostOptions): Promise<RunningHost> {
  const paths = resolvePaths(options.env)
  const cleanup = new Disposer()
  try {
    cleanup.add('release the lock', await acquireHostLock(join(paths.data, 'host.lock')))
    const log = createLog({ path: join(paths.data, 'host.log') })
    cleanup.add('write the log', () => log.flush())
    const { service, checkpoints, restores } = await compose(options, paths, log, cleanup)
    const { automatic } = checkpoints
    const stop = async (): Promise<void> => {
      log.info('host stopping')
      for (const { name, error } of await cleanup.run()) log.error('stopping failed', { step: name, error })
    }
    const beforeSleep = (withinMs: number): Promise<void> => automatic.beforeSleep(withinMs)
    const beforeStop = async (withinMs: number): Promise<void> => {
      await Promise.all([automatic.onQuit(withinMs), restores.memoryArrived(longestArrivalMs)])
    }
    return { service, paths, log, beforeSleep, beforeStop, stop }
  } catch (error) {
    await cleanup.run()
    throw error
  }
}

async function compose(
  { env, appVersion, demoGuestDir = null, faults = null }: HostOptions,
  paths: Paths,
  log: Log,
  cleanup: Disposer,
): Promise<{ service: RunningHost['service']; checkpoints: Checkpoints; restores: Restores }> {
  const clock = systemClock
  const random = systemRandom
  const dataDir = paths.data
  const settings = await Settings.open(paths.config, overridesFrom(env))
  const history = await MigrationHistory.open(dataDir)
  const net = await openNet(env, { settings, paths, log, appVersion })
  cleanup.add('close the channels', () => net.close())
  const calls = new PeerCalls(net)
  const otherDocks = (): DockCapabilities[] => capabilitiesInSight(store.state.docks)
  const machine = new Machine({ cacheDir: paths.cache, dataDir, appVersion, log, otherDocks })
  const layers = new LayerStore(dataDir)
  const bootFiles = new BootFileStore(dataDir, random)
  const facts = {
    appVersion,
    isDemo: env.WDOCK_DEMO === '1',
    demoGuestAvailable: await demoAvailable(demoGuestDir),
  }
  const rules = await RuleBook.open(dataDir, log)
  const store = new StateStore(firstState(net, settings, { history, rules }, paths, facts))
  cleanup.add('end the watchers', () => store.close())
  history.feed(store)
  const operations = new Operations(store, clock, log)
  const publish = (guest: Guest): void => store.apply({ type: 'guest.changed', guest })
  const runtimeDir = paths.runtime
  const shared = { dockId: net.id, dataDir, runtimeDir, layers, bootFiles, machine, clock, log, publish }
  const guests = new Guests({
    env: shared,
    creation: { env: shared, random, demoGuestDir },
    operations,
    store,
    log,
  })
  cleanup.add('let go of the guests', () => guests.release())
  const deleted = await guests.load()
  const pictures = new Pictures(guests, calls)
  const parts = { calls, guests, machine, layers, bootFiles, operations, store, clock, random, log, faults }
  const kept = composeCheckpoints({ ...parts, pictures, rules, paths, net }, cleanup)
  const { docking, keptMemory, warmDocks } = await composeDocking(
    { ...parts, net, history, settings, paths, beforeMove: kept.beforeMove },
    cleanup,
  )
  cleanup.add('make no more checkpoints', () => kept.checkpoints.automatic.close())
  cleanup.add('leave restores to the next host', () => kept.restores.close())
  const screens = new Screens(guests, net, clock, random)
  const neighbours = new Neighbours({ calls, guests, machine, store, log })
  cleanup.add('stop watching neighbours', () => neighbours.close())
  await keptMemory.start(deleted)
  await docking.start()
  await kept.checkpoints.start()
  kept.rehearsals.start()
  await kept.restores.takeUp()
  await neighbours.start()
  warmDocks.start()
  log.info('host started', { dockId: net.id, port: net.port, pid: process.pid })
  const faces = { docking, neighbours, keptMemory, warmDocks, net, settings, pictures, screens }
  const handlers = hostHandlers({ ...parts, ...faces, ...kept })
  const service = { ...handlers, screens: { connect: (ticket: string) => screens.connect(ticket) } }
  return { service, checkpoints: kept.checkpoints, restores: kept.restores }
}

/** What is kept here of the memory of guests that came and went. */
function composeKeptMemory(
  parts: Omit<KeptMemoryOptions, 'kept' | 'keepsAtMost' | 'freeBytes'>,
  paths: Paths,
  settings: Settings,
  cleanup: Disposer,
): KeptMemory {
  const folder = join(paths.data, 'kept')
  const kept = new KeptStore({ folder, dockKeyPath: join(paths.config, 'kept.key'), log: parts.log })
  const keptMemory = new KeptMemory({
    ...parts,
    kept,
    keepsAtMost: () => settings.current.keptMemoryMiB * 2 ** 20,
    freeBytes: () => freeBytes(paths.data),
  })
  const looking = setInterval(() => void keptMemory.giveWay(), giveWayEveryMs)
  cleanup.add('look after the room on the disk no more', () => clearInterval(looking))
  return keptMemory
}

type OwnOfDocking = 'journalDir' | 'dataDir' | 'visits' | 'rates' | 'acceptWarm'

/** Moves, what is kept of them, and what goes before them. */
async function composeDocking(
  from: Omit<DockingParts, OwnOfDocking> & {
    calls: PeerCalls<DockNet>
    net: DockNet
    history: MigrationHistory
    settings: Settings
    paths: Paths
  },
  cleanup: Disposer,
): Promise<{ docking: Docking; keptMemory: KeptMemory; warmDocks: WarmDocks }> {
  const { net, history, settings, paths, calls, store, clock, log } = from
  const { data: dataDir, runtime: runtimeDir } = paths
  const keptMemory = composeKeptMemory({ state: store, net, log }, paths, settings, cleanup)
  const visits = await Visits.open({ ...from, keptMemory, dataDir })
  cleanup.add('keep what came with guests', () => visits.close())
  const rates = new LinkRates(calls, clock)
  const keepsAtMost = (): number => settings.current.keptMemoryMiB * 2 ** 20
  const memory = { visits, rates, keptMemory, keepsAtMost, economy: new Economy({ clock }) }
  const files = await WarmFiles.open({ ...from, dataDir })
  const arrivals = new WarmArrivals({ ...from, ...memory, files, runtimeDir })
  const acceptWarm: DockingParts['acceptWarm'] = (of, header) => arrivals.accept(of, header)
  const journalDir = join(dataDir, 'journal')
  const docking = new Docking({ ...from, visits, rates, acceptWarm, dataDir, journalDir }, history)
  cleanup.add('stop docking', () => docking.close())
  const book = await WarmBook.open({ dataDir, net, store, log })
  const check: Docking['check'] = (request) => docking.check(request)
  const warmDocks = new WarmDocks({ ...from, ...memory, arrivals, book, check })
  cleanup.add('leave other docks as ready as they are', () => warmDocks.close())
  return { docking, keptMemory, warmDocks }
}

/** Everything about checkpoints; nothing of it waits for a store. */
function composeCheckpoints(
  from: Omit<CheckpointsOptions, 'connect' | 'dock' | 'keys' | 'followSleep'> & {
    net: DockNet
    layers: LayerStore
    paths: Paths
  },
  cleanup: Disposer,
) {
  const { net, paths, guests, log } = from
  const { machine, layers, bootFiles, clock, random } = from
  const { azurite: azuriteFolder } = vaultFolders(paths)
  const sleep = new SleepWatch({ beforeSleep: () => checkpoints.automatic.beforeSleep(sleepDelayMs), log })
  cleanup.add('let the PC sleep', () => sleep.close())
  const checkpoints = new Checkpoints({
    ...from,
    followSleep: (wanted) => sleep.want(wanted),
    connect: (onEvent) => startVaultThread({ onEvent, log, azuriteFolder }),
    dock: { id: net.id, name: () => net.name },
    keys: new KeyStore(paths.config),
  })
  cleanup.add('close the vault', () => checkpoints.close())
  const { desk, maker, automatic } = checkpoints
  const environment = { machine, layers, bootFiles }
  const rehearsals = new Rehearsals({
    ...{ desk, store: from.store, readPower: () => readPower(), clock, log },
    rehearse: (id, signal) => rehearse({ desk, environment, paths, clock, random, log }, id, signal),
    clear: () => clearRehearsal(paths),
  })
  cleanup.add('end a rehearsal', () => rehearsals.close())
  const lending = new Lending({ ...from, desk })
  cleanup.add('stop following links', () => lending.close())
  const trash = new Trash(paths.data)
  const restores = new Restores({ ...from, desk, maker, dockId: net.id, guests, trash })
  return {
    checkpoints,
    rehearsals,
    restores,
    restore: restoreHandler(restores),
    lending: lendingHandlers(lending, restores),
    beforeMove: (guest: LocalGuest, move: RunningOperation) => automatic.beforeMove(guest, move),
  }
}

async function openNet(
  env: Environment,
  from: { settings: Settings; paths: Paths; log: Log; appVersion: string },
): Promise<DockNet> {
  const { dockName, port, discovery } = from.settings.current
  return await DockNet.open({
    configDir: from.paths.config,
    name: dockName,
    port,
    discovery: env.WDOCK_DISCOVERY ? discoveryFromEnvironment(env) : discovery,
    log: from.log,
    clock: systemClock,
    random: systemRandom,
    appVersion: from.appVersion,
    ...(env.WDOCK_BIND ? { bindAddress: env.WDOCK_BIND } : {}),
  })
}

/** What tests, the demo and a person's environment may set. */
function overridesFrom(env: Environment): Partial<HostState['settings']> {
  return {
    ...(env.WDOCK_NAME ? { dockName: env.WDOCK_NAME } : {}),
    ...(env.WDOCK_PORT ? { port: Number(env.WDOCK_PORT) } : {}),
  }
}

function firstState(
  net: DockNet,
  settings: Settings,
  kept: { history: MigrationHistory; rules: RuleBook },
  paths: Paths,
  facts: Pick<HostState['info'], 'appVersion' | 'isDemo' | 'demoGuestAvailable'>,
): HostState {
  const info = {
    dockId: net.id,
    ...facts,
    dataDir: paths.data,
    port: net.port,
    addresses: ownAddresses(),
    secretsSentence: `The private key of this PC is kept in a file that only you can read, in ${paths.config}.`,
  }
  return {
    ...emptyHostState(info, settings.current),
    migrations: kept.history.records,
    checkpointRules: kept.rules.changed,
  }
}

function ownAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter((address) => !address.internal && !address.address.startsWith('fe80'))
    .map((address) => address.address)
}

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
import type { HostState } from '../../shared/models/host-state.ts'
import { LayerStore } from '../disk/layers.ts'
import { DockNet, discoveryFromEnvironment } from '../docks/dock-net.ts'
import { systemClock } from '../platform/clock.ts'
import { Disposer } from '../platform/dispose.ts'
import { acquireHostLock } from '../platform/host-lock.ts'
import { createLog, type Log } from '../platform/log.ts'
import { type Environment, type Paths, resolvePaths } from '../platform/paths.ts'
import { systemRandom } from '../platform/random.ts'
import { Docking } from './docking/docking.ts'
import type { Faults } from './docking/faults.ts'
import { MigrationHistory } from './docking/history.ts'
import { LinkRates } from './docking/link-rates.ts'
import { BootFileStore } from './guests/boot-files.ts'
import { demoAvailable } from './guests/guest-creation.ts'
import { Guests } from './guests/guests.ts'
import { Machine } from './machine.ts'
import { capabilitiesInSight, Neighbours } from './neighbours.ts'
import { Operations } from './operations.ts'
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
  /** Lets go of everything; guests run on. */
  stop(): Promise<void>
}

/** @throws host.already_running, host.port_in_use, host.state_unreadable, host.no_permission */
export async function startHost(options: HostOptions): Promise<RunningHost> {
  const paths = resolvePaths(options.env)
  const cleanup = new Disposer()
  try {
    cleanup.add('release the lock', await acquireHostLock(join(paths.data, 'host.lock')))
    const log = createLog({ path: join(paths.data, 'host.log') })
    cleanup.add('write the log', () => log.flush())
    const service = await compose(options, paths, log, cleanup)
    const stop = async (): Promise<void> => {
      log.info('host stopping')
      for (const { name, error } of await cleanup.run()) log.error('stopping failed', { step: name, error })
    }
    return { service, paths, log, stop }
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
): Promise<RunningHost['service']> {
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
  const store = new StateStore(firstState(net, settings, history, paths, facts))
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
  await guests.load()
  const parts = { calls, guests, machine, layers, bootFiles, operations, store, clock, random, log, faults }
  const docking = new Docking(
    { ...parts, dataDir, journalDir: join(dataDir, 'journal') },
    history,
    new LinkRates(calls, clock),
  )
  cleanup.add('stop docking', () => docking.close())
  const pictures = new Pictures(guests, calls)
  const screens = new Screens(guests, net, clock, random)
  const neighbours = new Neighbours({ calls, guests, machine, store, log })
  cleanup.add('stop watching neighbours', () => neighbours.close())
  await docking.start()
  await neighbours.start()
  log.info('host started', { dockId: net.id, port: net.port, pid: process.pid })
  const handlers = hostHandlers({
    store,
    guests,
    docking,
    operations,
    neighbours,
    net,
    settings,
    pictures,
    screens,
  })
  return { ...handlers, screens: { connect: (ticket) => screens.connect(ticket) } }
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
  history: MigrationHistory,
  paths: Paths,
  facts: Pick<HostState['info'], 'appVersion' | 'isDemo' | 'demoGuestAvailable'>,
): HostState {
  return {
    info: {
      dockId: net.id,
      ...facts,
      dataDir: paths.data,
      port: net.port,
      addresses: ownAddresses(),
      secretsSentence: `The private key of this PC is kept in a file that only you can read, in ${paths.config}.`,
    },
    settings: settings.current,
    docks: [],
    guests: [],
    operations: [],
    pairings: [],
    migrations: history.records,
  }
}

function ownAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter((address) => !address.internal && !address.address.startsWith('fe80'))
    .map((address) => address.address)
}

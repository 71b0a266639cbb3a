/**
 * The host: owns the truth of this dock and offers it through the contract. This is its composition root, to be
 * read from top to bottom; what is acquired first is released last. Relies on one data folder that no other host
 * uses. Ending it never ends a guest.
 */
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import type { ContractHandlers } from '../../shared/contract-handlers.ts'
import type { HostState } from '../../shared/models/host-state.ts'
import { LayerStore } from '../disk/layers.ts'
import { DockNet } from '../docks/dock-net.ts'
import { systemClock } from '../platform/clock.ts'
import { Disposer } from '../platform/dispose.ts'
import { acquireHostLock } from '../platform/host-lock.ts'
import { createLog, type Log } from '../platform/log.ts'
import { type Environment, type Paths, resolvePaths } from '../platform/paths.ts'
import { systemRandom } from '../platform/random.ts'
import { Docking } from './docking/docking.ts'
import { MigrationHistory } from './docking/history.ts'
import { LinkRates } from './docking/link-rates.ts'
import { BootFileStore } from './guests/boot-files.ts'
import { demoAvailable } from './guests/guest-creation.ts'
import { Guests } from './guests/guests.ts'
import { Machine } from './machine.ts'
import { Neighbours } from './neighbours.ts'
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
}

export interface RunningHost {
  readonly service: ContractHandlers & { readonly screens: { connect(ticket: string): Promise<Duplex> } }
  readonly paths: Paths
  readonly log: Log
  /** Resolves when a person asked the host to end. */
  readonly quitRequested: Promise<void>
  /** Lets go of everything; guests run on. */
  stop(): Promise<void>
}

/** @throws host.already_running, host.port_in_use, host.state_unreadable, host.no_permission */
export async function startHost(options: HostOptions): Promise<RunningHost> {
  const { env, appVersion } = options
  const clock = systemClock
  const random = systemRandom
  const paths = resolvePaths(env)
  const cleanup = new Disposer()
  try {
    cleanup.add('release the lock', await acquireHostLock(join(paths.data, 'host.lock')))
    const log = createLog({ path: join(paths.data, 'host.log') })
    cleanup.add('write the log', () => log.flush())
    const settings = await Settings.open(paths.config, overridesFrom(env))
    const history = await MigrationHistory.open(paths.data)
    const net = await DockNet.open({
      configDir: paths.config,
      name: settings.current.dockName,
      port: settings.current.port,
      discovery: settings.current.discovery,
      log,
      clock,
      random,
      appVersion,
      ...(env.WDOCK_BIND ? { bindAddress: env.WDOCK_BIND } : {}),
    })
    cleanup.add('close the channels', () => net.close())
    const machine = new Machine({ cacheDir: paths.cache, dataDir: paths.data, appVersion, log })
    const calls = new PeerCalls(net)
    const layers = new LayerStore(paths.data)
    const bootFiles = new BootFileStore(paths.data, random)
    const demoGuestDir = options.demoGuestDir ?? null
    const isDemo = env.WDOCK_DEMO === '1'
    const facts = { appVersion, isDemo, demoGuestAvailable: await demoAvailable(demoGuestDir) }
    const store = new StateStore(firstState(net, settings, history, paths, facts))
    cleanup.add('end the watchers', () => store.close())
    history.feed(store)
    const operations = new Operations(store, clock, log)
    const environment = {
      dockId: net.id,
      dataDir: paths.data,
      runtimeDir: paths.runtime,
      layers,
      bootFiles,
      machine,
      clock,
      log,
      publish: (guest: HostState['guests'][number]) => store.apply({ type: 'guest.changed', guest }),
    }
    const creation = { env: environment, random, demoGuestDir }
    const guests = new Guests({ env: environment, creation, operations, store, log })
    cleanup.add('let go of the guests', () => guests.release())
    await guests.load()
    const parts = { calls, guests, machine, layers, bootFiles, operations, store, clock, random, log }
    const journalDir = join(paths.data, 'journal')
    const rates = new LinkRates(calls, clock)
    const docking = new Docking({ ...parts, journalDir, dataDir: paths.data }, history, rates)
    cleanup.add('stop docking', () => docking.close())
    const pictures = new Pictures(guests, calls)
    const screens = new Screens(guests, net, clock, random)
    const neighbours = new Neighbours({ calls, guests, machine, store, log })
    cleanup.add('stop watching neighbours', () => neighbours.close())
    await docking.start()
    await neighbours.start()
    const quit = Promise.withResolvers<void>()
    const service = {
      ...hostHandlers(
        { store, guests, docking, operations, neighbours, net, settings, pictures, screens, log },
        () => quit.resolve(),
      ),
      screens: { connect: (ticket: string) => screens.connect(ticket) },
    }
    log.info('host started', { dockId: net.id, port: net.port, pid: process.pid })
    return {
      service,
      paths,
      log,
      quitRequested: quit.promise,
      stop: async () => {
        log.info('host stopping')
        for (const failure of await cleanup.run())
          log.error('stopping failed', { step: failure.name, error: failure.error })
      },
    }
  } catch (error) {
    await cleanup.run()
    throw error
  }
}

/** What tests, the demo and a person's environment may set. */
function overridesFrom(env: Environment): Partial<HostState['settings']> {
  return {
    ...(env.WDOCK_NAME ? { dockName: env.WDOCK_NAME } : {}),
    ...(env.WDOCK_PORT ? { port: Number(env.WDOCK_PORT) } : {}),
    ...(env.WDOCK_DISCOVERY ? { discovery: env.WDOCK_DISCOVERY !== 'off' } : {}),
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

/**
 * For tests: a host's guests with what restores them, over a folder that outlives it, and a vault whose answers the
 * test gives. Guests stand over simulated QEMUs, or over real ones where a machine is given.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Checkpoint } from '../../../../shared/models/checkpoint.ts'
import type { GuestDefinition } from '../../../../shared/models/guest-definition.ts'
import { defaultSettings, emptyHostState, type HostState } from '../../../../shared/models/host-state.ts'
import type { Operation } from '../../../../shared/models/operation.ts'
import { LayerStore } from '../../../disk/layers.ts'
import { systemClock } from '../../../platform/clock.ts'
import { silentLog } from '../../../platform/log.ts'
import { systemRandom } from '../../../platform/random.ts'
import type { CheckpointFacts, VaultEvent, VaultService } from '../../../vault/service/vault-service.ts'
import { fakeMachine } from '../../docking/testing/fake-machine.ts'
import { FakeQemu } from '../../docking/testing/fake-qemu.ts'
import { BootFileStore } from '../../guests/boot-files.ts'
import type { GuestMachine, QemuControl } from '../../guests/guest-environment.ts'
import { Guests } from '../../guests/guests.ts'
import { Trash } from '../../guests/trash.ts'
import { hasEnded, Operations } from '../../operations.ts'
import { StateStore } from '../../state-store.ts'
import { Restores, type RestoresOptions } from '../restore.ts'

export const benchDockId = 'a'.repeat(52)

/** A vault of which only some answers are known; any other call fails the test. */
export function serviceOf(answers: Partial<VaultService>): VaultService {
  return new Proxy(answers, {
    get: (target, name) => {
      const answer = Reflect.get(target, name)
      if (answer !== undefined || name === 'then') return answer
      return () => Promise.reject(new Error(`${String(name)} was not expected`))
    },
  }) as VaultService
}

/** The desk as restores see it. */
export class BenchDesk {
  current: VaultService
  readonly #listeners = new Set<(event: VaultEvent) => void>()

  constructor(service: VaultService) {
    this.current = service
  }

  readonly opened = (): VaultService => this.current
  readonly service = (): VaultService => this.current
  readonly onEvent = (listener: (event: VaultEvent) => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  tell(event: VaultEvent): void {
    for (const listener of [...this.#listeners]) listener(event)
  }
}

export interface BenchHost {
  desk: BenchDesk
  store: StateStore
  guests: Guests
  operations: Operations
  bootFiles: BootFileStore
  layers: LayerStore
  restores: Restores
  /** Guests whose state was asked to be kept. */
  kept: string[]
}

export interface BenchChanges {
  machine?: GuestMachine
  desk?: BenchDesk
  demoGuestDir?: string
  chooseRoute?: RestoresOptions['chooseRoute']
}

export class RestoreBench {
  readonly dir: string
  readonly qemus: FakeQemu[] = []

  private constructor(dir: string) {
    this.dir = dir
  }

  static async make(): Promise<RestoreBench> {
    return new RestoreBench(await mkdtemp(join(tmpdir(), 'wdr-')))
  }

  get dataDir(): string {
    return join(this.dir, 'data')
  }

  /** A host over the folder, as after a start. */
  async start(service: VaultService, changes: BenchChanges = {}): Promise<BenchHost> {
    const { dataDir } = this
    const machine = changes.machine ?? fakeMachine()
    const desk = changes.desk ?? new BenchDesk(service)
    const store = new StateStore(emptyState(dataDir))
    const clock = systemClock
    const log = silentLog
    const random = systemRandom
    const operations = new Operations(store, clock, log)
    const bootFiles = new BootFileStore(dataDir, random)
    const layers = new LayerStore(dataDir)
    const env = {
      dockId: benchDockId,
      dataDir,
      runtimeDir: join(this.dir, 'run'),
      layers,
      bootFiles,
      machine,
      clock,
      log,
      publish: (guest: HostState['guests'][number]) => store.apply({ type: 'guest.changed', guest }),
      ...(changes.machine === undefined ? { qemu: this.#simulated() } : {}),
    }
    const creation = { env, random, demoGuestDir: changes.demoGuestDir ?? null }
    const guests = new Guests({ env, creation, operations, store, log })
    await guests.load()
    const kept: string[] = []
    const restores = new Restores({
      desk,
      maker: {
        makeWithin: async (_holder, guest) => {
          kept.push(guest.id)
          return keptCheckpoint(guest.definition)
        },
      },
      ...{ dockId: benchDockId, guests, operations, machine, bootFiles, store, clock, random, log },
      trash: new Trash(dataDir),
      ...(changes.chooseRoute === undefined ? {} : { chooseRoute: changes.chooseRoute }),
    })
    return { desk, store, guests, operations, bootFiles, layers, restores, kept }
  }

  async end(host?: BenchHost): Promise<void> {
    host?.restores.close()
    for (const guest of host?.guests.list() ?? []) await guest.discardProcess()
    for (const qemu of this.qemus) qemu.kill()
    await rm(this.dir, { recursive: true, force: true, maxRetries: 5 })
  }

  #simulated(): QemuControl {
    const of = (runFile: string): FakeQemu | undefined =>
      this.qemus.find((qemu) => qemu.alive && qemu.dir === dirname(runFile))
    const idle = (): void => {}
    return {
      launch: async (spec) => {
        const qemu = new FakeQemu(spec, idle, idle)
        this.qemus.push(qemu)
        const process = await qemu.attach(() => false)
        if (!spec.incoming) await process.qmp.execute('cont')
        return process
      },
      adopt: async (runFile) => (await of(runFile)?.attach(() => false)) ?? null,
      killRecorded: async (runFile) => {
        const found = of(runFile)
        found?.kill()
        return found !== undefined
      },
    }
  }
}

/** Waits for the end of an operation. @returns how it ended */
export async function ended({ store }: BenchHost, operationId: string): Promise<Operation> {
  return await until(() => {
    const found = store.state.operations.find(({ id }) => id === operationId)
    return found !== undefined && hasEnded(found) ? found : null
  })
}

/** Waits until `find` finds something. */
export async function until<T>(find: () => T | null | undefined | false, withinMs = 20_000): Promise<T> {
  for (const endMs = performance.now() + withinMs; ; ) {
    const found = find()
    if (found !== null && found !== undefined && found !== false) return found
    if (performance.now() > endMs) throw new Error('it did not come to pass')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** What the vault says of a guest that was kept. */
export function keptCheckpoint(guest: GuestDefinition, changes: Partial<Checkpoint> = {}): Checkpoint {
  return {
    id: 'c'.repeat(32),
    guestId: guest.id,
    guestName: guest.name,
    label: { name: '', note: '', pinned: false },
    atMs: 1_700_000_000_000,
    byDockId: benchDockId,
    byDockName: 'Desk',
    reason: 'person',
    hasMemory: true,
    cores: guest.cores,
    memoryBytes: guest.memoryBytes,
    diskBytes: guest.disks.reduce((sum, disk) => sum + disk.virtualSizeBytes, 0),
    machine: guest.machine,
    qemuVersion: '7.2.0',
    wholeBytes: 1024 ** 2,
    addedBytes: 1024 ** 2,
    freezeMs: 10,
    hasPicture: false,
    verifiedAtMs: null,
    place: { kind: 'vault' },
    ...changes,
  }
}

export function keptFacts(guest: GuestDefinition, changes: Partial<CheckpointFacts> = {}): CheckpointFacts {
  const hasMemory = changes.hasMemory ?? true
  return {
    checkpoint: keptCheckpoint(guest, { hasMemory }),
    guest,
    accelerator: guest.accelerator,
    qemuVersion: '7.2.0',
    hasMemory,
    memoryDataBytes: hasMemory ? guest.memoryBytes / 2 : 0,
    disks: guest.disks.map(({ nodeName, virtualSizeBytes }) => ({
      ...{ nodeName, virtualSizeBytes, dataBytes: virtualSizeBytes / 2 },
    })),
    bootFiles: [],
    ...changes,
  }
}

export function emptyState(dataDir: string): HostState {
  const more = { demoGuestAvailable: false, isDemo: false, addresses: [], secretsSentence: '' }
  return emptyHostState(
    { dockId: benchDockId, appVersion: 'model', dataDir, port: 0, ...more },
    defaultSettings('Desk'),
  )
}

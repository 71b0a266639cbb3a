/**
 * What a row is measured with: docks as processes of their own, a store, links to it. Promises that `end` leaves nothing
 * of it, whatever state it is in: no process, no guest, no file.
 */
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { type Azurite, startAzurite } from '../../electron/objects/azurite.ts'
import { DockProcess, makeDocksFolder } from '../../electron/testing/dock-process.ts'
import type { WitnessReader } from '../../electron/testing/witness.ts'
import type { VaultPlace } from '../../shared/models/checkpoint.ts'
import { Link, type LinkShape } from './link.ts'

const built = join(import.meta.dirname, '..', '..', 'dist', 'headless.mjs')
const usualMebibytes = 512
/** After its boot a guest is busy with itself for a while. */
const settleMs = 10_000
const logEveryMs = 200

export class Rig {
  readonly folder: string
  readonly #docks: DockProcess[] = []
  readonly #links: Link[] = []
  #azurite: Azurite | null = null
  #names = 0

  private constructor(folder: string) {
    this.folder = folder
  }

  static async make(): Promise<Rig> {
    return new Rig(await makeDocksFolder())
  }

  /** A folder that is not there yet. */
  async newFolder(): Promise<string> {
    this.#names += 1
    const path = join(this.folder, `f${this.#names}`)
    await mkdir(path)
    return path
  }

  /** A dock that was never started before, running. */
  async dock(env: Readonly<Record<string, string>> = {}): Promise<DockProcess> {
    this.#names += 1
    const dock = new DockProcess({
      home: join(this.folder, `d${this.#names}`),
      name: `PC ${this.#names}`,
      port: 0,
      namespace: null,
      bindAddress: '127.0.0.1',
      discovery: false,
      env,
      ...(existsSync(built) ? { entry: built } : {}),
    })
    this.#docks.push(dock)
    await dock.start()
    return dock
  }

  /** A dock with a guest that has booted and come to rest. */
  async dockWithGuest(mebibytes = usualMebibytes): Promise<{ dock: DockProcess; guestId: string }> {
    const dock = await this.dock()
    const guestId = await dock.startDemoGuest('Demo', mebibytes)
    await wait(settleMs)
    return { dock, guestId }
  }

  /** Where vaults are in Azurite, reached directly. */
  async azurePlace(container = 'vault'): Promise<VaultPlace> {
    const { account, key, endpoint } = await this.#store()
    return { kind: 'azure', access: { kind: 'account-key', account, key, endpoint, container } }
  }

  /** The same place, through a link of its own. */
  async behindLink(shape: LinkShape, place: VaultPlace): Promise<{ link: Link; place: VaultPlace }> {
    if (place.kind !== 'azure' || place.access.kind !== 'account-key') throw new Error('not such a place')
    const endpoint = new URL((await this.#store()).endpoint)
    const link = await this.link(shape, Number(endpoint.port))
    endpoint.port = String(link.port)
    return { link, place: { kind: 'azure', access: { ...place.access, endpoint: endpoint.href } } }
  }

  async link(shape: LinkShape, targetPort: number): Promise<Link> {
    const link = await Link.open(shape, targetPort)
    this.#links.push(link)
    return link
  }

  /** Ends a dock before the rest. */
  async endDock(dock: DockProcess): Promise<void> {
    await dock.destroy()
  }

  async end(): Promise<void> {
    await Promise.allSettled(this.#docks.map((dock) => dock.destroy()))
    await Promise.allSettled(this.#links.map((link) => link.close()))
    await this.#azurite?.end().catch(() => {})
    // What was under way in this process may still write.
    await rm(this.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  }

  async #store(): Promise<Azurite> {
    this.#azurite ??= await startAzurite({ folder: await this.newFolder() })
    return this.#azurite
  }
}

/** Does something with a rig of its own. */
export async function withRig<T>(work: (rig: Rig) => Promise<T>): Promise<T> {
  const rig = await Rig.make()
  rigs.add(rig)
  try {
    return await work(rig)
  } finally {
    await rig.end()
    rigs.delete(rig)
  }
}

const rigs = new Set<Rig>()

/** For a program that was told to end: whatever is under way fails then. */
export async function endAllRigs(): Promise<void> {
  await Promise.all([...rigs].map((rig) => rig.end()))
}

/** Asks the guest's witness with a connection of its own. */
export async function askGuest(
  dock: DockProcess,
  guestId: string,
  command: string,
  timeoutMs = 120_000,
): Promise<string> {
  const witness = await dock.witness(guestId)
  try {
    return await witness.ask(command, timeoutMs)
  } finally {
    witness.close()
  }
}

/** @throws Error when the guest that was measured was harmed: its figures are worth nothing */
export async function assertWhole(witness: WitnessReader): Promise<void> {
  const check = await witness.check(60_000)
  if (check.lost + check.torn > 0 || !check.memoryIntact || check.memoryErrors > 0) {
    throw new Error(`the guest was harmed: ${JSON.stringify(check)}`)
  }
}

/**
 * Waits until a checkpoint was rehearsed, as the host's log tells it.
 * @returns false when it was not within the time
 */
export async function untilRehearsed(
  dock: DockProcess,
  checkpointId: string,
  withinMs = 60_000,
): Promise<boolean> {
  const path = join(dock.ready.dataDir, 'host.log')
  for (const endMs = performance.now() + withinMs; performance.now() < endMs; await wait(logEveryMs)) {
    const text = await readFile(path, 'utf8').catch(() => '')
    if (text.split('\n').some((line) => line.includes(rehearsedWords) && line.includes(checkpointId))) {
      return true
    }
  }
  return false
}

const rehearsedWords = '"a checkpoint was rehearsed"'

/** Of loopback, free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise<void>((resolve) => server.close(() => resolve()))
  return port
}

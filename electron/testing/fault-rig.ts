/**
 * Two real docks, a real guest, and every way to break a move between them at an exact point. Promises a verdict in
 * words, and that `destroy` leaves nothing. The link can be cut where network namespaces are allowed.
 */
import { existsSync } from 'node:fs'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { MemoryTransfer } from '../../shared/models/migration.ts'
import type { Operation, Switchover } from '../../shared/models/operation.ts'
import type { FaultPoint } from '../host/docking/faults.ts'
import { DockProcess, makeDocksFolder, makePairedDocks } from './dock-process.ts'
import { createNamespacePair, type NamespacePair, namespacesAllowed } from './namespaces.ts'
import { ProcessorWaits } from './processor-waits.ts'
import type { WitnessReader } from './witness.ts'

export type RealBlow =
  | 'kill the host there'
  | 'kill the QEMU there'
  | 'cut the link'
  | 'cancel'
  | 'kill the host here'
  | 'stop the host here'
  | 'stop the host there'

const entry = join(import.meta.dirname, 'faulty-host.ts')
const memoryMebibytes = 256

export interface RigOptions {
  /** More environment for both docks. */
  env?: Readonly<Record<string, string>>
  /** Guests that start on the laptop beside the first. */
  moreGuests?: readonly string[]
  /** What is to be done to their folders before the docks start. */
  beforeStart?: (rig: FaultRig) => Promise<void>
}

/** What was seen of one struck move. */
export interface Seen {
  operation: Operation | null
  /**
   * From the blow to the next tick, in milliseconds, without what was waited for a processor; null when none came on
   * the source.
   */
  resumedAfterMs: number | null
}

export class FaultRig {
  readonly folder: string
  readonly laptop: DockProcess
  readonly pc: DockProcess
  readonly namespaces: NamespacePair | null
  guestId = ''
  moreGuestIds: string[] = []
  boot = ''
  /** How memory crosses in the moves that are begun. */
  transfer: MemoryTransfer = 'auto'
  /** When the guest goes over in the moves that are begun. */
  switchover: Switchover = 'pre-copy'

  private constructor(folder: string, namespaces: NamespacePair | null, { env }: RigOptions) {
    this.folder = folder
    this.namespaces = namespaces
    const dock = (home: string, name: string, port: number, end: { name: string; address: string } | null) =>
      new DockProcess({
        home: join(folder, home),
        name,
        port,
        namespace: end?.name ?? null,
        bindAddress: end?.address ?? '127.0.0.1',
        discovery: false,
        entry,
        ...(env === undefined ? {} : { env }),
      })
    this.laptop = dock('a', 'Laptop', 47431, namespaces?.a ?? null)
    this.pc = dock('b', 'Tower', 47432, namespaces?.b ?? null)
  }

  static async create(options: RigOptions = {}): Promise<FaultRig> {
    const namespaces = (await namespacesAllowed()) ? await createNamespacePair() : null
    const rig = new FaultRig(await makeDocksFolder(), namespaces, options)
    try {
      await options.beforeStart?.(rig)
      await makePairedDocks(rig.laptop, rig.pc)
      await Promise.all([rig.laptop.start(), rig.pc.start()])
      const names = ['Demo', ...(options.moreGuests ?? [])]
      const ids = await Promise.all(names.map((name) => rig.laptop.startDemoGuest(name, memoryMebibytes)))
      const [first = '', ...more] = ids
      rig.guestId = first
      rig.moreGuestIds = more
      await rig.#learnBoot(rig.laptop)
      return rig
    } catch (error) {
      await rig.destroy()
      throw error
    }
  }

  /** Starts the guest, which is off, and expects from here on that it goes on from this boot. */
  async bootAnew(dock: DockProcess): Promise<void> {
    await dock.client.guests.start({ guestId: this.guestId })
    await this.#learnBoot(dock)
  }

  async #learnBoot(dock: DockProcess): Promise<void> {
    const witness = await dock.witness(this.guestId)
    this.boot = (await witness.waitForTicks(1, 90_000)).boot
    witness.close()
  }

  async destroy(): Promise<void> {
    await Promise.all([this.laptop.destroy(), this.pc.destroy()])
    await this.namespaces?.destroy()
    await rm(this.folder, { recursive: true, force: true })
  }

  /** What both docks say of themselves, newest last, for whoever has to find out why a test failed elsewhere. */
  async story(): Promise<string> {
    const parts = [this.laptop, this.pc].map(async (dock) => {
      const log = await readFile(join(dock.dataDir, 'host.log'), 'utf8').catch(() => 'no log')
      const lines = log.trimEnd().split('\n').slice(-25)
      const state = dock.isRunning ? await dock.state().catch(() => null) : null
      const guests = JSON.stringify(state?.guests.map(({ name, dockId, state }) => ({ name, dockId, state })))
      return [`${dock.name}: ${guests}`, ...lines].join('\n')
    })
    return (await Promise.all(parts)).join('\n')
  }

  /** Waits until both see each other. */
  async joined(): Promise<void> {
    await Promise.all(
      [this.laptop, this.pc].map((dock) =>
        dock.until('the other dock', (state) =>
          state.docks.some(({ presence }) => presence.kind === 'online'),
        ),
      ),
    )
  }

  /** Starts a move by a click on the dock that has the guest. @returns the operation's id */
  async begin(from: DockProcess, to: DockProcess): Promise<string> {
    await this.joined()
    const [fromDockId, toDockId] = await Promise.all([from.dockId(), to.dockId()])
    const { operationId } = await from.client.migrations.start({
      guestId: this.guestId,
      fromDockId,
      toDockId,
      transfer: this.transfer,
      switchover: this.switchover,
    })
    return operationId
  }

  /** Moves the guest and expects that to work. */
  async move(from: DockProcess, to: DockProcess): Promise<Operation> {
    const operation = await from.operationEnd(await this.begin(from, to))
    if (operation.state.kind !== 'done') throw new Error(`not moved: ${JSON.stringify(operation.state)}`)
    return operation
  }

  async hold(dock: DockProcess, point: FaultPoint): Promise<void> {
    await writeFile(join(dock.options.home, `hold-${point}`), '')
  }

  async held(dock: DockProcess, point: FaultPoint, timeoutMs = 60_000): Promise<void> {
    const path = join(dock.options.home, `held-${point}`)
    for (const endMs = performance.now() + timeoutMs; !existsSync(path); await wait(3)) {
      if (performance.now() > endMs) throw new Error(`${dock.name} never came to ${point}`)
    }
  }

  async release(dock: DockProcess, point: FaultPoint): Promise<void> {
    await rm(join(dock.options.home, `hold-${point}`), { force: true })
    await rm(join(dock.options.home, `held-${point}`), { force: true })
  }

  /** Begins a move from the laptop, holds it at `point`, strikes, and looks what becomes of it there. */
  async strike(point: FaultPoint, blow: RealBlow): Promise<Seen> {
    const { laptop, pc } = this
    const witness = await laptop.witness(this.guestId)
    const waits = new ProcessorWaits()
    try {
      await witness.waitForTicks(3)
      await this.hold(laptop, point)
      const operationId = await this.begin(laptop, pc)
      await this.held(laptop, point)
      const atMs = performance.now()
      await this.deal(blow, operationId)
      const ended = blow === 'kill the host here' || blow === 'stop the host here'
      if (ended) {
        await this.release(laptop, point)
        return { operation: null, resumedAfterMs: null }
      }
      // From here on nothing but the move itself can go on: it is past being stopped.
      if (point === 'given-away') await this.release(laptop, point)
      const resumedAfterMs = await resumed(witness, waits, atMs).catch(() => null)
      const operation = await laptop.operationEnd(operationId)
      await this.release(laptop, point)
      return { operation, resumedAfterMs }
    } finally {
      waits.end()
      await this.release(laptop, point)
      witness.close()
    }
  }

  async deal(blow: RealBlow, operationId: string): Promise<void> {
    const { laptop, pc } = this
    switch (blow) {
      case 'kill the host there':
        return await pc.kill()
      case 'stop the host there':
        return await pc.stop()
      case 'kill the host here':
        return await laptop.kill()
      case 'stop the host here':
        return await laptop.stop()
      case 'kill the QEMU there': {
        const pid = await pc.qemuPid(this.guestId)
        if (pid === null) throw new Error('there is no QEMU there')
        process.kill(pid, 'SIGKILL')
        return
      }
      case 'cut the link':
        return await this.#cable('cut')
      case 'cancel':
        await laptop.client.operations.cancel({ operationId })
    }
  }

  async #cable(what: 'cut' | 'mend'): Promise<void> {
    if (this.namespaces === null) throw new Error('there is no cable to pull')
    await this.namespaces[what]()
  }

  async cut(): Promise<void> {
    await this.#cable('cut')
  }

  /** Brings up what a blow brought down. */
  async repair(): Promise<void> {
    const { laptop, pc } = this
    await this.namespaces?.mend()
    for (const dock of [laptop, pc]) if (!dock.isRunning) await dock.start()
    // Both dial by themselves; a person who knows that the cable is back need not wait for that.
    const address = `${pc.options.bindAddress}:${pc.options.port}`
    await laptop.client.docks.connect({ address })
    await this.joined()
  }

  /** What is left of the guest on a dock where it should not be. Empty when there is nothing, after a moment. */
  async traces(dock: DockProcess, timeoutMs = 10_000): Promise<string[]> {
    for (const endMs = performance.now() + timeoutMs; ; await wait(50)) {
      const found = await this.#look(dock)
      if (found.length === 0 || performance.now() > endMs) return found
    }
  }

  async #look(dock: DockProcess): Promise<string[]> {
    const list = async (path: string): Promise<string[]> => await readdir(path).catch(() => [])
    const found: string[] = []
    if ((await dock.guest(this.guestId)) !== undefined) found.push('the guest is listed')
    if ((await list(dock.guestDir(this.guestId))).length > 0) found.push('its folder')
    const run = await list(dock.runDir(this.guestId))
    if (run.length > 0) found.push(`its sockets: ${run.join(' ')}`)
    const journals = await journalsOf(dock)
    if (journals.length > 0) found.push(`journals: ${journals.join(' ')}`)
    if (qemusOf(await commandLines(), dock.runDir(this.guestId)) > 0) found.push('a QEMU')
    return found
  }

  /** What is wrong with the guest where it should run. Empty when all is well. */
  async ills(dock: DockProcess): Promise<string[]> {
    const ills: string[] = []
    await dock.until('the guest runs', ({ guests, info }) =>
      guests.some((guest) => guest.dockId === info.dockId && guest.state.kind === 'running'),
    )
    const guest = await dock.guest(this.guestId)
    if (guest?.operationId !== null) ills.push('an operation holds it')
    // The dock it comes from says that the journal may go, a moment after the guest runs here.
    let journals = await journalsOf(dock)
    for (const endMs = performance.now() + 5000; journals.length > 0 && performance.now() < endMs; ) {
      await wait(20)
      journals = await journalsOf(dock)
    }
    if (journals.length > 0) ills.push(`journals: ${journals.join(' ')}`)
    const witness = await dock.witness(this.guestId)
    try {
      const tick = await witness.waitForTicks(5)
      if (tick.boot !== this.boot) ills.push('it was booted anew')
    } finally {
      witness.close()
    }
    return ills
  }
}

/** How long after `sinceMs` the guest ticked again: two ticks, as one may have been on its way. */
async function resumed(
  witness: WitnessReader,
  waits: ProcessorWaits,
  sinceMs: number,
): Promise<number | null> {
  const after = (): number[] =>
    witness.ticks.filter((tick) => tick.atMs > sinceMs + 20).map((tick) => tick.atMs)
  for (const endMs = performance.now() + 15_000; after().length < 2; await wait(5)) {
    if (performance.now() > endMs) return null
  }
  const atMs = after()[1] ?? 0
  return Math.round(atMs - sinceMs - waits.betweenMs(sinceMs, atMs))
}

async function journalsOf(dock: DockProcess): Promise<string[]> {
  return await readdir(join(dock.dataDir, 'journal')).catch(() => [])
}

async function commandLines(): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  return await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))
}

function qemusOf(lines: readonly string[], runDir: string): number {
  return lines
    .filter((line) => line.startsWith('qemu') || line.includes('/qemu'))
    .filter((line) => line.includes(runDir)).length
}

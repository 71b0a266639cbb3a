/**
 * The peer of the comparison: two bare QEMUs that speak TCP to each other across the link, driven as a careful
 * person would by hand, over their monitors, with nothing between the steps. The machine, the disk (base layer
 * on both sides, top layer mirrored over NBD) and the order of the steps are those of ours; the rest is
 * QEMU's default, but for its limit of 128 MiB/s.
 */
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createOverlay } from '../../electron/disk/image.ts'
import { silentLog } from '../../electron/platform/log.ts'
import type { LaunchSpec } from '../../electron/qemu/command-line.ts'
import { waitForMigrationStatus } from '../../electron/qemu/migration.ts'
import { launchQemu, type QemuProcess } from '../../electron/qemu/process.ts'
import { cont, migrate, migrateContinue, migrateIncoming, stop } from '../../electron/qemu/qmp/commands.ts'
import type { QmpSession } from '../../electron/qemu/qmp/session.ts'
import type { Namespace, NamespacePair } from '../../electron/testing/namespaces.ts'
import { WitnessReader } from '../../electron/testing/witness.ts'
import type { GuestDefinition } from '../../shared/models/guest-definition.ts'
import { measureDirtyRate } from './dirty-rate.ts'
import type { DockSide } from './dock-side.ts'
import { type Departure, type Marks, measureMove } from './measure.ts'
import type { Outcome } from './move.ts'
import { endExports, endMirror, exportDisks, mirror } from './plain-disks.ts'
import { cancelHere, choose, type PlainWay, untilStopped } from './plain-memory.ts'

const guestId = '0b5a7c1e-93d4-4f5b-8a52-6f1d7c3e9b20'
const memoryPort = 4444
const timeoutMs = 180_000
const bootTimeoutMs = 90_000
const program = 'qemu-system-x86_64'

interface End {
  namespace: Namespace
  folder: string
  /** Starts QEMU inside the namespace. */
  binary: string
  process: QemuProcess | null
}

export class PlainSide {
  readonly #pair: NamespacePair
  readonly #files: DockSide
  #definition: GuestDefinition | null = null
  #from: End
  #to: End

  /** @param files whose guest is the model: of the same make, from the same files */
  constructor(pair: NamespacePair, folder: string, files: DockSide) {
    this.#pair = pair
    this.#files = files
    this.#from = endOf(pair.a, join(folder, 'p'))
    this.#to = endOf(pair.b, join(folder, 'q'))
  }

  /** Boots the guest. */
  async start(): Promise<void> {
    const { definition } = await this.#files.record()
    this.#definition = { ...definition, id: guestId }
    for (const end of [this.#from, this.#to]) await writeLauncher(end)
    await this.#makeTops(this.#from)
    this.#from.process = await this.#launch(this.#from, false)
    const witness = await WitnessReader.connect(this.witnessSocket)
    await witness.waitForTicks(10, bootTimeoutMs)
    witness.close()
  }

  get witnessSocket(): string {
    return join(this.#from.folder, 'witness.sock')
  }

  async pause(): Promise<void> {
    await stop(running(this.#from).qmp)
  }

  async resume(): Promise<void> {
    await cont(running(this.#from).qmp)
  }

  /** @returns bytes of memory that change in a second; the guest is to run */
  async dirtyRate(): Promise<number> {
    return await measureDirtyRate(running(this.#from).qmp)
  }

  /** @param giveUpAfterMs from the order to `migrate`; null for ever */
  async move(way: PlainWay = 'plain', giveUpAfterMs: number | null = null): Promise<Outcome> {
    const source = running(this.#from)
    const route = { fromSocket: this.witnessSocket, toSocket: join(this.#to.folder, 'witness.sock') }
    const move = (marks: Marks): Promise<Departure> => this.#migrate(source, this.#to, way, marks)
    const outcome = await measureMove(this.#pair, { route, giveUpAfterMs, move })
    if (outcome.kind === 'gave-up') return outcome
    await source.quit({ graceMs: 5000 })
    this.#from.process = null
    ;[this.#from, this.#to] = [this.#to, this.#from]
    return outcome
  }

  async destroy(): Promise<void> {
    await Promise.all([this.#from.process?.kill(), this.#to.process?.kill()])
  }

  get #made(): GuestDefinition {
    if (this.#definition === null) throw new Error('not started')
    return this.#definition
  }

  async #migrate(source: QemuProcess, to: End, way: PlainWay, marks: Marks): Promise<Departure> {
    const { address } = to.namespace
    await this.#makeTops(to)
    const destination = await this.#launch(to, true)
    to.process = destination
    await choose(destination.qmp, way)
    const nodes = this.#made.disks.map((disk) => disk.nodeName)
    await exportDisks(destination.qmp, nodes, address)
    await migrateIncoming(destination.qmp, `tcp:${address}:${memoryPort}`)

    for (const node of nodes) await mirror(source.qmp, node, address)
    await choose(source.qmp, way)
    marks.memoryStarted()
    await migrate(source.qmp, `tcp:${address}:${memoryPort}`)
    if (!(await untilStopped(source.qmp, marks.giveUp))) {
      await stayHere(source.qmp, nodes, to)
      return 'stayed'
    }
    for (const node of nodes) await endMirror(source.qmp, node)
    await migrateContinue(source.qmp, 'pre-switchover')
    await waitForMigrationStatus(source.qmp, ['completed'], { timeoutMs })

    await waitForMigrationStatus(destination.qmp, ['completed'], { timeoutMs })
    await endExports(destination.qmp, nodes)
    await cont(destination.qmp)
    return 'left'
  }

  async #makeTops(end: End): Promise<void> {
    for (const { nodeName, layers, virtualSizeBytes } of this.#made.disks) {
      const base = layers.at(-1)
      if (base === undefined) throw new Error('the demo guest has a base layer')
      const backing = this.#files.layerPath(base)
      await rm(topPath(end, nodeName), { force: true })
      await createOverlay(topPath(end, nodeName), { backing, virtualSizeBytes })
    }
  }

  async #launch(end: End, incoming: boolean): Promise<QemuProcess> {
    const definition = this.#made
    const { boot } = definition
    if (boot.kind !== 'kernel') throw new Error('the demo guest boots from a kernel')
    const spec: LaunchSpec = {
      definition,
      binary: end.binary,
      accelerator: definition.accelerator,
      dir: end.folder,
      disks: definition.disks.map(({ nodeName, layers }) => ({
        nodeName,
        topPath: topPath(end, nodeName),
        layerPaths: layers.map((layer) => this.#files.layerPath(layer)),
      })),
      bootFiles: {
        kind: 'kernel',
        kernelPath: this.#files.bootFilePath(boot.kernelFile),
        initrdPath: boot.initrdFile === null ? null : this.#files.bootFilePath(boot.initrdFile),
      },
      incoming,
      sandbox: true,
    }
    return await launchQemu(spec, { log: silentLog })
  }
}

function endOf(namespace: Namespace, folder: string): End {
  return { namespace, folder, binary: join(folder, 'qemu'), process: null }
}

async function writeLauncher({ namespace, folder, binary }: End): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await writeFile(binary, `#!/bin/sh\nexec ip netns exec ${namespace.name} ${program} "$@"\n`)
  await chmod(binary, 0o700)
}

function topPath(end: End, nodeName: string): string {
  return join(end.folder, `${nodeName}.qcow2`)
}

function running(end: End): QemuProcess {
  if (end.process === null) throw new Error('no QEMU runs at this end')
  return end.process
}

/** A migration that does not end is taken back. */
async function stayHere(qmp: QmpSession, nodes: readonly string[], to: End): Promise<void> {
  await cancelHere(qmp)
  for (const node of nodes) await endMirror(qmp, node)
  await to.process?.kill()
  to.process = null
}

/**
 * The peer of the comparison: two bare QEMUs that speak TCP to each other across the link, driven as a careful
 * person would by hand, over their monitors, with nothing between the steps. The machine, the disk (base layer
 * on both sides, top layer mirrored over NBD) and the order of the steps are those of ours; the rest is
 * QEMU's default.
 */
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createOverlay } from '../../electron/disk/image.ts'
import { silentLog } from '../../electron/platform/log.ts'
import type { LaunchSpec } from '../../electron/qemu/command-line.ts'
import { setCapabilities, waitForMigrationStatus } from '../../electron/qemu/migration.ts'
import { launchQemu, type QemuProcess } from '../../electron/qemu/process.ts'
import {
  blockdevAdd,
  blockdevDel,
  blockdevMirror,
  blockExportAdd,
  blockExportDel,
  blockJobCancel,
  cont,
  migrate,
  migrateContinue,
  migrateIncoming,
  nbdServerStop,
  stop,
} from '../../electron/qemu/qmp/commands.ts'
import type { QmpSession } from '../../electron/qemu/qmp/session.ts'
import type { Namespace, NamespacePair } from '../../electron/testing/namespaces.ts'
import { WitnessReader } from '../../electron/testing/witness.ts'
import type { GuestDefinition } from '../../shared/models/guest-definition.ts'
import type { DockSide } from './dock-side.ts'
import { measureMove } from './measure.ts'
import type { Move } from './plan.ts'

const guestId = '0b5a7c1e-93d4-4f5b-8a52-6f1d7c3e9b20'
const ports = { nbd: 10_809, memory: 4444 } as const
const capabilities = ['events', 'return-path', 'pause-before-switchover', 'late-block-activate'] as const
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

  async move(): Promise<Move> {
    const source = running(this.#from)
    const route = { fromSocket: this.witnessSocket, toSocket: join(this.#to.folder, 'witness.sock') }
    const moved = await measureMove(this.#pair, route, () => this.#migrate(source, this.#to))
    await source.quit({ graceMs: 5000 })
    this.#from.process = null
    ;[this.#from, this.#to] = [this.#to, this.#from]
    return moved
  }

  async destroy(): Promise<void> {
    await Promise.all([this.#from.process?.kill(), this.#to.process?.kill()])
  }

  get #made(): GuestDefinition {
    if (this.#definition === null) throw new Error('not started')
    return this.#definition
  }

  async #migrate(source: QemuProcess, to: End): Promise<void> {
    const { address } = to.namespace
    await this.#makeTops(to)
    const destination = await this.#launch(to, true)
    to.process = destination
    await setCapabilities(destination.qmp, capabilities)
    const nodes = this.#made.disks.map((disk) => disk.nodeName)
    await exportDisks(destination.qmp, nodes, address)
    await migrateIncoming(destination.qmp, `tcp:${address}:${ports.memory}`)

    for (const node of nodes) await mirror(source.qmp, node, address)
    await setCapabilities(source.qmp, capabilities)
    await migrate(source.qmp, `tcp:${address}:${ports.memory}`)
    await waitForMigrationStatus(source.qmp, ['pre-switchover'], { timeoutMs })
    for (const node of nodes) await endMirror(source.qmp, node)
    await migrateContinue(source.qmp, 'pre-switchover')
    await waitForMigrationStatus(source.qmp, ['completed'], { timeoutMs })

    await waitForMigrationStatus(destination.qmp, ['completed'], { timeoutMs })
    for (const node of nodes) await blockExportDel(destination.qmp, exportId(node), 'hard')
    await nbdServerStop(destination.qmp)
    await cont(destination.qmp)
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

function exportId(nodeName: string): string {
  return `export-${nodeName}`
}

function jobOf(nodeName: string): { jobId: string; target: string } {
  return { jobId: `mirror-${nodeName}`, target: `target-${nodeName}` }
}

async function exportDisks(qmp: QmpSession, nodes: readonly string[], host: string): Promise<void> {
  const addr = { type: 'inet', data: { host, port: String(ports.nbd) } }
  await qmp.execute('nbd-server-start', { addr })
  for (const nodeName of nodes) {
    await blockExportAdd(qmp, { id: exportId(nodeName), nodeName, name: nodeName, writable: true })
  }
}

/** @returns once both disks are equal and stay so */
async function mirror(qmp: QmpSession, nodeName: string, host: string): Promise<void> {
  const { jobId, target } = jobOf(nodeName)
  const server = { type: 'inet', host, port: String(ports.nbd) }
  await blockdevAdd(qmp, { driver: 'nbd', 'node-name': target, server, export: nodeName, discard: 'unmap' })
  const ready = jobEvent(qmp, 'BLOCK_JOB_READY', jobId)
  await blockdevMirror(qmp, { jobId, device: nodeName, target, sync: 'top', copyMode: 'write-blocking' })
  await ready
}

async function endMirror(qmp: QmpSession, nodeName: string): Promise<void> {
  const { jobId, target } = jobOf(nodeName)
  const over = jobEvent(qmp, 'BLOCK_JOB_COMPLETED', jobId)
  await blockJobCancel(qmp, jobId, false)
  await over
  await blockdevDel(qmp, target)
}

async function jobEvent(qmp: QmpSession, name: string, jobId: string): Promise<void> {
  await qmp.waitForEvent((event) => event.name === name && event.data.device === jobId, { timeoutMs })
}

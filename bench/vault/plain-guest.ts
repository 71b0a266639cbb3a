/**
 * A guest of plain QEMU, to measure beside: kept the paper's way, in which it stops, all of its state crosses a link, and it
 * goes on; or sent live into nothing, which is the least that keeping it live can cost. Promises the same machine, disk and
 * load as the dock's guest beside it, and a downtime read off the guest's own ticks; where the link is so slow that nobody
 * would wait, the rate of the first part, and the downtime that follows from it.
 */
import { readFile, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { createOverlay } from '../../electron/disk/image.ts'
import { guestRecord } from '../../electron/host/guests/guest-record.ts'
import { silentLog } from '../../electron/platform/log.ts'
import { systemRandom } from '../../electron/platform/random.ts'
import { goOn } from '../../electron/qemu/capture/run-state.ts'
import {
  cancelMigration,
  setCapabilities,
  setParameters,
  waitForMigrationStatus,
} from '../../electron/qemu/migration.ts'
import { launchQemu, type QemuProcess } from '../../electron/qemu/process.ts'
import { cont, migrate, stop } from '../../electron/qemu/qmp/commands.ts'
import type { DockProcess } from '../../electron/testing/dock-process.ts'
import { WitnessReader } from '../../electron/testing/witness.ts'
import type { GuestDefinition } from '../../shared/models/guest-definition.ts'
import type { Link } from './link.ts'
import { worstGap } from './stall.ts'

export interface Stopped {
  downtimeS: number
  /** What crossed the link, or would have. */
  stateBytes: number
  /** Not waited for: computed from the rate. */
  isComputed: boolean
}

/** Longer is not waited for. */
const longestMs = 120_000
const rateMs = 15_000
const bootTimeoutMs = 120_000
const settleMs = 10_000
const afterMs = 300
const unlimitedBytesPerS = 10e9

export class PlainGuest {
  readonly witness: WitnessReader
  readonly #process: QemuProcess
  readonly #sink: Server

  private constructor(process: QemuProcess, witness: WitnessReader, sink: Server) {
    this.#process = process
    this.witness = witness
    this.#sink = sink
  }

  /** Boots a guest like one that a dock has, which need not run. @param folder its own, short */
  static async start(
    model: DockProcess,
    guestId: string,
    folder: string,
    sinkPort: number,
  ): Promise<PlainGuest> {
    const path = join(model.guestDir(guestId), 'guest.json')
    const { definition } = guestRecord.parse(JSON.parse(await readFile(path, 'utf8')))
    const process = await launch(model, { ...definition, id: systemRandom.uuid() }, folder)
    const sink = createServer((socket) => socket.on('error', () => {}).resume())
    await new Promise<void>((resolve) => sink.listen(sinkPort, '127.0.0.1', resolve))
    const witness = await WitnessReader.connect(join(folder, 'witness.sock'))
    await witness.waitForTicks(10, bootTimeoutMs)
    await wait(settleMs)
    return new PlainGuest(process, witness, sink)
  }

  async fill(megabytes: number): Promise<void> {
    const answer = await this.witness.ask(`fill ${megabytes}`, 120_000)
    if (answer !== 'fill ok') throw new Error(`the guest answered: ${answer}`)
  }

  /** Stops it for the copy. @param knownBytes of its state, from a run before; null where there was none */
  async stopAndCopy(link: Link, bitsPerS: number, knownBytes: number | null): Promise<Stopped> {
    const { qmp } = this.#process
    const fromMs = performance.now()
    const bytesBefore = link.bytes.up
    const tooLong = knownBytes !== null && (knownBytes * 8000) / bitsPerS > longestMs
    // Of its status, which is waited for.
    await setCapabilities(qmp, ['events'])
    await stop(qmp)
    await setParameters(qmp, { maxBandwidthBytesPerSecond: unlimitedBytesPerS })
    await migrate(qmp, `tcp:127.0.0.1:${link.port}`)
    if (tooLong) {
      await wait(rateMs)
      const bytesPerS = (link.bytes.up - bytesBefore) / (rateMs / 1000)
      await cancelMigration(qmp)
      await waitForMigrationStatus(qmp, ['cancelled', 'failed'], { timeoutMs: bootTimeoutMs })
      await cont(qmp)
      await this.witness.waitForTicks(10)
      return { downtimeS: knownBytes / bytesPerS, stateBytes: knownBytes, isComputed: true }
    }
    await waitForMigrationStatus(qmp, ['completed'], { timeoutMs: 2 * longestMs })
    await goOn(qmp, 'running')
    await this.witness.waitForTicks(10)
    await wait(afterMs)
    const downtimeMs = worstGap(this.witness, { fromMs, toMs: performance.now() })
    return { downtimeS: downtimeMs / 1000, stateBytes: link.bytes.up - bytesBefore, isComputed: false }
  }

  /** While it runs, with what QEMU makes of the downtime by itself. @returns once it runs on */
  async copyLive(sinkPort: number): Promise<void> {
    const { qmp } = this.#process
    await setCapabilities(qmp, ['events'])
    await setParameters(qmp, { maxBandwidthBytesPerSecond: unlimitedBytesPerS })
    await migrate(qmp, `tcp:127.0.0.1:${sinkPort}`)
    await waitForMigrationStatus(qmp, ['completed'], { timeoutMs: longestMs })
    await goOn(qmp, 'running')
  }

  async end(): Promise<void> {
    this.witness.close()
    this.#sink.close()
    await this.#process.kill()
  }
}

async function launch(model: DockProcess, definition: GuestDefinition, folder: string): Promise<QemuProcess> {
  const { boot } = definition
  if (boot.kind !== 'kernel') throw new Error('the demo guest boots from a kernel')
  const layerPath = (id: string): string => join(model.ready.dataDir, 'layers', `${id}.qcow2`)
  const bootPath = (id: string): string => join(model.ready.dataDir, 'boot', id)
  const topPath = (nodeName: string): string => join(folder, `${nodeName}.qcow2`)
  for (const { nodeName, layers, virtualSizeBytes } of definition.disks) {
    const base = layers.at(-1)
    if (base === undefined) throw new Error('the demo guest has a base layer')
    await rm(topPath(nodeName), { force: true })
    await createOverlay(topPath(nodeName), { backing: layerPath(base), virtualSizeBytes })
  }
  const disks = definition.disks.map(({ nodeName, layers }) => ({
    nodeName,
    topPath: topPath(nodeName),
    layerPaths: layers.map(layerPath),
  }))
  const bootFiles = {
    kind: 'kernel',
    kernelPath: bootPath(boot.kernelFile),
    initrdPath: boot.initrdFile === null ? null : bootPath(boot.initrdFile),
  } as const
  const { accelerator } = definition
  const binary = 'qemu-system-x86_64'
  const spec = {
    definition,
    binary,
    accelerator,
    dir: folder,
    disks,
    bootFiles,
    incoming: false,
    sandbox: true,
  }
  return await launchQemu(spec, { log: silentLog })
}

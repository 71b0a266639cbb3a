import { createReadStream, readFileSync } from 'node:fs'
import { copyFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { mebibyteBytes } from '../../shared/models/guest-definition.ts'
import { silentLog } from '../platform/log.ts'
import type { MemoryCapture } from '../qemu/capture/memory.ts'
import type { CaptureRoute } from '../qemu/capture/routes.ts'
import { startReceiver } from '../qemu/capture/testing/receiver.ts'
import type { LaunchSpec } from '../qemu/command-line.ts'
import { startIncoming, unixUri } from '../qemu/migration.ts'
import type { QemuProcess } from '../qemu/process.ts'
import { migrateSetCapabilities } from '../qemu/qmp/commands.ts'
import { queryStatus, resume } from '../qemu/screen.ts'
import { BatchWriter } from '../qemu/stream/batch-writer.ts'
import { demoGuestDir, hasDemoGuest, QemuBench, testDefinition, testSpec } from '../qemu/test-guests.ts'
import { WitnessReader } from '../testing/witness.ts'
import { captureGuest } from './capture-guest.ts'
import { checkImage, createOverlay } from './image.ts'
import { recoverOverlays } from './recover-overlays.ts'
import { thawDisks } from './thaw.ts'

const manifestShape = z.object({
  kernel: z.string(),
  initrd: z.string(),
  disk: z.string(),
  cmdline: z.string(),
  diskBytes: z.number(),
})

let bench: QemuBench
let guest: { qemu: QemuProcess; spec: LaunchSpec; witness: WitnessReader }

/** The demo guest with a top layer at `topPath`. */
async function demoSpec(name: string, topPath: string, incoming: boolean): Promise<LaunchSpec> {
  const manifest = manifestShape.parse(JSON.parse(readFileSync(join(demoGuestDir, 'manifest.json'), 'utf8')))
  const base = join(demoGuestDir, manifest.disk)
  const virtualSizeBytes = manifest.diskBytes
  if (!incoming && name === 'first') await createOverlay(topPath, { backing: base, virtualSizeBytes })
  const layers = [`l${'0'.repeat(32)}`]
  const boot = {
    kind: 'kernel',
    kernelFile: '0'.repeat(64),
    initrdFile: '1'.repeat(64),
    commandLine: manifest.cmdline,
  } as const
  return testSpec(await bench.folder(name), {
    definition: testDefinition({
      memoryBytes: 256 * mebibyteBytes,
      maxMemoryBytes: 512 * mebibyteBytes,
      network: 'none',
      disks: [{ nodeName: 'disk0', layers, top: `l${'1'.repeat(32)}`, virtualSizeBytes }],
      boot,
      witness: true,
    }),
    disks: [{ nodeName: 'disk0', topPath, layerPaths: [base] }],
    bootFiles: {
      kind: 'kernel',
      kernelPath: join(demoGuestDir, manifest.kernel),
      initrdPath: join(demoGuestDir, manifest.initrd),
    },
    incoming,
  })
}

async function start(spec: LaunchSpec): Promise<typeof guest> {
  const qemu = await bench.start(spec)
  const witness = await WitnessReader.connect(qemu.sockets.witness)
  if (!spec.incoming) await witness.waitForTicks(150, 50_000)
  return { qemu, spec, witness }
}

beforeAll(async () => {
  if (!hasDemoGuest) return
  bench = await QemuBench.make()
  guest = await start(await demoSpec('first', join(bench.dir, 'top.qcow2'), false))
})
afterAll(async () => {
  guest?.witness.close()
  await bench?.end()
})

/** Memory and disk of one instant in files of their own; the guest's disk thawed again. */
async function take(route: CaptureRoute, name: string): Promise<{ capture: MemoryCapture; files: string[] }> {
  const { qemu, spec } = guest
  const [streamPath, topPath] = [join(bench.dir, `${name}.stream`), join(bench.dir, `${name}.qcow2`)]
  const receiver = await startReceiver(qemu.sockets.outgoing, { savePath: streamPath })
  const { socketPath, firstPart } = receiver
  const options = { route, socketPath, firstPart, disks: spec.disks, log: silentLog }
  const capture = await captureGuest(qemu.qmp, options)
  expect(await receiver.ended).toMatchObject({ whole: true })
  await guest.witness.waitForTicks(30)
  await copyFile(spec.disks[0]?.topPath ?? '', topPath)
  await thawDisks(qemu.qmp, spec.disks)
  return { capture, files: [streamPath, topPath] }
}

async function restore(name: string, [streamPath = '', topPath = '']: string[]): Promise<typeof guest> {
  const restored = await start(await demoSpec(name, topPath, true))
  const { qemu } = restored
  await startIncoming(qemu.qmp, unixUri(qemu.sockets.incoming))
  // QEMU closes as soon as it has read the last byte, which a pipeline takes for breaking off.
  const stream = new BatchWriter(connect(qemu.sockets.incoming))
  for await (const piece of createReadStream(streamPath)) await stream.put(piece)
  await stream.end()
  await expect.poll(async () => (await queryStatus(qemu.qmp)).status, { timeout: 20_000 }).toBe('paused')
  await resume(qemu.qmp)
  await restored.witness.waitForTicks(30)
  return restored
}

/** Whether this QEMU may use userfaultfd, in its own words when not. */
async function refusal(route: CaptureRoute): Promise<string | null> {
  if (route === 'pre-copy') return null
  const capability = 'background-snapshot'
  try {
    await migrateSetCapabilities(guest.qemu.qmp, [{ capability, state: true }])
    await migrateSetCapabilities(guest.qemu.qmp, [{ capability, state: false }])
    return null
  } catch (error) {
    return String(error)
  }
}

describe.skipIf(!hasDemoGuest)('a running Linux guest', () => {
  it.each(['pre-copy', 'background-snapshot'] as const)(
    'goes on undisturbed while it is taken by %s, and its copy goes on from that instant',
    async (route) => {
      const refused = await refusal(route)
      if (refused !== null) {
        console.warn(`not tested here, as QEMU refuses ${route}: ${refused}`)
        return
      }
      const { witness } = guest
      const from = witness.ticks.length - 1
      const { capture, files } = await take(route, route)
      expect(capture).toMatchObject({ route, wasRunning: true })
      await witness.waitForTicks(30)
      const ticks = witness.ticks.slice(from).map(({ tick }) => tick)
      expect(ticks, 'no tick is lost').toEqual(ticks.map((_, index) => (ticks[0] ?? 0) + index))
      expect(await witness.check()).toMatchObject({ lost: 0, torn: 0, memoryIntact: true, memoryErrors: 0 })

      const copy = await restore(route, files)
      const first = copy.witness.ticks[0]
      const atInstant = witness.ticks.findLast(({ tick }) => tick < (first?.tick ?? 0))
      expect(first?.boot).toBe(witness.lastTick?.boot)
      expect(atInstant, 'it goes on within what the original has lived through').toBeDefined()
      expect(first?.tick).toBeLessThan(witness.lastTick?.tick ?? 0)
      const check = await copy.witness.check()
      expect(check).toMatchObject({ lost: 0, torn: 0, memoryIntact: true, memoryErrors: 0 })
      expect(check.records).toBeGreaterThanOrEqual(first?.record ?? 0)
      copy.witness.close()
      await copy.qemu.quit({ graceMs: 5000 })
      expect(await checkImage(files[1] ?? '')).toMatchObject({ clean: true })
    },
  )

  it('has every record on its disk that it was told of, when QEMU is killed while the disk is frozen', async () => {
    const { qemu, spec, witness } = guest
    const receiver = await startReceiver(qemu.sockets.outgoing)
    const { socketPath, firstPart } = receiver
    const options = { socketPath, firstPart, disks: spec.disks, log: silentLog }
    await captureGuest(qemu.qmp, { route: 'pre-copy', ...options })
    const frozenAt = witness.lastTick?.record ?? 0
    await expect.poll(() => witness.lastTick?.record, { timeout: 10_000 }).toBeGreaterThan(frozenAt + 10)
    await qemu.kill()
    const told = witness.lastTick?.record ?? 0
    witness.close()
    expect(await recoverOverlays(spec.disks)).toBe(1)
    expect(await checkImage(spec.disks[0]?.topPath ?? '')).toMatchObject({ clean: true })
    guest = await start(await demoSpec('again', spec.disks[0]?.topPath ?? '', false))
    const check = await guest.witness.check()
    expect(check).toMatchObject({ lost: 0, torn: 0 })
    expect(check.records).toBeGreaterThanOrEqual(told)
  })
})

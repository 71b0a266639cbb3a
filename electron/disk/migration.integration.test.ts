import { execFileSync } from 'node:child_process'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { mebibyteBytes } from '../../shared/models/guest-definition.ts'
import {
  cancelMigration,
  continueFromPreSwitchover,
  queryMigration,
  setCapabilities,
  startIncoming,
  startMigration,
  unixUri,
  waitForMigrationStatus,
} from '../qemu/migration.ts'
import type { QemuProcess } from '../qemu/process.ts'
import { queryBlockJobs, queryNamedBlockNodes } from '../qemu/qmp/commands.ts'
import { queryStatus, resume } from '../qemu/screen.ts'
import { QemuBench, testDefinition, testSpec } from '../qemu/test-guests.ts'
import { checkImage, createEmpty, createOverlay, inspectImage } from './image.ts'
import { backingFromLayer, newLayerId } from './layers.ts'
import { endExport, exportForMirror, type MirrorJob, startMirror } from './mirror.ts'

/** The two docks' QEMUs stand on one machine here: plain unix sockets take the place of the channel. */
interface Pair {
  source: QemuProcess
  destination: QemuProcess
  sourceTop: string
  destinationTop: string
}

const virtualSizeBytes = 64 * mebibyteBytes
let bench: QemuBench
beforeEach(async () => {
  bench = await QemuBench.make()
})
afterEach(async () => {
  await bench.end()
})

/** Writes as the guest's own disk controller does. */
async function guestWrites(
  qemu: QemuProcess,
  pattern: string,
  offset: string,
  length: string,
): Promise<void> {
  const device = '/machine/peripheral/disk0-device/virtio-backend'
  const args = { 'command-line': `qemu-io -d ${device} "write -P ${pattern} ${offset} ${length}"` }
  expect(await qemu.qmp.execute('human-monitor-command', args)).toBe('')
}

/** Reads a range of an image and fails unless every byte is `pattern`. */
function expectPattern(path: string, pattern: string, offset: string, length: string): void {
  const output = execFileSync('qemu-io', [
    '-r',
    '-f',
    'qcow2',
    '-c',
    `read -P ${pattern} ${offset} ${length}`,
    path,
  ])
  expect(output.toString()).not.toContain('Pattern verification failed')
}

async function startPair(): Promise<Pair> {
  const base = newLayerId()
  const top = newLayerId()
  const disks = [{ nodeName: 'disk0', layers: [base], top, virtualSizeBytes }]
  const definition = testDefinition({ disks })
  const tops: string[] = []
  const running: QemuProcess[] = []
  for (const [name, incoming] of [
    ['source', false],
    ['destination', true],
  ] as const) {
    const folder = await bench.folder(name)
    const layerPath = `${folder}/${backingFromLayer(base)}`
    const topPath = `${folder}/${top}.qcow2`
    await createEmpty(layerPath, virtualSizeBytes)
    execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 0x11 0 1M', layerPath])
    await createOverlay(topPath, { backing: backingFromLayer(base), virtualSizeBytes })
    const dir = await bench.folder(`${name}/run`)
    const launchDisks = [{ nodeName: 'disk0', topPath, layerPaths: [layerPath] }]
    running.push(await bench.start(testSpec(dir, { definition, disks: launchDisks, incoming })))
    tops.push(topPath)
  }
  const [source, destination] = running
  const [sourceTop, destinationTop] = tops
  if (!source || !destination || !sourceTop || !destinationTop) throw new Error('the pair is not complete')
  return { source, destination, sourceTop, destinationTop }
}

/** Disk and memory up to the moment at which the source stands still. */
async function toPreSwitchover(pair: Pair): Promise<MirrorJob> {
  const { source, destination } = pair
  await exportForMirror(destination.qmp, 'disk0', destination.sockets.nbd)
  const job = await startMirror(source.qmp, {
    nodeName: 'disk0',
    nbdSocketPath: destination.sockets.nbd,
    exportName: 'disk0',
  })
  await job.ready
  await guestWrites(source, '0x33', '3M', '1M')
  await setCapabilities(source.qmp)
  await setCapabilities(destination.qmp)
  await startIncoming(destination.qmp, unixUri(destination.sockets.incoming))
  await startMigration(source.qmp, unixUri(destination.sockets.incoming))
  expect(await waitForMigrationStatus(source.qmp, ['pre-switchover'], { timeoutMs: 30_000 })).toBe(
    'pre-switchover',
  )
  return job
}

async function expectNoJobLeft(qemu: QemuProcess): Promise<void> {
  expect(await queryBlockJobs(qemu.qmp)).toEqual([])
  const nodes = await queryNamedBlockNodes(qemu.qmp)
  expect(nodes.map((node) => node['node-name']).filter((name) => name?.startsWith('mirror-'))).toEqual([])
}

describe('a guest moves between two QEMUs', () => {
  it('takes its disk and memory along and runs on the destination', async () => {
    const pair = await startPair()
    const { source, destination } = pair
    await guestWrites(source, '0x22', '2M', '1M')
    const job = await toPreSwitchover(pair)
    expect((await queryStatus(source.qmp)).running).toBe(false)
    await job.complete()
    const progress = await job.progress()
    expect(progress.doneBytes).toBe(progress.totalBytes)
    const arrived = waitForMigrationStatus(destination.qmp, ['completed'], { timeoutMs: 20_000 })
    await continueFromPreSwitchover(source.qmp)
    await waitForMigrationStatus(source.qmp, ['completed'], { timeoutMs: 20_000 })
    await arrived
    const summary = await queryMigration(source.qmp)
    expect(summary.downtimeMs).toBeGreaterThanOrEqual(0)
    expect(summary.ramTotalBytes).toBeGreaterThan(128 * mebibyteBytes)
    await expect.poll(async () => (await queryStatus(destination.qmp)).status).toBe('paused')
    await endExport(destination.qmp)
    await resume(destination.qmp)
    expect((await queryStatus(destination.qmp)).status).toBe('running')
    expect((await queryStatus(source.qmp)).status).toBe('postmigrate')
    await guestWrites(destination, '0x44', '4M', '1M')
    await expectNoJobLeft(source)

    await source.quit({ graceMs: 5000 })
    await destination.quit({ graceMs: 5000 })
    for (const [pattern, offset] of [
      ['0x11', '0'],
      ['0x22', '2M'],
      ['0x33', '3M'],
      ['0x44', '4M'],
    ] as const) {
      expectPattern(pair.destinationTop, pattern, offset, '1M')
    }
    expect(await checkImage(pair.destinationTop)).toMatchObject({ clean: true })
    expect(
      (await inspectImage(pair.destinationTop)).allocatedBytes,
      'only the top layer was copied',
    ).toBeLessThan(5 * mebibyteBytes)
  })

  it('runs on at the source when it is cancelled at the last moment, with no job or node left', async () => {
    const pair = await startPair()
    const { source } = pair
    const job = await toPreSwitchover(pair)
    await cancelMigration(source.qmp)
    await waitForMigrationStatus(source.qmp, ['cancelled'], { timeoutMs: 10_000 })
    await job.abort()
    await expect.poll(async () => (await queryStatus(source.qmp)).running).toBe(true)
    await expectNoJobLeft(source)
    await guestWrites(source, '0x55', '5M', '1M')
    await pair.destination.kill()
    await source.quit({ graceMs: 5000 })
    expectPattern(pair.sourceTop, '0x55', '5M', '1M')
    expect(await checkImage(pair.sourceTop)).toMatchObject({ clean: true })
  })
})

describe('a guest whose move came to nothing', () => {
  it('runs on at the source when the destination dies after the mirror has ended', async () => {
    const pair = await startPair()
    const { source, destination } = pair
    const job = await toPreSwitchover(pair)
    await job.complete()
    await destination.kill()
    const failed = waitForMigrationStatus(source.qmp, ['completed'], { timeoutMs: 10_000 })
    await continueFromPreSwitchover(source.qmp).catch(() => {})
    await expect(failed).rejects.toMatchObject({ code: 'qemu.migration_failed' })
    await expect.poll(async () => (await queryStatus(source.qmp)).running).toBe(true)
    await expectNoJobLeft(source)
  })

  it('can be moved again, to a fresh destination', async () => {
    const first = await startPair()
    const job = await toPreSwitchover(first)
    await cancelMigration(first.source.qmp)
    await waitForMigrationStatus(first.source.qmp, ['cancelled'], { timeoutMs: 10_000 })
    await job.abort()
    await first.destination.quit({ graceMs: 5000 })
    const dir = first.destination.sockets.qmp.replace('/qmp.sock', '')
    const definition = testDefinition({
      disks: [{ nodeName: 'disk0', layers: [newLayerId()], top: newLayerId(), virtualSizeBytes }],
    })
    const layerPaths = [String((await inspectImage(first.destinationTop)).backingFile)].map(
      (name) => `${bench.dir}/destination/${name}`,
    )
    const disks = [{ nodeName: 'disk0', topPath: first.destinationTop, layerPaths }]
    const destination = await bench.start(testSpec(dir, { definition, disks, incoming: true }))
    const second = await toPreSwitchover({ ...first, destination })
    await second.complete()
    await continueFromPreSwitchover(first.source.qmp)
    await waitForMigrationStatus(first.source.qmp, ['completed'], { timeoutMs: 20_000 })
  })
})

describe('a mirror', () => {
  it('fails by name when nobody serves its target, and leaves nothing', async () => {
    const { source, destination } = await startPair()
    await expect(
      startMirror(source.qmp, {
        nodeName: 'disk0',
        nbdSocketPath: destination.sockets.nbd,
        exportName: 'disk0',
      }),
    ).rejects.toMatchObject({ code: 'disk.mirror_failed' })
    await expectNoJobLeft(source)
  })

  it('tells when its target dies while it copies; the guest and its disk go on', async () => {
    const { source, destination, sourceTop } = await startPair()
    await guestWrites(source, '0x22', '0', '32M')
    await exportForMirror(destination.qmp, 'disk0', destination.sockets.nbd)
    const job = await startMirror(source.qmp, {
      nodeName: 'disk0',
      nbdSocketPath: destination.sockets.nbd,
      exportName: 'disk0',
      speedBytesPerSecond: 16 * mebibyteBytes,
    })
    await destination.kill()
    await expect(job.ready).rejects.toMatchObject({ code: 'disk.mirror_failed' })
    expect(await job.failed).toMatchObject({ code: 'disk.mirror_failed' })
    await job.abort()
    await expectNoJobLeft(source)
    expect((await queryStatus(source.qmp)).running).toBe(true)
    await guestWrites(source, '0x66', '6M', '1M')
    await source.quit({ graceMs: 5000 })
    expectPattern(sourceTop, '0x66', '6M', '1M')
  })

  it('can be aborted while it copies', async () => {
    const { source, destination } = await startPair()
    await guestWrites(source, '0x22', '0', '32M')
    await exportForMirror(destination.qmp, 'disk0', destination.sockets.nbd)
    const job = await startMirror(source.qmp, {
      nodeName: 'disk0',
      nbdSocketPath: destination.sockets.nbd,
      exportName: 'disk0',
      speedBytesPerSecond: mebibyteBytes,
    })
    const before = await job.progress()
    expect(before.totalBytes).toBeGreaterThan(before.doneBytes)
    await job.abort()
    await expectNoJobLeft(source)
    await endExport(destination.qmp)
  })
})

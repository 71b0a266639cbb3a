/** Disks that stand on layers which never change: what lies there is read once, and every checkpoint is whole. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createOverlay } from '../../disk/image.ts'
import { exportImage } from '../../disk/image-export.ts'
import { silentLog } from '../../platform/log.ts'
import { systemRandom } from '../../platform/random.ts'
import { runTool } from '../../platform/run-tool.ts'
import { testDefinition } from '../../qemu/test-guests.ts'
import { testDockId } from '../testing/tables.ts'
import type { VaultEvent } from './vault-service.ts'
import { VaultServiceHere } from './vault-service-here.ts'

const mebibyte = 1024 * 1024
const virtualSizeBytes = 24 * mebibyte
const disk = {
  nodeName: 'disk0',
  layers: [`l${'0'.repeat(32)}`],
  top: `l${'1'.repeat(32)}`,
  virtualSizeBytes,
}

/** What a tool finds wrong fails the test. */
async function run(command: string, args: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await runTool(command, args, { timeoutMs: 20_000 })
  expect(code, stdout + stderr).toBe(0)
}

let folder: string
let service: VaultServiceHere
const events: VaultEvent[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wdl-'))
  const at = (name: string): string => join(folder, name)
  const onEvent = (event: VaultEvent): void => void events.push(event)
  service = new VaultServiceHere({ azuriteFolder: at('azurite'), onEvent, log: silentLog })
  const folders = { spool: at('spool'), cache: at('cache'), azurite: at('azurite'), cacheLimitBytes: 2 ** 31 }
  await service.create({ kind: 'folder', path: at('vault') }, folders)
  const content = Buffer.concat([randomBytes(12 * mebibyte), Buffer.alloc(12 * mebibyte)])
  await writeFile(at('raw'), content)
  await run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', at('raw'), at('base.qcow2')])
  await createOverlay(at('top.qcow2'), { backing: at('base.qcow2'), virtualSizeBytes })
})

afterAll(async () => {
  await service.close()
  await rm(folder, { recursive: true, force: true })
})

async function write(command: string): Promise<void> {
  await run('qemu-io', ['-f', 'qcow2', '-c', command, join(folder, 'top.qcow2')])
}

/** Of a guest that is off. @returns the checkpoint's id, and by how much the vault grew */
async function keep(
  layers: readonly string[],
  top = 'top.qcow2',
): Promise<{ id: string; addedBytes: number }> {
  const captureId = systemRandom.hex(16)
  await service.beginCapture({
    ...{ captureId, guest: testDefinition({ disks: [{ ...disk, layers: [...layers] }] }) },
    ...{
      byDockId: testDockId,
      byDockName: 'Desk',
      reason: 'person',
      qemuVersion: '7.2.0',
      accelerator: 'tcg',
    },
    ...{
      label: { name: '', note: '', pinned: false },
      picturePng: null,
      memorySocketPath: null,
      bootFiles: [],
    },
  })
  const chain = [join(folder, 'base.qcow2'), join(folder, top)]
  const nbdSocketPath = join(folder, 'd.sock')
  const served = await exportImage({ chain, socketPath: nbdSocketPath, exportName: 'disk' })
  try {
    await service.captureDisk(captureId, {
      nodeName: 'disk0',
      virtualSizeBytes,
      nbdSocketPath,
      exportName: 'disk',
    })
  } finally {
    await served.end()
  }
  await service.completeCapture(captureId, { atMs: Date.now(), freezeMs: null, frozenBy: 'off' })
  const published = () =>
    events.find((event) => event.type === 'upload.published' && event.captureId === captureId)
  await expect.poll(published, { timeout: 20_000 }).toBeDefined()
  const event = published()
  if (event?.type !== 'upload.published') return expect.fail('not published')
  return { id: event.checkpoint.id, addedBytes: event.checkpoint.addedBytes }
}

/** A checkpoint's disk against another image. */
async function expectSame(checkpointId: string, image: string): Promise<void> {
  const restoreId = systemRandom.hex(16)
  await service.beginRestore(restoreId, { checkpointId })
  const socket = join(folder, 'r.sock')
  const { exportName } = await service.serveDisk(restoreId, 'disk0', socket)
  await run('qemu-img', ['compare', `nbd+unix:///${exportName}?socket=${socket}`, image])
  await service.endRestore(restoreId)
}

async function copyOf(name: string): Promise<string> {
  const path = join(folder, name)
  await run('qemu-img', ['convert', '-O', 'qcow2', join(folder, 'top.qcow2'), path])
  return path
}

it('are whole in every checkpoint, whatever was written, zeroed or discarded above', async () => {
  const first = await keep(disk.layers)
  const firstImage = await copyOf('1.qcow2')
  expect(first.addedBytes).toBeGreaterThan(12 * mebibyte)

  await write('write -P 7 1M 100k')
  await write('write -z 3M 200k')
  await write('discard 5M 1M')
  await write('write -P 9 20M 70k')
  const second = await keep(disk.layers)
  const secondImage = await copyOf('2.qcow2')
  expect(second.addedBytes).toBeLessThan(200_000)

  // Content of the layer that is written again above it, and a layer of which nothing is known.
  await write('write -P 1 0 4k')
  const third = await keep(['l'.padEnd(33, '2')])
  expect(third.addedBytes).toBeLessThan(200_000)

  await expectSame(first.id, firstImage)
  await expectSame(second.id, secondImage)
  await expectSame(third.id, await copyOf('3.qcow2'))
})

it('are not mistaken for what another guest wrote above them', async () => {
  // It is what is known from a disk with writes above the layer.
  const layers = ['l'.padEnd(33, '3')]
  await keep(layers)
  const fresh = join(folder, 'fresh.qcow2')
  await createOverlay(fresh, { backing: join(folder, 'base.qcow2'), virtualSizeBytes })
  const { id } = await keep(layers, 'fresh.qcow2')
  await expectSame(id, join(folder, 'base.qcow2'))
})

it('are not read again where they are known', async () => {
  // Were it read, the checkpoint would hold this: nothing changes a layer, which is why it need not be read.
  const before = await copyOf('4.qcow2')
  await run('qemu-io', ['-f', 'qcow2', '-c', 'write -P 3 8M 64k', join(folder, 'base.qcow2')])
  const { id, addedBytes } = await keep(disk.layers)
  expect(addedBytes).toBeLessThan(100_000)
  await expectSame(id, before)
})

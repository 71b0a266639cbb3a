import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { mebibyteBytes } from '../../../shared/models/guest-definition.ts'
import { captureGuest } from '../../disk/capture-guest.ts'
import { endFrozenExport, exportFrozen, frozenExportName } from '../../disk/frozen-export.ts'
import { checkImage, createOverlay } from '../../disk/image.ts'
import { thawDisks } from '../../disk/thaw.ts'
import { silentLog } from '../../platform/log.ts'
import { systemRandom } from '../../platform/random.ts'
import { runTool } from '../../platform/run-tool.ts'
import type { LaunchSpec } from '../../qemu/command-line.ts'
import { clearCapabilities, setCapabilities, startIncoming, unixUri } from '../../qemu/migration.ts'
import type { QemuProcess } from '../../qemu/process.ts'
import { queryStatus, resume } from '../../qemu/screen.ts'
import { demoGuestDir, demoManifest, demoSpec, hasDemoGuest, QemuBench } from '../../qemu/test-guests.ts'
import { WitnessReader } from '../../testing/witness.ts'
import { testDockId } from '../testing/tables.ts'
import type { VaultEvent, VaultFolders, VaultService } from './vault-service.ts'
import { startVaultThread, type VaultThread } from './vault-thread.ts'

let bench: QemuBench
let folder: string
let guest: { qemu: QemuProcess; spec: LaunchSpec; witness: WitnessReader }
const threads: VaultThread[] = []
const witnesses: WitnessReader[] = []

interface Pc {
  service: VaultService
  folders: VaultFolders
  events: VaultEvent[]
  thread: VaultThread
}

/** A PC of its own: what another one has kept is not here. */
async function startPc(name: string, before?: Pc): Promise<Pc> {
  const at = (what: string) => join(folder, name, what)
  const folders = before?.folders ?? {
    ...{ spool: at('spool'), cache: at('cache'), azurite: at('azurite'), cacheLimitBytes: 2 ** 31 },
  }
  await mkdir(folders.spool, { recursive: true })
  const events: VaultEvent[] = []
  const thread = startVaultThread({
    ...{ log: silentLog, azuriteFolder: folders.azurite, onEvent: (event) => events.push(event) },
  })
  threads.push(thread)
  return { service: thread.service, folders, events, thread }
}

async function eventOf<T extends VaultEvent['type']>(
  pc: Pc,
  type: T,
  isIt: (event: Extract<VaultEvent, { type: T }>) => boolean = () => true,
): Promise<Extract<VaultEvent, { type: T }>> {
  const find = () =>
    pc.events.find((event): event is Extract<VaultEvent, { type: T }> => {
      return event.type === type && isIt(event as Extract<VaultEvent, { type: T }>)
    })
  await expect.poll(find, { timeout: 20_000 }).toBeDefined()
  return find() ?? expect.fail(type)
}

const memory = {
  definition: { memoryBytes: 256 * mebibyteBytes, maxMemoryBytes: 512 * mebibyteBytes },
} as const

/** Live, by the way that needs no privilege. */
async function capture(pc: Pc): Promise<string> {
  const { qemu, spec } = guest
  const captureId = systemRandom.hex(16)
  const memorySocketPath = join(qemu.record.dir, 'capture.sock')
  await pc.service.beginCapture({
    ...{ captureId, guest: spec.definition, byDockId: testDockId, byDockName: 'Desk', reason: 'person' },
    label: { name: 'First', note: '', pinned: false },
    ...{ qemuVersion: '7.2.0', accelerator: 'tcg', picturePng: Buffer.from('PNG'), memorySocketPath },
    ...{ bootFiles: [] },
  })
  const received = pc.service.memoryCaptured(captureId)
  received.catch(() => {})
  const firstPart = eventOf(pc, 'capture.first-part', (event) => event.captureId === captureId).then(() => {})
  const options = { route: 'pre-copy', socketPath: memorySocketPath, firstPart, disks: spec.disks } as const
  const { atMs, freezeMs } = await captureGuest(qemu.qmp, { ...options, log: silentLog })
  await received
  const nbdSocketPath = join(qemu.record.dir, 'frozen.sock')
  await exportFrozen(qemu.qmp, spec.disks, nbdSocketPath)
  const virtualSizeBytes = demoManifest().diskBytes
  const exportName = frozenExportName('disk0')
  await pc.service.captureDisk(captureId, { nodeName: 'disk0', virtualSizeBytes, nbdSocketPath, exportName })
  await endFrozenExport(qemu.qmp)
  await thawDisks(qemu.qmp, spec.disks)
  await pc.service.completeCapture(captureId, { atMs, freezeMs, frozenBy: 'pre-copy' })
  return captureId
}

/** What a dock does: an overlay over the served disk, QEMU waiting, memory sent. */
async function restore(pc: Pc, checkpointId: string, how: 'whole' | 'post-copy'): Promise<typeof guest> {
  const restoreId = systemRandom.hex(16)
  const facts = await pc.service.beginRestore(restoreId, { checkpointId })
  expect(facts).toMatchObject({ hasMemory: true, disks: [{ nodeName: 'disk0' }] })
  const dir = await bench.folder(`${how}-disk`)
  const nbd = join(dir, 'd.sock')
  const { exportName } = await pc.service.serveDisk(restoreId, 'disk0', nbd)
  const copied = join(dir, 'copied.qcow2')
  await runTool('qemu-img', ['convert', '-O', 'qcow2', `nbd+unix:///${exportName}?socket=${nbd}`, copied], {
    timeoutMs: 20_000,
  })
  const topPath = join(dir, 'top.qcow2')
  await createOverlay(topPath, { backing: copied, virtualSizeBytes: facts.disks[0]?.virtualSizeBytes ?? 0 })
  const spec = demoSpec(await bench.folder(how), {
    ...memory,
    disk: { topPath, layerPaths: [copied] },
    incoming: true,
  })
  const qemu = await bench.start(spec)
  const witness = await WitnessReader.connect(qemu.sockets.witness)
  witnesses.push(witness)
  if (how === 'post-copy') await setCapabilities(qemu.qmp, ['postcopy-ram'])
  await startIncoming(qemu.qmp, unixUri(qemu.sockets.incoming))
  await pc.service.sendMemory(restoreId, { socketPath: qemu.sockets.incoming, how })
  const done = await eventOf(pc, 'restore.memory-done', (event) => event.restoreId === restoreId)
  expect(done.error).toBeNull()
  await expect
    .poll(async () => (await queryStatus(qemu.qmp)).status, { timeout: 20_000 })
    .not.toBe('inmigrate')
  if (!(await queryStatus(qemu.qmp)).running) await resume(qemu.qmp)
  await witness.waitForTicks(30)
  await pc.service.endRestore(restoreId)
  return { qemu, spec, witness }
}

async function whyNoUserfaultfd(qemu: QemuProcess): Promise<string | null> {
  try {
    await setCapabilities(qemu.qmp, ['postcopy-ram'])
    await clearCapabilities(qemu.qmp, ['postcopy-ram'])
    return null
  } catch (error) {
    return String(error)
  }
}

beforeAll(async () => {
  if (!hasDemoGuest) return
  folder = await mkdtemp(join(tmpdir(), 'wdv-'))
  bench = await QemuBench.make()
  const manifest = demoManifest()
  const base = join(bench.dir, 'base.qcow2')
  await copyFile(join(demoGuestDir, manifest.disk), base)
  const topPath = join(bench.dir, 'top.qcow2')
  await createOverlay(topPath, { backing: base, virtualSizeBytes: manifest.diskBytes })
  const spec = demoSpec(await bench.folder('first'), { ...memory, disk: { topPath, layerPaths: [base] } })
  const qemu = await bench.start(spec)
  const witness = await WitnessReader.connect(qemu.sockets.witness)
  witnesses.push(witness)
  await witness.waitForTicks(150, 50_000)
  guest = { qemu, spec, witness }
}, 60_000)

afterAll(async () => {
  for (const witness of witnesses) witness.close()
  await Promise.all(threads.map((thread) => thread.end()))
  await bench?.end()
  if (folder !== undefined) await rm(folder, { recursive: true, force: true })
})

describe.skipIf(!hasDemoGuest)('a running guest', () => {
  const vault = () => ({ kind: 'folder', path: join(folder, 'vault') }) as const
  let desk: Pc
  let phrase: string
  let checkpointId: string

  it('is kept in a folder, listed, and its second checkpoint adds little', async () => {
    await mkdir(vault().path)
    desk = await startPc('desk')
    phrase = (await desk.service.create(vault(), desk.folders)).phrase
    expect(await desk.service.phrase()).toBe(phrase)
    const first = await capture(desk)
    const published = await eventOf(desk, 'upload.published', (event) => event.captureId === first)
    checkpointId = published.checkpoint.id
    expect(published.checkpoint).toMatchObject({ guestName: 'Test guest', hasMemory: true, hasPicture: true })
    expect(await desk.service.list()).toMatchObject([{ id: checkpointId, place: { kind: 'vault' } }])
    const second = await capture(desk)
    const next = await eventOf(desk, 'upload.published', (event) => event.captureId === second)
    expect(next.checkpoint.addedBytes).toBeLessThan(published.checkpoint.addedBytes / 4)
    expect(await desk.service.check({ readData: true, workId: 'check' })).toMatchObject({ damaged: [] })
  }, 60_000)

  it.each(['whole', 'post-copy'] as const)(
    'goes on elsewhere from that instant, by the phrase alone: %s',
    async (how) => {
      const refused = how === 'post-copy' ? await whyNoUserfaultfd(guest.qemu) : null
      if (refused !== null) {
        console.warn(`not tested here, as QEMU refuses post-copy: ${refused}`)
        return
      }
      const laptop = await startPc(`laptop-${how}`)
      await laptop.service.open(vault(), laptop.folders, { phrase })
      const restored = await restore(laptop, checkpointId, how)
      expect(restored.witness.ticks[0]?.boot).toBe(guest.witness.ticks[0]?.boot)
      expect(await restored.witness.check()).toMatchObject({
        ...{ lost: 0, torn: 0, memoryIntact: true, memoryErrors: 0 },
      })
      await restored.qemu.kill()
      expect(await checkImage(restored.spec.disks[0]?.topPath ?? '')).toMatchObject({ clean: true })
    },
    60_000,
  )
})

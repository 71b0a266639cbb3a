import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { isCode } from '../../../shared/errors/index.ts'
import { silentLog } from '../../platform/log.ts'
import { systemRandom } from '../../platform/random.ts'
import { testDefinition } from '../../qemu/test-guests.ts'
import { testDockId } from '../testing/tables.ts'
import type { CaptureStart, VaultEvent, VaultFolders } from './vault-service.ts'
import { startVaultThread, type VaultThread } from './vault-thread.ts'

let folder: string
let folders: VaultFolders
let bootFile: { sha256: string; path: string }
let events: VaultEvent[]
const threads: VaultThread[] = []
const place = () => ({ kind: 'folder', path: join(folder, 'vault') }) as const

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wdt-'))
  const at = (what: string): string => join(folder, what)
  folders = { spool: at('spool'), cache: at('cache'), azurite: at('az'), cacheLimitBytes: 2 ** 30 }
  await mkdir(place().path)
  await mkdir(folders.spool)
  const bytes = randomBytes(20 * 1024 * 1024 + 77)
  bootFile = { path: at('boot'), sha256: createHash('sha256').update(bytes).digest('hex') }
  await writeFile(bootFile.path, bytes)
  events = []
})
afterEach(async () => {
  await Promise.all(threads.splice(0).map((thread) => thread.end()))
  await rm(folder, { recursive: true, force: true })
})

/** One that ends as a crash would. */
function start(): VaultThread {
  const thread = startVaultThread({
    ...{ log: silentLog, azuriteFolder: folders.azurite, endGraceMs: 0 },
    onEvent: (event) => events.push(event),
  })
  threads.push(thread)
  return thread
}

/** A guest that is off: it has a boot file and nothing else. */
function captureStart(): CaptureStart {
  return {
    ...{ captureId: systemRandom.hex(16), guest: testDefinition(), byDockId: testDockId, byDockName: 'Desk' },
    ...{ reason: 'person', label: { name: '', note: '', pinned: false }, qemuVersion: '7.2.0' },
    ...{
      accelerator: 'tcg',
      picturePng: null,
      memorySocketPath: null,
      bootFiles: [bootFile],
    },
  }
}

const instant = { atMs: 1_760_000_000_000, freezeMs: null, frozenBy: 'off' } as const

it('goes on with an upload in the middle of which its thread was killed', async () => {
  const first = start()
  const { vaultKey } = await first.service.create(place(), folders)
  const capture = captureStart()
  await first.service.beginCapture(capture)
  // As a drive that is pulled out: nothing can be sent.
  await rename(place().path, `${place().path}-away`)
  const kept = await first.service.completeCapture(capture.captureId, instant)
  expect(kept.place).toEqual({ kind: 'on-its-way' })
  await first.end()
  expect(await readdir(join(folder, 'vault-away'))).not.toContain('checkpoints')
  await rename(`${place().path}-away`, place().path)

  const second = start()
  events = []
  await second.service.open(place(), folders, { vaultKey })
  const published = () => events.find((event) => event.type === 'upload.published')
  await expect.poll(published, { timeout: 10_000 }).toMatchObject({ captureId: capture.captureId })
  expect(events).toContainEqual(
    expect.objectContaining({ type: 'upload.kept', captureId: capture.captureId }),
  )
  const [checkpoint, ...others] = await second.service.list()
  expect(others).toEqual([])
  expect(checkpoint).toMatchObject({ id: kept.id, place: { kind: 'vault' }, hasMemory: false })
  await expect.poll(() => readdir(folders.spool)).toEqual([])

  const restored = join(folder, 'restored')
  const facts = await second.service.beginRestore('a', { checkpointId: kept.id })
  expect(facts.bootFiles).toEqual([{ sha256: bootFile.sha256, lengthBytes: 20 * 1024 * 1024 + 77 }])
  await second.service.restoreBootFile('a', bootFile.sha256, restored)
  expect((await readFile(restored)).equals(await readFile(bootFile.path))).toBe(true)
})

it('leaves nothing of a capture that was given up', async () => {
  const { service } = start()
  await service.create(place(), folders)
  const capture = captureStart()
  await service.beginCapture(capture)
  expect(await service.abandonCapture(capture.captureId)).toBe('cancelled')
  expect(await readdir(folders.spool)).toEqual([])
  expect(await service.list()).toEqual([])
  expect(await service.stats()).toMatchObject({ checkpoints: 0, packs: 0 })
})

it('leaves nothing of a capture that was given up while it was being begun', async () => {
  const { service } = start()
  await service.create(place(), folders)
  const capture = { ...captureStart(), memorySocketPath: join(folder, 'm.sock') }
  const beginning = service.beginCapture(capture)
  expect(await service.abandonCapture(capture.captureId)).toBe('cancelled')
  await beginning.catch(() => {})
  await expect.poll(() => readdir(folders.spool)).toEqual([])
  await expect.poll(() => readdir(folder)).not.toContain('m.sock')
})

it('fails what was asked of a thread that ended, by name, and another one can be started', async () => {
  const first = start()
  const creating = first.service.create(place(), folders)
  const failing = expect(creating).rejects.toSatisfy((error) => isCode(error, 'vault.stopped'))
  await first.end()
  await failing
  await expect(first.service.list()).rejects.toSatisfy((error) => isCode(error, 'vault.stopped'))
  await expect(start().service.list()).rejects.toSatisfy((error) => isCode(error, 'vault.none'))
})

it('tells a place with other files, a vault that is there, and a phrase of another vault apart', async () => {
  const { service } = start()
  expect(await service.look(place())).toBe('empty')
  const { phrase, vaultKey } = await service.create(place(), folders)
  expect(await service.look(place())).toBe('vault')
  const other = { kind: 'folder', path: join(folder, 'other') } as const
  await mkdir(other.path)
  const made = await service.create(other, folders)
  await expect(service.create(place(), folders)).rejects.toSatisfy((error) => isCode(error, 'vault.exists'))
  const opening = service.open(place(), folders, { phrase: made.phrase })
  await expect(opening).rejects.toSatisfy((error) => isCode(error, 'vault.wrong_phrase'))
  const { vaultKey: again } = await service.open(place(), folders, { phrase: phrase.toUpperCase() })
  expect(Buffer.from(again).equals(vaultKey)).toBe(true)
  expect(await service.phrase()).toBe(phrase)
})

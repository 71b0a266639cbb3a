import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { isCode } from '../../../shared/errors/index.ts'
import { systemRandom } from '../../platform/random.ts'
import { testDefinition } from '../../qemu/test-guests.ts'
import { testDockId } from '../testing/tables.ts'
import type { VaultEvent, VaultFolders } from './vault-service.ts'
import { VaultServiceHere } from './vault-service-here.ts'

let folder: string
let folders: VaultFolders
let desk: VaultServiceHere
let friend: VaultServiceHere
const events: VaultEvent[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wdl-'))
  const at = (what: string): string => join(folder, what)
  folders = { spool: at('spool'), cache: at('cache'), azurite: at('az'), cacheLimitBytes: 2 ** 30 }
  await mkdir(folders.spool)
  desk = new VaultServiceHere({ azuriteFolder: folders.azurite, onEvent: (event) => events.push(event) })
  friend = new VaultServiceHere({ onEvent: () => {} })
})
afterAll(async () => {
  await friend.close()
  await desk.close()
  await rm(folder, { recursive: true, force: true })
})

it('lends a checkpoint from Azure storage by a link, until it is taken back', {
  timeout: 60_000,
}, async () => {
  const bytes = randomBytes(3 * 1024 * 1024 + 5)
  const bootFile = { path: join(folder, 'boot'), sha256: createHash('sha256').update(bytes).digest('hex') }
  await writeFile(bootFile.path, bytes)
  const { canLend } = await desk.create({ kind: 'azurite' }, folders)
  expect(canLend).toBe(true)
  const captureId = systemRandom.hex(16)
  await desk.beginCapture({
    ...{ captureId, guest: testDefinition(), byDockId: testDockId, byDockName: 'Desk', reason: 'person' },
    ...{ label: { name: 'Mine', note: '', pinned: false }, qemuVersion: '7.2.0', accelerator: 'tcg' },
    ...{ picturePng: Buffer.from('PNG'), memorySocketPath: null, bootFiles: [bootFile] },
  })
  await desk.completeCapture(captureId, { atMs: 1_760_000_000_000, freezeMs: null, frozenBy: 'off' })
  const find = (type: VaultEvent['type']) => events.find((event) => event.type === type)
  await expect.poll(() => find('upload.published'), { timeout: 10_000 }).toBeDefined()
  const [checkpoint] = await desk.list()

  const endMs = Date.now() + 3_600_000
  const lent = await desk.lend(checkpoint?.id ?? '', { startMs: null, endMs })
  const link = lent.link ?? ''
  await expect.poll(async () => (await desk.lent())[0]?.state, { timeout: 10_000 }).toEqual({ kind: 'ready' })
  const looked = await friend.lookAtLink(link)
  expect(looked).toMatchObject({ checkpoint: { guestName: 'Test guest', hasPicture: true }, endMs })
  await friend.beginRestore('a', { link })
  const restored = join(folder, 'restored')
  await friend.restoreBootFile('a', bootFile.sha256, restored)
  expect((await readFile(restored)).equals(bytes)).toBe(true)
  await friend.endRestore('a')

  await desk.revoke(lent.shareId)
  expect(await desk.lent()).toEqual([])
  await expect(friend.lookAtLink(link)).rejects.toSatisfy((error) => isCode(error, 'store.link_dead'))
  await expect(friend.lookAtLink(link.slice(0, -2))).rejects.toSatisfy((error) =>
    isCode(error, 'vault.bad_link'),
  )
})

import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { isCode } from '../../../shared/errors/index.ts'
import { systemClock } from '../../platform/clock.ts'
import { silentLog } from '../../platform/log.ts'
import { systemRandom } from '../../platform/random.ts'
import { lookAtPlace, OpenedVaultParts } from './opened-vault.ts'

const parts = { clock: systemClock, random: systemRandom, log: silentLog, onTrouble: () => {} }
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wdock-o-'))
})
afterAll(() => rm(folder, { recursive: true }))

const look = (path: string) => lookAtPlace({ kind: 'folder', path }, { azurite: '/nonexistent' }, parts)

it('tells a folder that can be made from a drive that is not there, and writes nothing', async () => {
  expect(await look(join(folder, 'new'))).toBe('no-folder')
  await expect(look(join(folder, 'drive/new'))).rejects.toSatisfy((error) =>
    isCode(error, 'store.folder_missing'),
  )
  await writeFile(join(folder, 'file'), '')
  await expect(look(join(folder, 'file'))).rejects.toSatisfy((error) => isCode(error, 'store.not_a_folder'))
  expect(await look(folder)).toBe('other-files')
  expect(await readdir(folder)).toEqual(['file'])
})

it('makes a vault in a folder that was not there, but opens none there', async () => {
  const path = join(folder, 'vault')
  const at = (name: string): string => join(folder, name)
  const folders = { spool: at('spool'), cache: at('cache'), azurite: at('azurite'), cacheLimitBytes: 2 ** 20 }
  const place = { kind: 'folder', path } as const
  const opening = OpenedVaultParts.open(place, folders, { vaultKey: Buffer.alloc(32) }, parts)
  await expect(opening).rejects.toSatisfy((error) => isCode(error, 'store.folder_missing'))
  const made = await OpenedVaultParts.create(place, folders, parts)
  await made.close()
  expect(await look(path)).toBe('vault')
})

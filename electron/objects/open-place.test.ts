import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { isCode } from '../../shared/errors/index.ts'
import { openPlace } from './open-place.ts'

const azuriteFolder = '/nonexistent'

describe('the place that a person chose', () => {
  it('is a folder, which opening leaves as it was', async () => {
    const path = await mkdtemp(join(tmpdir(), 'wdock-p-'))
    const { store, close } = await openPlace({ kind: 'folder', path }, { azuriteFolder })
    expect(store.sentence).toBe(`the folder ${path}`)
    expect(store.lending).toBeNull()
    expect(await store.get('vault.json', 10)).toBeNull()
    await close()
    expect(await readdir(path)).toEqual([])
    await rm(path, { recursive: true })
  })

  it('is a folder that is made where it shall be, in one that is there', async () => {
    const above = await mkdtemp(join(tmpdir(), 'wdock-p-'))
    const path = join(above, 'new')
    for (let time = 0; time < 2; time += 1) {
      const { close } = await openPlace({ kind: 'folder', path }, { azuriteFolder, makesFolder: true })
      await close()
      expect((await stat(path)).mode & 0o777).toBe(0o700)
    }
    const tooDeep = { kind: 'folder', path: join(above, 'a/b') } as const
    await expect(openPlace(tooDeep, { azuriteFolder, makesFolder: true })).rejects.toSatisfy((error) =>
      isCode(error, 'store.folder_missing'),
    )
    expect(await readdir(above)).toEqual(['new'])
    await rm(above, { recursive: true })
  })

  it('is a container, to which nothing is sent before it is used', async () => {
    const key = Buffer.alloc(64).toString('base64')
    const access = { kind: 'account-key', account: 'mine', key, endpoint: null, container: 'vault' } as const
    const { store, close } = await openPlace({ kind: 'azure', access }, { azuriteFolder })
    expect(store.sentence).toBe('the container vault of the storage account mine')
    expect(store.lending).not.toBeNull()
    await close()
  })

  it('is refused by name where it cannot be', async () => {
    const bad = { kind: 'container-sas', url: 'http://h.example/vault?sig=x' } as const
    await expect(openPlace({ kind: 'azure', access: bad }, { azuriteFolder })).rejects.toSatisfy((error) =>
      isCode(error, 'store.https_needed'),
    )
    await expect(openPlace({ kind: 'folder', path: '/nonexistent' }, { azuriteFolder })).rejects.toSatisfy(
      (error) => isCode(error, 'store.folder_missing'),
    )
  })
})

import { mkdtemp, readdir, rm } from 'node:fs/promises'
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

import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type DiskSpool, DiskSpools } from './disk-spool.ts'
import { testSealer } from './testing/test-vault.ts'

const id = '0123456789abcdef0123456789abcdef'
const packId = Buffer.alloc(16, 3)
const pack = packId.toString('hex')
const contents = {
  packId,
  sealedBytes: Uint32Array.of(20),
  pages: Uint8Array.of(1),
  ids: Buffer.alloc(16, 9),
}

describe('a spool on disk', () => {
  let folder: string
  let spool: DiskSpool

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'wd-sp-'))
    spool = await new DiskSpools(folder, testSealer).create(id, 0)
  })
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true })
  })

  it('has a pack only when all of it is there', async () => {
    const file = await spool.begin(packId)
    await file.write(Buffer.alloc(15, 1))
    await file.write(Buffer.alloc(5, 2))
    expect(await spool.packs()).toEqual([])
    await file.finish(contents)
    expect(await spool.packs()).toEqual([{ id: pack, sizeBytes: 20 }])
    expect((await spool.readPack(pack)).subarray(14, 16)).toEqual(Buffer.of(1, 2))
    expect(await spool.contents(pack)).toEqual(contents)
  })

  it('has nothing of a pack that was given up', async () => {
    const file = await spool.begin(packId)
    await file.write(Buffer.alloc(5))
    await file.discard()
    expect(await readdir(join(folder, id))).toEqual([])
  })

  it('gives its parts back, and refuses what was changed meanwhile', async () => {
    await spool.writePart('manifest', Buffer.from('all of it'))
    expect((await spool.readPart('manifest')).toString()).toBe('all of it')
    await writeFile(join(folder, id, 'manifest'), Buffer.alloc(60, 1))
    await expect(spool.readPart('manifest')).rejects.toMatchObject({ code: 'vault.damaged_object' })
    await expect(spool.readPart('summary')).rejects.toMatchObject({ code: 'vault.damaged_object' })
  })

  it('is found again by the next run, and is gone when it was removed', async () => {
    const spools = new DiskSpools(folder, testSealer)
    await writeFile(join(folder, 'something-else'), '')
    expect(await spools.left()).toHaveLength(1)
    await (await spools.left())[0]?.remove()
    expect(await spools.left()).toEqual([])
  })

  it('is nobody’s any more when its removal was cut off', async () => {
    await spool.writeState({
      ...{ version: 1, vaultId: id, id, byDockId: 'a'.repeat(52), byDockName: 'Dock' },
      guestId: '5b1c7a52-55c1-4c26-9f0e-6d3c8b6b1a10',
      ...{ phase: 'publishing', fenceFirst: false, link: 'kept' },
    })
    await spool.writePart('manifest', Buffer.from('all of it'))
    spool.clear = () => Promise.reject(new Error('killed'))
    await expect(spool.remove()).rejects.toThrow('killed')
    const [left] = await new DiskSpools(folder, testSealer).left()
    expect(await left?.readState()).toBeNull()
    await left?.remove()
    expect(await readdir(folder)).toEqual([])
  })

  it('that cannot be read for what it is says which file', async () => {
    expect(await spool.readState()).toBeNull()
    await writeFile(join(folder, id, 'upload.json'), '{"version":9}')
    await expect(spool.readState()).rejects.toMatchObject({ code: 'host.state_unreadable' })
  })
})

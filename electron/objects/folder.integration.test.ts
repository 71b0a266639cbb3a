/** A folder on drives that are full, write-protected or pulled out. Needs root for the drives. */
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ErrorCode, isCode, type WdockError } from '../../shared/errors/index.ts'
import { mountsAllowed, SmallDisk } from '../testing/small-disk.ts'
import { openFolder } from './folder.ts'
import { retrying } from './retrying-store.ts'
import { describeStore } from './testing/conformance.ts'

const run = promisify(execFile)
const megabyte = 1024 ** 2

describeStore(
  'a folder on the disk of this PC',
  async () => {
    const path = await mkdtemp(join(tmpdir(), 'wdock-o-'))
    const end = () => rm(path, { recursive: true, force: true })
    return { store: await openFolder(path), other: await openFolder(path), end }
  },
  { manyNames: 100 },
)

function coded(code: ErrorCode) {
  return (error: unknown) => isCode(error, code)
}

describe.runIf(await mountsAllowed())('a folder on a drive', () => {
  let path: string
  let disk: SmallDisk
  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), 'wdock-d-'))
    disk = await SmallDisk.mount(path, 8 * megabyte)
  })
  afterEach(async () => {
    await disk.unmount().catch(() => {})
    await rm(path, { recursive: true, force: true })
  })

  it('that is full says so, keeps what is there, and leaves nothing half', async () => {
    const store = await openFolder(path)
    await store.put('packs/aa', Buffer.from('kept'))
    await disk.fill(megabyte)
    for (const call of [
      () => store.put('packs/aa', Buffer.alloc(2 * megabyte)),
      () => store.putNew('packs/bb', Buffer.alloc(2 * megabyte)),
    ]) {
      await expect(call()).rejects.toSatisfy(coded('store.full'))
    }
    expect(await store.get('packs/aa', 100)).toEqual(Buffer.from('kept'))
    expect(await readdir(join(path, '.wdock'))).toEqual(['id'])
    await disk.free()
    await store.put('packs/aa', Buffer.alloc(2 * megabyte))
  })

  it('that is full gets its pack when there is room again', async () => {
    await disk.fill(megabyte / 2)
    const troubles: (string | null)[] = []
    const onTrouble = (error: WdockError | null) => {
      troubles.push(error?.code ?? null)
      if (error) void disk.free()
    }
    const store = retrying(await openFolder(path), { onTrouble, firstPauseMs: 10, longestPauseMs: 50 })
    await store.put('packs/aa', Buffer.alloc(2 * megabyte))
    expect(troubles).toEqual(['store.full', null])
  })

  it('that is write-protected can be read, and says why it cannot be written', async () => {
    await (await openFolder(path)).put('vault.json', Buffer.from('{}'))
    await run('mount', ['-o', 'remount,ro', path])
    const store = await openFolder(path)
    expect(await store.get('vault.json', 100)).toEqual(Buffer.from('{}'))
    for (const call of [
      () => store.put('vault.json', Buffer.alloc(1)),
      () => store.putNew('packs/aa', Buffer.alloc(1)),
      () => store.remove('vault.json'),
    ]) {
      await expect(call()).rejects.toSatisfy(coded('store.read_only'))
    }
  })

  it('that is pulled out is missed, and nothing is written to the disk below it', async () => {
    const store = await openFolder(path)
    await store.put('packs/aa', Buffer.alloc(1))
    await disk.unmount()
    await expect(store.put('packs/bb', Buffer.alloc(1))).rejects.toSatisfy(coded('store.folder_missing'))
    await expect(store.get('packs/aa', 10)).rejects.toSatisfy(coded('store.folder_missing'))
    expect(await readdir(path)).toEqual([])
  })
})

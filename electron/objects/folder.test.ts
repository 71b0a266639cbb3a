import { existsSync, writeFileSync } from 'node:fs'
import {
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { isCode } from '../../shared/errors/index.ts'
import { openFolder } from './folder.ts'
import { folderFailure } from './folder-failures.ts'
import type { ObjectStore } from './object-store.ts'
import { describeStore } from './testing/conformance.ts'

/** In memory where there is such a place: thousands of fsyncs would make these tests as slow as the disk is busy. */
const base = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
const folders: string[] = []

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(base, 'wdock-o-'))
  folders.push(folder)
  return folder
}

async function dropFolders(): Promise<void> {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
}

/** link(2) on FAT. */
async function noLink(): Promise<void> {
  throw Object.assign(new Error('EPERM: operation not permitted, link'), { code: 'EPERM' })
}

/** Every other one, as where one PC's mount has hard links and another's has none. */
function sometimesLink(): (from: string, to: string) => Promise<void> {
  let calls = 0
  return (from, to) => (calls++ % 2 === 0 ? link(from, to) : noLink())
}

let plainFolder = ''

describeStore(
  'a folder',
  async () => {
    plainFolder = await newFolder()
    return { store: await openFolder(plainFolder), other: await openFolder(plainFolder), end: dropFolders }
  },
  {
    // Without the two fsyncs that each object costs.
    fill: async (names) => {
      await mkdir(join(plainFolder, dirname(names[0] ?? '')), { recursive: true })
      for (const name of names) writeFileSync(join(plainFolder, name), 'x')
    },
  },
)

describeStore(
  'a folder without hard links',
  async () => {
    const path = await newFolder()
    const options = { link: noLink }
    return {
      store: await openFolder(path, options),
      other: await openFolder(path, options),
      end: dropFolders,
    }
  },
  { manyNames: 300 },
)

describeStore(
  'a folder that two PCs mount differently',
  async () => {
    const path = await newFolder()
    const options = { link: sometimesLink() }
    return { store: await openFolder(path, options), other: await openFolder(path), end: dropFolders }
  },
  { manyNames: 300 },
)

describe('a folder', () => {
  afterEach(dropFolders)

  it('is left as it was by who only looks', async () => {
    const path = await newFolder()
    const store = await openFolder(path)
    expect(await names(store, '')).toEqual([])
    expect(await store.get('vault.json', 100)).toBeNull()
    await store.remove('vault.json')
    expect(await readdir(path)).toEqual([])
  })

  it('keeps an object as a file of its name, closed to others, and no temporary file', async () => {
    const path = await newFolder()
    const store = await openFolder(path)
    await store.put('packs/aa', Buffer.from('pack'))
    await store.putNew('checkpoints/bb', Buffer.from('manifest'))
    await store.putNew('checkpoints/bb', Buffer.from('again'))
    expect(await readFile(join(path, 'packs/aa'), 'utf8')).toBe('pack')
    expect(await readFile(join(path, 'checkpoints/bb'), 'utf8')).toBe('manifest')
    expect(await readdir(join(path, '.wdock'))).toEqual(['id'])
  })

  it('reads a vault that was copied from a file system without hard links to one that has them, and back', async () => {
    const path = await newFolder()
    const without = await openFolder(path, { link: noLink })
    const having = await openFolder(path)
    expect(await without.putNew('checkpoints/aa', Buffer.from('one'))).toBe(true)
    expect(await having.get('checkpoints/aa', 100)).toEqual(Buffer.from('one'))
    expect(await having.putNew('checkpoints/aa', Buffer.from('two'))).toBe(false)
    expect(await having.putNew('checkpoints/bb', Buffer.from('two'))).toBe(true)
    expect(await without.putNew('checkpoints/bb', Buffer.from('one'))).toBe(false)
    expect(await names(having, 'checkpoints/')).toEqual(['checkpoints/aa', 'checkpoints/bb'])
    await having.remove('checkpoints/aa')
    expect(await having.putNew('checkpoints/aa', Buffer.from('three'))).toBe(true)
    expect(await readFile(join(path, 'checkpoints/aa'), 'utf8')).toBe('three')
  })

  it('takes the empty folder that a killed removal left for a free name', async () => {
    const path = await newFolder()
    await mkdir(join(path, 'checkpoints/aa'), { recursive: true })
    for (const options of [{}, { link: noLink }]) {
      const store = await openFolder(path, options)
      expect(await store.get('checkpoints/aa', 10)).toBeNull()
      expect(await names(store, '')).toEqual([])
      expect(await store.putNew('checkpoints/aa', Buffer.from('new'))).toBe(true)
      expect(await store.get('checkpoints/aa', 10)).toEqual(Buffer.from('new'))
      await store.remove('checkpoints/aa')
      await mkdir(join(path, 'checkpoints/aa'), { recursive: true })
    }
  })

  it('cleans up after a writer that was killed over an hour ago, and after no other', async () => {
    const path = await newFolder()
    await (await openFolder(path)).put('a', Buffer.alloc(1))
    const own = join(path, '.wdock')
    await writeFile(join(own, 'old'), 'half')
    await mkdir(join(own, 'older-folder'))
    await writeFile(join(own, 'young'), 'half')
    const longAgo = new Date(Date.now() - 3_700_000)
    await utimes(join(own, 'old'), longAgo, longAgo)
    await utimes(join(own, 'older-folder'), longAgo, longAgo)
    await utimes(join(own, 'id'), longAgo, longAgo)
    await (await openFolder(path)).put('a', Buffer.alloc(1))
    expect((await readdir(own)).sort()).toEqual(['id', 'young'])
  })

  it('writes nothing into the mount point that a pulled drive leaves behind, and goes on when it is back', async () => {
    const path = await newFolder()
    const store = await openFolder(path)
    await store.put('packs/aa', Buffer.from('pack'))
    await rename(path, `${path}-elsewhere`)
    folders.push(`${path}-elsewhere`)
    const isMissing = (error: unknown) =>
      isCode(error, 'store.folder_missing') && error.message.includes(path)
    await expect(store.put('packs/bb', Buffer.alloc(1))).rejects.toSatisfy(isMissing)
    await expect(store.get('packs/aa', 10)).rejects.toSatisfy(isMissing)
    await mkdir(path)
    await expect(store.put('packs/bb', Buffer.alloc(1))).rejects.toSatisfy(isMissing)
    await expect(store.putNew('packs/bb', Buffer.alloc(1))).rejects.toSatisfy(isMissing)
    await expect(store.get('packs/aa', 10)).rejects.toSatisfy(isMissing)
    await expect(names(store, 'packs/')).rejects.toSatisfy(isMissing)
    await expect(store.remove('packs/aa')).rejects.toSatisfy(isMissing)
    await expect(store.nowMs()).rejects.toSatisfy(isMissing)
    expect(await readdir(path)).toEqual([])
    await rm(path, { recursive: true })
    await rename(`${path}-elsewhere`, path)
    expect(await store.get('packs/aa', 10)).toEqual(Buffer.from('pack'))
    await store.put('packs/bb', Buffer.alloc(1))
  })

  it('takes a copy of itself on another drive for the same folder', async () => {
    const path = await newFolder()
    const store = await openFolder(path)
    await store.put('a', Buffer.from('one'))
    const id = await readFile(join(path, '.wdock/id'))
    await rm(path, { recursive: true })
    await mkdir(join(path, '.wdock'), { recursive: true })
    await writeFile(join(path, '.wdock/id'), id)
    await store.put('a', Buffer.from('two'))
    expect(await readFile(join(path, 'a'), 'utf8')).toBe('two')
  })

  it('must be there, and be a folder', async () => {
    const path = await newFolder()
    await expect(openFolder(join(path, 'none'))).rejects.toSatisfy((e) => isCode(e, 'store.folder_missing'))
    await writeFile(join(path, 'file'), '')
    await expect(openFolder(join(path, 'file'))).rejects.toSatisfy((e) => isCode(e, 'store.not_a_folder'))
  })

  it('names what is in the way instead of touching it', async () => {
    const path = await newFolder()
    await mkdir(join(path, 'packs/aa/mine'), { recursive: true })
    await writeFile(join(path, 'index'), 'mine')
    const store = await openFolder(path)
    const isInTheWay = (error: unknown) => isCode(error, 'store.in_the_way')
    await expect(store.put('packs/aa', Buffer.alloc(1))).rejects.toSatisfy(isInTheWay)
    expect(await store.putNew('packs/aa', Buffer.alloc(1))).toBe(false)
    await expect(store.put('index/aa', Buffer.alloc(1))).rejects.toSatisfy(isInTheWay)
    await expect(store.putNew('index/aa', Buffer.alloc(1))).rejects.toSatisfy(isInTheWay)
    expect(await readFile(join(path, 'index'), 'utf8')).toBe('mine')
    expect(await readdir(join(path, 'packs/aa'))).toEqual(['mine'])
    expect(await readdir(join(path, '.wdock'))).toEqual(['id'])
  })

  it('lists files that somebody else put there, so that a vault is not made among them unasked', async () => {
    const path = await newFolder()
    await mkdir(join(path, 'Photos'))
    await writeFile(join(path, 'Photos/IMG 1.JPG'), 'x')
    await writeFile(join(path, '.DS_Store'), 'x')
    await symlink('/etc', join(path, 'etc'))
    expect(await names(await openFolder(path), '')).toEqual(['Photos/IMG 1.JPG'])
  })

  it('tells time as its file system does', async () => {
    const store = await openFolder(await newFolder())
    expect(Math.abs((await store.nowMs()) - Date.now())).toBeLessThan(5000)
    expect(store.settleMs).toBe(0)
  })

  it.each([
    ['ENOSPC', 'store.full'],
    ['EDQUOT', 'store.full'],
    ['EROFS', 'store.read_only'],
    ['EACCES', 'store.no_permission'],
    ['EIO', 'store.drive_failed'],
    ['ESTALE', 'store.drive_failed'],
    ['EHOSTDOWN', 'store.unreachable'],
    ['EBUSY', 'store.busy'],
    ['EFANTASY', 'store.refused'],
  ] as const)('says in words what %s is', (code, expected) => {
    const error = folderFailure(Object.assign(new Error(`${code}: it failed`), { code }), '/media/usb')
    expect(isCode(error, expected)).toBe(true)
    expect(String(error)).not.toMatch(/\{\w+\}/)
  })
})

async function names(store: ObjectStore, prefix: string): Promise<string[]> {
  const found: string[] = []
  for await (const { name } of store.list(prefix)) found.push(name)
  return found.sort()
}

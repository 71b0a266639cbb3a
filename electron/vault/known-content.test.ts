import { mkdtemp, open, readdir, rename, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { KnownPages, type PackContents } from '../pages/known-pages.ts'
import type { PackSink } from '../pages/pack-writer.ts'
import { pageBytes } from '../pages/page-id.ts'
import { silentLog } from '../platform/log.ts'
import { CaptureFeed } from './capture-feed.ts'
import { ContentIds, chunkPages } from './content-ids.ts'
import { KnownContent } from './known-content.ts'
import { RegionTable } from './region-table.ts'
import { Seeded } from './testing/seeded.ts'
import { testVault } from './testing/test-vault.ts'

const vault = testVault()
const name = 'c'.repeat(64)
const otherName = 'd'.repeat(64)

class Packs implements PackSink {
  readonly contents: PackContents[] = []

  async begin() {
    return {
      write: async () => {},
      finish: async (contents: PackContents) => void this.contents.push(contents),
      discard: async () => {},
    }
  }
}

let folder: string
let contents: ContentIds
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wdi-'))
  contents = new ContentIds(folder, silentLog)
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

/** More than a chunk; a fifth are zero; the last page is not whole. */
function someContent(seed: number): Buffer {
  const random = new Seeded(seed)
  const bytes = Buffer.alloc((chunkPages + 300) * pageBytes - 1000)
  for (let at = 0; at < bytes.length; at += pageBytes) {
    if (!random.chance(0.2)) bytes.writeUInt32LE(1 + random.int(2 ** 30), at)
  }
  return bytes
}

interface Taken {
  idsSha256: string
  /** Where it was read. */
  read: { offset: number; lengthBytes: number }[]
  newPages: number
  packs: readonly PackContents[]
}

async function take(content: Buffer, packs: readonly PackContents[] = [], as = name): Promise<Taken> {
  const known = new KnownPages()
  for (const pack of packs) known.addPack(pack)
  const sink = new Packs()
  const feed = new CaptureFeed(vault, known, sink)
  const table = new RegionTable(Math.ceil(content.length / pageBytes), 'in-order')
  const taken = await KnownContent.open(contents, as, feed, table)
  const read: Taken['read'] = []
  const memory = Buffer.alloc(1024 * 1024)
  await taken.take(0, content.length, async (offset, lengthBytes) => {
    read.push({ offset, lengthBytes })
    memory.fill(0xee)
    content.copy(memory, 0, offset, offset + lengthBytes)
    return memory.subarray(0, lengthBytes)
  })
  await taken.end()
  const { newPages } = await feed.finish()
  return { idsSha256: table.idsSha256(), read, newPages, packs: [...packs, ...sink.contents] }
}

function bytesRead({ read }: Taken): number {
  return read.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0)
}

describe('content that never changes', () => {
  it('is read once, and then known', async () => {
    const content = someContent(1)
    const first = await take(content)
    expect(bytesRead(first)).toBe(content.length)
    const second = await take(content, first.packs)
    expect(second.read).toEqual([])
    expect(second.newPages).toBe(0)
    expect(second.idsSha256).toBe(first.idsSha256)
    // Also by a program that was started later.
    contents = new ContentIds(folder, silentLog)
    expect((await take(content, first.packs)).read).toEqual([])
  })

  it('is read again where the vault has it no more, and only there', async () => {
    const content = someContent(2)
    const first = await take(content)
    const half = first.packs.map((pack) => halfOf(pack))
    const second = await take(content, half)
    expect(bytesRead(second)).toBeLessThan(content.length * 0.65)
    expect(bytesRead(second)).toBeGreaterThan(content.length * 0.3)
    expect(second.idsSha256).toBe(first.idsSha256)
    expect(second.newPages).toBeGreaterThan(0)
    expect((await take(content, second.packs)).read).toEqual([])
  })

  it('is read again where what is known of it is damaged, and known again after that', async () => {
    const content = someContent(3)
    const first = await take(content)
    const file = await open(join(folder, name), 'r+')
    await file.write(Buffer.of(1, 2, 3, 4), 0, 4, 5000)
    await file.close()
    const second = await take(content, first.packs)
    expect(second.idsSha256).toBe(first.idsSha256)
    expect(bytesRead(second)).toBe(chunkPages * pageBytes)
    expect(await readdir(folder)).toEqual([])
    expect(bytesRead(await take(content, first.packs))).toBe(content.length)
    expect((await take(content, first.packs)).read).toEqual([])
  })

  it('never takes one content for another', async () => {
    const content = someContent(6)
    const first = await take(content)
    const other = someContent(7)
    await rename(join(folder, name), join(folder, otherName))
    const second = await take(other, first.packs, otherName)
    expect(bytesRead(second)).toBe(other.length)
    expect(second.idsSha256).not.toBe(first.idsSha256)
  })

  it('never takes one place for another', async () => {
    const content = someContent(4)
    const first = await take(content)
    const path = join(folder, name)
    const chunkBytes = chunkPages * 16 + 32
    const file = await open(path, 'r+')
    const chunk = Buffer.alloc(chunkBytes)
    await file.read(chunk, 0, chunkBytes, 0)
    await file.write(chunk, 0, chunkBytes, chunkBytes)
    await file.close()
    expect((await take(content, first.packs)).idsSha256).toBe(first.idsSha256)
    await take(content, first.packs)
    await truncate(path, chunkBytes + 100)
    expect((await take(content, first.packs)).idsSha256).toBe(first.idsSha256)
  })

  it('is not known when it was given up, and what cannot be kept is no error', async () => {
    const made = await contents.make(name)
    made.zeros(0, 5)
    await made.discard()
    expect(await contents.find(name)).toBeNull()
    expect(await readdir(folder)).toEqual([])
    await writeFile(join(folder, 'file'), '')
    contents = new ContentIds(join(folder, 'file', 'contents'), silentLog)
    const content = someContent(5)
    expect(bytesRead(await take(content))).toBe(content.length)
  })

  it('is let go of when it takes too much, the longest unused first', async () => {
    contents = new ContentIds(folder, silentLog, { mostBytes: 300_000 })
    const names = ['a', 'b', 'c', 'd', 'e'].map((digit) => digit.repeat(64))
    for (const [age, each] of names.entries()) {
      const made = await contents.make(each)
      made.zeros(0, chunkPages)
      await made.commit()
      await utimes(join(folder, each), 1000 + age, 1000 + age).catch(() => {})
      if (each.startsWith('c')) await (await contents.find(names[0] ?? ''))?.close()
    }
    const left = (await readdir(folder)).toSorted()
    expect(left).toContain(names[0])
    expect(left).not.toContain(names[1])
    expect(left).toContain(names[4])
    const sizes = await Promise.all(left.map(async (each) => (await stat(join(folder, each))).blocks * 512))
    expect(sizes.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThanOrEqual(300_000)
  })
})

/** The first half of the frames of a pack. */
function halfOf({ packId, sealedBytes, pages, ids }: PackContents): PackContents {
  const frames = Math.floor(pages.length / 2)
  const count = pages.subarray(0, frames).reduce((sum, each) => sum + each, 0)
  return {
    packId,
    sealedBytes: sealedBytes.subarray(0, frames),
    pages: pages.subarray(0, frames),
    ids: ids.subarray(0, count * 16),
  }
}

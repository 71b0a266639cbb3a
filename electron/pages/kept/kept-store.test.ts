import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { silentLog } from '../../platform/log.ts'
import { openKept } from './kept-pages.ts'
import { KeptStore } from './kept-store.ts'
import { blocks, idKey, idOf, inFolder, pageOf } from './testing/kept-guest.ts'

const guests = [
  '0b4b57a0-5c1c-4cd1-8f2c-0f6f2f6f3a11',
  '1b4b57a0-5c1c-4cd1-8f2c-0f6f2f6f3a11',
  '2b4b57a0-5c1c-4cd1-8f2c-0f6f2f6f3a11',
] as const
const [first, second, third] = guests
const [near, far] = ['a'.repeat(52), 'b'.repeat(52)]

function storeIn(folder: string): KeptStore {
  return new KeptStore({
    folder: join(folder, 'kept'),
    dockKeyPath: join(folder, 'keys', 'kept.key'),
    log: silentLog,
  })
}

async function visit(
  store: KeptStore,
  guestId: string,
  dockId: string,
  atMs: number,
  pages = 100,
  guestName?: string,
): Promise<void> {
  const kept = openKept(store.guestFolder(guestId), await store.dockKey())
  kept.begin({ idKey, blocks, from: 'nothing' })
  for (let page = 0; page < pages; page += 1) kept.putPage(page, idOf(page), 0, pageOf(page), 0)
  kept.finish(randomBytes(16), { guestId, guestName, dockId, atMs })
}

async function guestIds(store: KeptStore): Promise<string[]> {
  return (await store.list()).map(({ guestId }) => guestId).toSorted()
}

describe('the store of kept pages', () => {
  it('makes a key that only this user can read, once', async () => {
    await inFolder(async (folder) => {
      const [one, other] = await Promise.all([storeIn(folder).dockKey(), storeIn(folder).dockKey()])
      expect([one?.length, other?.length]).toEqual([32, 32])
      const store = storeIn(folder)
      const keys = await Promise.all([store.dockKey(), store.dockKey(), storeIn(folder).dockKey()])
      expect(new Set(keys.map((key) => key.toString('hex'))).size).toBe(1)
      const path = join(folder, 'keys', 'kept.key')
      expect(statSync(path).mode & 0o777).toBe(0o600)
      writeFileSync(path, 'short')
      expect((await storeIn(folder).dockKey()).equals(keys[0])).toBe(false)
      expect(readFileSync(path).length).toBe(32)
    })
  })

  it('says what is kept, with whom it was and when', async () => {
    await inFolder(async (folder) => {
      const store = storeIn(folder)
      expect(await store.list()).toEqual([])
      await visit(store, first, near, 1000)
      await visit(store, second, far, 2000, 300)
      mkdirSync(join(folder, 'kept', 'something else'))
      const list = (await store.list()).toSorted((a, b) => a.usedAtMs - b.usedAtMs)
      expect(list).toMatchObject([
        { guestId: first, dockId: near, usedAtMs: 1000 },
        { guestId: second, dockId: far, usedAtMs: 2000 },
      ])
      expect(list[0]?.bytes).toBeGreaterThan(100 * 4096)
      expect(list[1]?.bytes).toBeGreaterThan(300 * 4096)
      expect(list[1]?.bytes).toBeLessThan(300 * 4096 + 100_000)
      writeFileSync(join(store.guestFolder(first), 'note.json'), '{"dockId":')
      expect((await store.list()).find(({ guestId }) => guestId === first)?.dockId).toBeNull()
    })
  })

  it('lets go of those longest unused until the others fit, but of none that is busy', async () => {
    await inFolder(async (folder) => {
      const store = storeIn(folder)
      await visit(store, first, near, 3000)
      await visit(store, second, near, 1000)
      await visit(store, third, near, 2000)
      const bytes = (await store.list())[0]?.bytes ?? 0
      await store.trim(bytes * 3, new Set())
      expect(await guestIds(store)).toEqual([first, second, third])
      await store.trim(bytes * 3 - 1, new Set([second]))
      expect(await guestIds(store)).toEqual([first, second])
      await store.trim(bytes, new Set())
      expect(await guestIds(store)).toEqual([first])
      await store.trim(0, new Set([first]))
      expect(await guestIds(store)).toEqual([first])
      await store.trim(0, new Set())
      expect(await guestIds(store)).toEqual([])
    })
  })

  it('forgets a guest, and no error when there is nothing to forget', async () => {
    await inFolder(async (folder) => {
      const store = storeIn(folder)
      await visit(store, first, near, 1000)
      await visit(store, second, near, 1000)
      await store.forget(first)
      await store.forget(first)
      expect(await guestIds(store)).toEqual([second])
      expect(readdirSync(join(folder, 'kept'))).toEqual([second])
      await store.forgetWhere(() => true)
      expect(await guestIds(store)).toEqual([])
    })
  })

  it('knows what a guest was called, but not of what was kept before names were', async () => {
    await inFolder(async (folder) => {
      const store = storeIn(folder)
      await visit(store, first, near, 1000)
      await visit(store, second, near, 1000, 100, 'Workshop')
      const names = new Map((await store.list()).map(({ guestId, guestName }) => [guestId, guestName]))
      expect(names).toEqual(
        new Map([
          [first, null],
          [second, 'Workshop'],
        ]),
      )
    })
  })

  it('forgets those of which it is asked, by what is known of each', async () => {
    await inFolder(async (folder) => {
      const store = storeIn(folder)
      await visit(store, first, near, 1000)
      await visit(store, second, far, 1000)
      await visit(store, second, near, 2000)
      await visit(store, third, far, 1000)
      await store.forgetWhere(({ dockId }) => dockId === 'c'.repeat(52))
      expect(await guestIds(store)).toEqual([first, second, third])
      await store.forgetWhere(({ dockId }) => dockId === near)
      expect(await guestIds(store)).toEqual([third])
      rmSync(join(store.guestFolder(third), 'note.json'))
      await store.forgetWhere(({ dockId }) => dockId === null)
      expect(await guestIds(store)).toEqual([])
    })
  })

  it('leaves nothing that can be read when it is stopped half way', async () => {
    await inFolder(async (folder) => {
      const store = storeIn(folder)
      await visit(store, first, near, 1000)
      rmSync(join(store.guestFolder(first), 'salt'))
      expect(await store.list()).toMatchObject([{ guestId: first, dockId: null }])
      expect(openKept(store.guestFolder(first), await store.dockKey()).known).toBeNull()
      // What is left goes when the next visit is finished.
      const before = readdirSync(store.guestFolder(first)).filter((name) => name.endsWith('.seg'))
      await visit(store, first, near, 2000)
      expect(existsSync(join(store.guestFolder(first), before[0] ?? ''))).toBe(false)
    })
  })

  it('keeps going when a guest is forgotten during a visit: nothing is known after it', async () => {
    await inFolder(async (folder) => {
      const store = storeIn(folder)
      const kept = openKept(store.guestFolder(first), await store.dockKey())
      kept.begin({ idKey, blocks, from: 'nothing' })
      for (let page = 0; page < 100; page += 1) kept.putPage(page, idOf(page), 0, pageOf(page), 0)
      await store.forget(first)
      const out = Buffer.alloc(4096)
      expect(kept.readInto(99, out, 0) && out.equals(pageOf(99))).toBe(true)
      expect(() => kept.finish(randomBytes(16), { guestId: first, dockId: near, atMs: 1 })).toThrow()
      expect(openKept(store.guestFolder(first), await store.dockKey()).known).toBeNull()
    })
  })

  it.each(['', '..', '../x', 'a/b', `${first}/..`, `${first} `, first.slice(1)])(
    'takes nothing but the id of a guest for one: %j',
    async (wrong) => {
      const store = storeIn('/nowhere')
      expect(() => store.guestFolder(wrong)).toThrow(RangeError)
      await expect(store.forget(wrong)).rejects.toThrow(RangeError)
    },
  )
})

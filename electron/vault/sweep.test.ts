/** A sweep by itself: what it frees, what it refuses, what it leaves when it is stopped. Together with others: the model. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { MemoryStore } from '../objects/memory.ts'
import { type Clock, systemClock } from '../platform/clock.ts'
import { silentLog } from '../platform/log.ts'
import { encodeIntent } from './codec/intent.ts'
import { decodeIndex } from './codec/page-index-file.ts'
import { encodeProposal } from './codec/proposal.ts'
import { mergeIndex } from './index-merge.ts'
import { prefixes } from './names.ts'
import { ObjectCache } from './object-cache.ts'
import type { OpenVault } from './open-vault.ts'
import { loadKnownPages } from './page-index.ts'
import { removeCheckpoint } from './remove-checkpoint.ts'
import { type SweepProgress, sweep } from './sweep.ts'
import { changedImage, publishImage, testImage, testIntent, testVault } from './testing/test-vault.ts'
import { usablePacks } from './usable-packs.ts'

const minuteMs = 60_000
const image = testImage(31, 60)
const other = 'b'.repeat(32)

describe('a sweep', () => {
  let store: MemoryStore
  let vault: OpenVault
  let clock: Clock & { atMs: number }

  beforeEach(() => {
    clock = {
      atMs: Date.now(),
      nowMs: () => clock.atMs,
      monotonicMs: () => clock.atMs,
      // Waiting takes the store's time, and none of ours.
      sleep: async (durationMs, signal) => {
        if (durationMs === 120_000) return await systemClock.sleep(2 ** 30, signal)
        await systemClock.sleep(0, signal)
        clock.atMs += durationMs
      },
    }
    store = new MemoryStore({ clock })
    vault = testVault(store, { clock })
  })

  const names = (prefix: string) => [...store.objects.keys()].filter((name) => name.startsWith(prefix))
  const full = (prefix: string) => names(prefix).filter((name) => store.objects.get(name)?.body.length)

  async function aDeletedCheckpoint(): Promise<string> {
    const id = await publishImage(vault, image)
    await removeCheckpoint(vault, id)
    clock.atMs += 31 * minuteMs
    return id
  }

  it('frees what no checkpoint uses, and nothing else', async () => {
    await publishImage(vault, image)
    const used = full(prefixes.packs)
    const second = await publishImage(vault, changedImage(image, 2, 10))
    await removeCheckpoint(vault, second)
    clock.atMs += 31 * minuteMs
    const unusedBytes = full(prefixes.packs)
      .filter((name) => !used.includes(name))
      .reduce((sum, name) => sum + (store.objects.get(name)?.body.length ?? 0), 0)
    const told: SweepProgress[] = []
    const result = await sweep(vault, { onProgress: (progress) => told.push(progress) })
    expect(result).toEqual({ freedPacks: 1, freedBytes: unusedBytes })
    expect(names(prefixes.packs)).toEqual(used)
    expect([...names(prefixes.sweeps), ...names(prefixes.doomed)]).toEqual([])
    expect(names(prefixes.summaries)).toHaveLength(1)
    expect(told.at(-1)).toEqual({ kind: 'freeing', doneBytes: unusedBytes, totalBytes: unusedBytes })
    expect(await sweep(vault)).toEqual({ freedPacks: 0, freedBytes: 0 })
  })

  it('leaves young packs to their uploads', async () => {
    const id = await publishImage(vault, image)
    await removeCheckpoint(vault, id)
    expect((await sweep(vault)).freedPacks).toBe(0)
  })

  it('frees nothing while a checkpoint cannot be read, or something is there that it does not know', async () => {
    await aDeletedCheckpoint()
    const packs = full(prefixes.packs)
    for (const name of [prefixes.checkpoints + other, `${prefixes.checkpoints}of-a-newer-kind`]) {
      store.objects.set(name, { body: Buffer.alloc(60, 1), writtenAtMs: 0 })
      await expect(sweep(vault)).rejects.toMatchObject({ code: 'vault.sweep_unsure' })
      store.objects.delete(name)
    }
    expect(full(prefixes.packs)).toEqual(packs)
    expect(names(prefixes.sweeps)).toEqual([])
  })

  it('waits for an upload, says for whose, and ends it when it is silent for too long', async () => {
    await aDeletedCheckpoint()
    await vault.objects.write(prefixes.uploads + other, encodeIntent(testIntent))
    const told: SweepProgress[] = []
    const startMs = clock.atMs
    const { freedPacks } = await sweep(vault, { onProgress: (progress) => told.push(progress) })
    expect(freedPacks).toBe(1)
    expect(clock.atMs - startMs).toBeGreaterThan(30 * minuteMs)
    expect(told).toContainEqual({ kind: 'waiting', uploads: [testIntent] })
    expect(names(prefixes.uploads)).toEqual([])
    expect(store.objects.get(prefixes.checkpoints + other)?.body.length).toBe(0)
  })

  it('that is stopped while it waits takes its proposal back', async () => {
    await aDeletedCheckpoint()
    await vault.objects.write(prefixes.uploads + other, encodeIntent(testIntent))
    const stop = new AbortController()
    const swept = sweep(vault, {
      signal: stop.signal,
      onProgress: ({ kind }) => {
        if (kind === 'waiting') stop.abort(new Error('enough'))
      },
    })
    await expect(swept).rejects.toThrow('enough')
    expect(names(prefixes.sweeps)).toEqual([])
    expect(full(prefixes.packs)).toHaveLength(1)
  })

  it('finishes what another left, and closes what another did not go on with', async () => {
    await aDeletedCheckpoint()
    const [pack = ''] = full(prefixes.packs).map((name) => name.slice(prefixes.packs.length))
    const list = encodeProposal({ remove: [pack], close: [] })
    await vault.objects.write(`${prefixes.doomed}${'1'.repeat(32)}`, list)
    await vault.objects.write(`${prefixes.sweeps}${'2'.repeat(32)}`, list)
    clock.atMs += 31 * minuteMs
    await sweep(vault)
    expect(names(prefixes.packs)).toEqual([])
    expect(names(prefixes.sweeps)).toEqual([])
    expect(names(prefixes.doomed)).toEqual([`${prefixes.doomed}${'2'.repeat(32)}`])
    expect(full(prefixes.doomed)).toEqual([])
  })

  it('closes the names of packs that the index does not know, and opens them after 400 days', async () => {
    await aDeletedCheckpoint()
    for (const name of names(prefixes.index)) store.objects.delete(name)
    const [pack = ''] = names(prefixes.packs)
    await sweep(vault)
    expect(store.objects.get(pack)?.body.length).toBe(0)
    clock.atMs += 399 * 24 * 60 * minuteMs
    await sweep(vault)
    expect(store.objects.has(pack)).toBe(true)
    clock.atMs += 2 * 24 * 60 * minuteMs
    await sweep(vault)
    expect([...names(prefixes.packs), ...names(prefixes.checkpoints)]).toEqual([])
  })

  it('takes small objects that belong to nothing, once they are old', async () => {
    const id = await publishImage(vault, image)
    const kept = prefixes.labels + id
    const orphans = [prefixes.summaries, prefixes.labels, prefixes.warm, prefixes.verified].map(
      (p) => p + other,
    )
    for (const name of [kept, ...orphans]) await vault.objects.write(name, Buffer.from('x'))
    await sweep(vault)
    expect(orphans.every((name) => store.objects.has(name))).toBe(true)
    clock.atMs += 31 * minuteMs
    await sweep(vault)
    expect(orphans.filter((name) => store.objects.has(name))).toEqual([])
    expect(store.objects.has(kept)).toBe(true)
  })

  it('leaves what it does not know', async () => {
    const names = ['vault.json', `notes/${other}`]
    for (const name of names) await store.put(name, Buffer.from('x'))
    clock.atMs += 500 * 24 * 60 * minuteMs
    await sweep(vault)
    for (const name of names) expect(store.objects.has(name)).toBe(true)
  })
})

describe('the index', () => {
  let store: MemoryStore
  let vault: OpenVault

  beforeEach(async () => {
    store = new MemoryStore()
    vault = testVault(store)
    let each = image
    for (let number = 0; number < 4; number += 1) {
      await publishImage(vault, each)
      each = changedImage(each, number, 5)
    }
  })

  const parts = () => [...store.objects.keys()].filter((name) => name.startsWith(prefixes.index))
  const known = async (options = {}) => await loadKnownPages(vault, await usablePacks(vault, {}), options)

  it('names all pages of packs that may be relied on, the newest where there are too many', async () => {
    const all = await known()
    expect(all.table.size).toBeGreaterThan(40)
    const fewer = await known({ mostPages: 30 })
    expect(fewer.table.size).toBeGreaterThan(0)
    expect(fewer.table.size).toBeLessThan(30)
    const none = await loadKnownPages(vault, new Map(), {})
    expect(none.table.size).toBe(0)
  })

  it('is no help where it is damaged, and no harm', async () => {
    const before = (await known()).table.size
    const [first = ''] = parts()
    store.objects.set(first, { body: Buffer.alloc(60, 1), writtenAtMs: 0 })
    const size = (await known()).table.size
    expect(size).toBeLessThan(before)
    expect(size).toBeGreaterThan(0)
  })

  it('is kept on this PC, and forgotten when it was merged away', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'wd-ix-'))
    vault = testVault(store, { cache: new ObjectCache(folder, silentLog) })
    await known()
    expect(await readdir(folder)).toHaveLength(parts().length)
    store.get = async () => null
    expect((await known()).table.size).toBeGreaterThan(40)
    store.objects.delete(parts()[0] ?? '')
    await known()
    expect(await readdir(folder)).toHaveLength(parts().length)
    await rm(folder, { recursive: true })
  })

  it('offers nothing while a list of packs to free cannot be read', async () => {
    store.objects.set(prefixes.sweeps + other, { body: Buffer.alloc(60, 1), writtenAtMs: 0 })
    expect((await usablePacks(vault, {})).size).toBe(0)
  })

  it('is merged without what is gone, and says the same of the rest', async () => {
    const before = (await known()).table.size
    const [gone = ''] = [...store.objects.keys()].filter((name) => name.startsWith(prefixes.packs)).slice(-1)
    const id = gone.slice(prefixes.packs.length)
    await mergeIndex(vault, new Set([id]), {})
    expect(parts()).toHaveLength(1)
    const payload = await vault.objects.read(parts()[0] ?? '', 2 ** 24)
    const packs = [...decodeIndex('index', payload ?? Buffer.alloc(0))].map(({ packId }) =>
      packId.toString('hex'),
    )
    expect(packs).toHaveLength(3)
    expect(packs).not.toContain(id)
    const after = (await known()).table.size
    expect(after).toBeLessThan(before)
    const tidy = parts()
    await mergeIndex(vault, new Set(), {})
    expect(parts()).toEqual(tidy)
  })
})

/** The list of a vault: all of it, quickly, and nothing hidden that is damaged. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fail } from '../../shared/errors/index.ts'
import { MemoryStore } from '../objects/memory.ts'
import type { CallOptions } from '../objects/object-store.ts'
import { silentLog } from '../platform/log.ts'
import { Catalog } from './catalog.ts'
import { encodeManifest } from './codec/manifest.ts'
import { encodeSummary } from './codec/summary.ts'
import { encodeVerified } from './codec/verified.ts'
import { prefixes } from './names.ts'
import { ObjectCache } from './object-cache.ts'
import type { OpenVault } from './open-vault.ts'
import { removeCheckpoint } from './remove-checkpoint.ts'
import { testSummary } from './testing/summaries.ts'
import { buildCase } from './testing/tables.ts'
import { testVault } from './testing/test-vault.ts'

/** Counts what is read of it. */
class GetStore extends MemoryStore {
  gets: string[] = []
  isDown = false

  override async get(name: string, limitBytes: number, options?: CallOptions): Promise<Buffer | null> {
    if (this.isDown) throw fail('store.unreachable', { place: this.sentence })
    this.gets.push(name)
    return await super.get(name, limitBytes, options)
  }
}

const picture = Buffer.from('a picture')

describe('the list of a vault', () => {
  let folder: string
  let store: GetStore
  let clock: { atMs: number; nowMs(): number }

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'wd-cat-'))
    clock = { atMs: 1_760_000_000_000, nowMs: () => clock.atMs }
    store = new GetStore({ clock })
  })
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true })
  })

  function aPc(): { catalog: Catalog; vault: OpenVault } {
    const cache = new ObjectCache(folder, silentLog)
    const vault = testVault(store, { cache })
    return { catalog: new Catalog(vault, cache), vault }
  }

  async function add(number: number, atMs = 1000 + number): Promise<string> {
    const { objects } = testVault(store)
    const id = number.toString(16).padStart(32, '0')
    const { manifest } = buildCase(id, { packs: [], cells: [] })
    const { head } = testSummary(id, { atMs, guestName: `Guest ${number}` })
    await objects.write(prefixes.summaries + id, encodeSummary({ head, picture }))
    await objects.write(prefixes.checkpoints + id, encodeManifest(manifest))
    return id
  }

  it('has all checkpoints, newest first, as they were made', async () => {
    const [first, second] = [await add(1), await add(2)]
    const { catalog } = aPc()
    const listed = await catalog.list()
    expect(listed.map(({ id }) => id)).toEqual([second, first])
    expect(listed[0]).toMatchObject({ guestName: 'Guest 2', hasPicture: true, place: { kind: 'vault' } })
    expect(await catalog.picture(first)).toEqual(picture)
    expect(await catalog.one(first)).toEqual(listed[1])
  })

  it('asks for names only when it was made before, also after a restart', async () => {
    for (let number = 0; number < 20; number += 1) await add(number)
    const first = await aPc().catalog.list()
    store.gets = []
    const { catalog } = aPc()
    expect(await catalog.list()).toEqual(first)
    expect(await catalog.list()).toEqual(first)
    expect(store.gets).toEqual([])
    const added = await add(99)
    expect((await catalog.list())[0]?.id).toBe(added)
    expect(store.gets).toEqual([prefixes.summaries + added])
  })

  it('follows what people and checks change, within the same instant too', async () => {
    const id = await add(1)
    const { catalog, vault } = aPc()
    await catalog.list()
    const elsewhere = new Catalog(testVault(store))
    for (const name of ['aa', 'bb', 'cc']) {
      await elsewhere.writeLabel(id, { name, note: '', pinned: true })
      expect((await catalog.list())[0]?.label).toEqual({ name, note: '', pinned: true })
    }
    const error = fail('vault.damaged').toJSON()
    await vault.objects.write(prefixes.verified + id, encodeVerified({ atMs: 5, how: 'read', error }))
    expect((await catalog.list())[0]).toMatchObject({ verifiedAtMs: null, place: { kind: 'damaged', error } })
    await vault.objects.write(prefixes.verified + id, encodeVerified({ atMs: 6, how: 'read', error: null }))
    expect((await catalog.list())[0]).toMatchObject({ verifiedAtMs: 6, place: { kind: 'vault' } })
    clock.atMs += 60_000
    await catalog.list()
    store.gets = []
    await catalog.list()
    expect(store.gets).toEqual([])
  })

  it('has what was deleted no more, and says so when it is asked for', async () => {
    const id = await add(1)
    const { catalog, vault } = aPc()
    await catalog.list()
    await removeCheckpoint(vault, id)
    expect(await catalog.list()).toEqual([])
    expect(store.objects.get(prefixes.checkpoints + id)?.body.length).toBe(0)
    await expect(catalog.one(id)).rejects.toMatchObject({ code: 'vault.checkpoint_missing' })
    await expect(removeCheckpoint(vault, id)).rejects.toMatchObject({ code: 'vault.checkpoint_missing' })
  })

  it('shows a checkpoint without its summary, from the manifest', async () => {
    const [lost, harmed] = [await add(1), await add(2)]
    store.objects.delete(prefixes.summaries + lost)
    store.objects.set(prefixes.summaries + harmed, { body: Buffer.alloc(60, 1), writtenAtMs: 0 })
    const listed = await aPc().catalog.list()
    expect(listed).toHaveLength(2)
    for (const each of listed) {
      expect(each).toMatchObject({ guestName: 'Test guest', hasPicture: false, place: { kind: 'vault' } })
    }
  })

  it('shows as damaged what cannot be read at all, and hides nothing for a damaged label', async () => {
    const [lost, labelled] = [await add(1), await add(2)]
    store.objects.delete(prefixes.summaries + lost)
    store.objects.set(prefixes.checkpoints + lost, { body: Buffer.alloc(60, 1), writtenAtMs: 77 })
    store.objects.set(prefixes.labels + labelled, { body: Buffer.alloc(60, 1), writtenAtMs: 0 })
    const listed = await aPc().catalog.list()
    expect(listed.find(({ id }) => id === lost)).toMatchObject({
      atMs: 77,
      place: { kind: 'damaged', error: { code: 'vault.damaged_object' } },
    })
    expect(listed.find(({ id }) => id === labelled)).toMatchObject({ place: { kind: 'vault' } })
  })

  it('fails rather than being shorter when the store does not answer', async () => {
    await add(1)
    store.isDown = true
    await expect(aPc().catalog.list()).rejects.toMatchObject({ code: 'store.unreachable' })
  })
})

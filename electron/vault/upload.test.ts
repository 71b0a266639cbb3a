/** An upload: nothing twice, nothing lost, whatever ends the program or the link in between. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fail } from '../../shared/errors/index.ts'
import { MemoryStore } from '../objects/memory.ts'
import type { CallOptions } from '../objects/object-store.ts'
import { FrameCache } from '../pages/frame-cache.ts'
import { pageBytes } from '../pages/page-id.ts'
import { type Clock, systemClock } from '../platform/clock.ts'
import { DiskSpools } from './disk-spool.ts'
import { prefixes } from './names.ts'
import { openCheckpoint } from './reader.ts'
import { removeCheckpoint } from './remove-checkpoint.ts'
import { sweep } from './sweep.ts'
import {
  captureImage,
  changedImage,
  publishImage,
  testImage,
  testIntent,
  testSealer,
  testVault,
} from './testing/test-vault.ts'
import { Upload } from './upload.ts'

const image = testImage(1, 300)
const small = { packBytes: 64 * 1024 }
const little = testImage(5, 120)
const tiny = { packBytes: 36 * 1024 }

/** Counts what is sent, and can fall silent: a call that nobody ever answers. */
class CountingStore extends MemoryStore {
  readonly sent: string[] = []
  calls = 0
  /** After so many calls no more are answered. */
  silentAfter = Number.POSITIVE_INFINITY
  /** Every call fails as that of a store that does not answer. */
  isDown = false

  async #pass(options: CallOptions | undefined): Promise<void> {
    this.calls += 1
    if (this.isDown) throw fail('store.unreachable', { place: this.sentence })
    if (this.calls <= this.silentAfter) return
    await new Promise((_, reject) => {
      options?.signal?.addEventListener('abort', () => reject(options.signal?.reason))
    })
  }

  override async put(name: string, body: Uint8Array, options?: CallOptions): Promise<void> {
    await this.#pass(options)
    this.sent.push(name)
    await super.put(name, body, options)
  }

  override async putNew(name: string, body: Uint8Array, options?: CallOptions): Promise<boolean> {
    await this.#pass(options)
    const isNew = await super.putNew(name, body, options)
    if (isNew) this.sent.push(name)
    return isNew
  }

  override async get(name: string, limitBytes: number, options?: CallOptions): Promise<Buffer | null> {
    await this.#pass(options)
    return await super.get(name, limitBytes, options)
  }

  override async listPage(...args: Parameters<MemoryStore['listPage']>): ReturnType<MemoryStore['listPage']> {
    await this.#pass(args[2])
    return await super.listPage(...args)
  }

  override async remove(name: string, options?: CallOptions): Promise<void> {
    await this.#pass(options)
    await super.remove(name, options)
  }

  names(prefix: string): string[] {
    return [...this.objects.keys()].filter((name) => name.startsWith(prefix))
  }
}

/** A clock whose waits are over at once; its time is the test's. */
function quickClock(): Clock & { atMs: number } {
  const clock = {
    atMs: Date.now(),
    nowMs: () => clock.atMs,
    monotonicMs: () => clock.atMs,
    sleep: (durationMs: number, signal?: AbortSignal) =>
      durationMs > 60_000 ? systemClock.sleep(2 ** 30, signal) : systemClock.sleep(1, signal),
  }
  return clock
}

describe('an upload', () => {
  let folder: string
  let store: CountingStore

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'wd-up-'))
    store = new CountingStore()
  })
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true })
  })

  const spools = () => new DiskSpools(join(folder, 'spool'), testSealer)

  async function readBack(id: string, pages = image.length / pageBytes): Promise<Buffer> {
    const reader = await openCheckpoint(testVault(store), id, { frames: null })
    try {
      return await reader.read(0, 0, pages)
    } finally {
      reader.close()
    }
  }

  it('leaves a checkpoint that reads as it was captured, and nothing that announces work', async () => {
    const id = await publishImage(testVault(store), image, small)
    expect((await readBack(id)).equals(image)).toBe(true)
    expect(store.names(prefixes.uploads)).toEqual([])
    expect(store.names(prefixes.packs).length).toBeGreaterThan(1)
    expect(store.names(prefixes.summaries)).toEqual([prefixes.summaries + id])
  })

  it('sends only what the vault has not', async () => {
    await publishImage(testVault(store), image)
    const next = changedImage(image, 2, 10)
    const { upload, newPages } = await captureImage(testVault(store), next)
    const { checkpointId } = await upload.published
    expect(newPages).toBeLessThanOrEqual(10)
    expect((await readBack(checkpointId)).equals(next)).toBe(true)
  })

  it('writes the manifest after all that it lists', async () => {
    const id = await publishImage(testVault(store), image, small)
    const last = store.sent.indexOf(prefixes.checkpoints + id)
    const others = [prefixes.packs, prefixes.index, prefixes.summaries].flatMap((prefix) =>
      store.names(prefix),
    )
    for (const name of others) expect(store.sent.indexOf(name)).toBeLessThan(last)
    expect(store.sent[0]).toBe(prefixes.uploads + id)
  })

  it('goes on after being killed at any call, sending nothing twice but small notes', async () => {
    const all = await callsOfOne()
    let resumptions = 0
    for (let calls = 6; calls < all; calls += 1) {
      store = new CountingStore()
      const spool = await spools().create('0'.repeat(31) + (calls % 10), 0)
      store.silentAfter = calls
      const { upload } = await captureImage(testVault(store), little, { ...tiny, spool })
      for (let turn = 0; turn < 40 && store.calls <= calls; turn += 1) await systemClock.sleep(1)
      // What a kill leaves: the folder and the store.
      await upload.close()
      store.silentAfter = Number.POSITIVE_INFINITY
      const [left] = await spools().left()
      if (left === undefined) continue // It had ended.
      const resumed = await Upload.resume({ vault: testVault(store), spool: left, frames: null })
      const published = await resumed?.published
      await resumed?.ended
      resumptions += 1
      expect(published, `after ${calls} calls`).toBeDefined()
      expect((await readBack(published?.checkpointId ?? '', 120)).equals(little)).toBe(true)
      const packs = store.sent.filter((name) => /^(packs|index|checkpoints)/.test(name))
      expect(new Set(packs).size, `after ${calls} calls`).toBe(packs.length)
      expect(await readdir(join(folder, 'spool'))).toEqual([])
      expect(store.names(prefixes.uploads)).toEqual([])
    }
    expect(resumptions).toBeGreaterThan(5)
  })

  async function callsOfOne(): Promise<number> {
    await publishImage(testVault(store), little, tiny)
    return store.calls
  }

  it('whose capture was cut off takes back what it announced', async () => {
    const spool = await spools().create('1'.repeat(32), 0)
    const begun = await Upload.begin({ vault: testVault(store), spool, frames: null, intent: testIntent })
    await begun.upload.close()
    expect(store.names(prefixes.uploads)).toHaveLength(1)
    const [left] = await spools().left()
    if (left === undefined) throw new Error('no spool')
    expect(await Upload.resume({ vault: testVault(store), spool: left, frames: null })).toBeNull()
    expect(store.names(prefixes.uploads)).toEqual([])
    expect(await readdir(join(folder, 'spool'))).toEqual([])
  })

  it('begins without the store, and goes on when that answers', async () => {
    const clock = quickClock()
    store.isDown = true
    const troubles: (string | null)[] = []
    const onTrouble = (error: { code: string } | null) => troubles.push(error?.code ?? null)
    const { upload } = await captureImage(testVault(store, { clock }), image, { options: { onTrouble } })
    await systemClock.sleep(10)
    expect(store.sent).toEqual([])
    store.isDown = false
    const { checkpointId } = await upload.published
    expect((await readBack(checkpointId)).equals(image)).toBe(true)
    expect(troubles[0]).toBe('store.unreachable')
    expect(troubles.at(-1)).toBeNull()
    await upload.close()
  })

  it('fails at once, and leaves nothing, where the store refuses', async () => {
    store.put = async () => {
      throw fail('store.access_refused', { place: 'it' })
    }
    const spool = await spools().create('2'.repeat(32), 0)
    const begun = Upload.begin({ vault: testVault(store), spool, frames: null, intent: testIntent })
    await expect(begun).rejects.toMatchObject({ code: 'store.access_refused' })
    expect(await readdir(join(folder, 'spool'))).toEqual([])
  })

  it('that is cancelled leaves no intent, no spool and no checkpoint', async () => {
    const spool = await spools().create('3'.repeat(32), 0)
    store.silentAfter = 8
    const { upload } = await captureImage(testVault(store), image, { ...small, spool })
    store.silentAfter = Number.POSITIVE_INFINITY
    expect(await upload.cancel()).toBe('cancelled')
    await expect(upload.published).rejects.toMatchObject({ code: 'host.cancelled' })
    expect(store.names(prefixes.uploads)).toEqual([])
    expect(store.names(prefixes.checkpoints)).toEqual([])
    expect(await readdir(join(folder, 'spool'))).toEqual([])
  })

  it('that is cancelled too late says so', async () => {
    const { upload } = await captureImage(testVault(store), image)
    const { checkpointId } = await upload.published
    expect(await upload.cancel()).toBe('published')
    expect((await readBack(checkpointId)).equals(image)).toBe(true)
  })

  it('that a sweep has ended starts again under a new id, with what was freed sent anew', async () => {
    const clock = quickClock()
    store = new CountingStore({ clock })
    const vault = testVault(store, { clock })
    const old = await publishImage(vault, image, small)
    const next = changedImage(image, 3, 20)
    const spool = await spools().create('4'.repeat(32), 0)
    const cache = await FrameCache.open({ folder: join(folder, 'frames'), limitBytes: 2 ** 30 })
    // It knows all packs of the old checkpoint, then it is silent while that is deleted and swept.
    const { upload } = await captureImage(vault, next, { ...small, spool })
    const firstId = upload.id
    store.silentAfter = 0
    await upload.close()
    store.silentAfter = Number.POSITIVE_INFINITY
    await keepPacks(store, cache)
    await removeCheckpoint(vault, old)
    for (let round = 0; round < 2; round += 1) {
      clock.atMs += 31 * 60_000
      await sweep(vault)
    }
    const [left] = await spools().left()
    if (left === undefined) throw new Error('it was too quick')
    const resumed = await Upload.resume({ vault, spool: left, frames: cache })
    const published = await resumed?.published
    expect(published?.checkpointId).not.toBe(firstId)
    expect((await readBack(published?.checkpointId ?? '')).equals(next)).toBe(true)
    await resumed?.ended
    await cache.close()
  })

  it('says that it is lost when what it builds on is nowhere any more', async () => {
    const clock = quickClock()
    store = new CountingStore({ clock })
    const vault = testVault(store, { clock })
    const old = await publishImage(vault, image, small)
    const spool = await spools().create('5'.repeat(32), 0)
    const { upload } = await captureImage(vault, changedImage(image, 3, 5), { spool })
    store.silentAfter = 0
    await upload.close()
    store.silentAfter = Number.POSITIVE_INFINITY
    await removeCheckpoint(vault, old)
    clock.atMs += 31 * 60_000
    await sweep(vault)
    const [left] = await spools().left()
    if (left === undefined) throw new Error('it was too quick')
    const resumed = await Upload.resume({ vault, spool: left, frames: null })
    await expect(resumed?.published).rejects.toMatchObject({ code: 'vault.upload_lost' })
    expect(await readdir(join(folder, 'spool'))).toEqual([])
  })

  it('keeps nothing in clear on this PC', async () => {
    const text = 'the name of a person'
    const spool = await spools().create('7'.repeat(32), 0)
    store.silentAfter = 6
    const { upload } = await captureImage(testVault(store), Buffer.alloc(pageBytes * 40, text), {
      spool,
      summary: { guestName: text },
    })
    for (const name of await readdir(join(folder, 'spool', '7'.repeat(32)))) {
      const bytes = await readFile(join(folder, 'spool', '7'.repeat(32), name))
      expect(bytes.includes(text), name).toBe(false)
    }
    store.silentAfter = Number.POSITIVE_INFINITY
    await upload.cancel()
  })

  it('refuses to begin where there is no room', async () => {
    const full = new DiskSpools(join(folder, 'spool'), testSealer, async () => 100 * 1024 ** 2)
    await expect(full.create('8'.repeat(32), 2 ** 30)).rejects.toMatchObject({ code: 'vault.spool_full' })
    expect(await readdir(join(folder, 'spool'))).toEqual([])
  })

  it('tells a disk that is filled on the way, and can be given up then', async () => {
    let free = 2 ** 40
    const filling = new DiskSpools(join(folder, 'spool'), testSealer, async () => free)
    const spool = await filling.create('9'.repeat(32), 2 ** 20)
    const { upload } = await Upload.begin({
      vault: testVault(store),
      spool,
      frames: null,
      intent: testIntent,
    })
    free = 0
    await expect(upload.sink.begin(Buffer.alloc(16, 1))).rejects.toMatchObject({ code: 'vault.spool_full' })
    expect(await upload.cancel()).toBe('cancelled')
    expect(store.names(prefixes.uploads)).toEqual([])
  })
})

/** Every pack of a store as if it had been read by this PC before. */
async function keepPacks(store: MemoryStore, cache: FrameCache): Promise<void> {
  const { writeFile } = await import('node:fs/promises')
  for (const [name, { body }] of store.objects) {
    if (!name.startsWith(prefixes.packs)) continue
    const file = join(tmpdir(), `wd-keep-${process.pid}`)
    await writeFile(file, body)
    await cache.adopt(Buffer.from(name.slice(prefixes.packs.length), 'hex'), file)
    await rm(file)
  }
}

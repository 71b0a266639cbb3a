/** Reading a checkpoint: right bytes or a named error, from anywhere, in any order, however the store behaves. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fail, type WdockError } from '../../shared/errors/index.ts'
import { MemoryStore } from '../objects/memory.ts'
import type { CallOptions } from '../objects/object-store.ts'
import { FrameCache } from '../pages/frame-cache.ts'
import { pageBytes } from '../pages/page-id.ts'
import { systemClock } from '../platform/clock.ts'
import { placesOf } from './codec/frame-rows.ts'
import { rangesOf } from './frame-ranges.ts'
import { Lanes } from './lanes.ts'
import { logicalBytesOf, wholeBytesOf } from './manifest-sizes.ts'
import { prefixes } from './names.ts'
import { type CheckpointReader, openCheckpoint } from './reader.ts'
import { RegionReader } from './region-reader.ts'
import { changedImage, publishImage, testImage, testVault } from './testing/test-vault.ts'

const pages = 400
const image = testImage(11, pages)
const next = changedImage(image, 12, 40)

/** Tells how it is read, and can be out of reach. */
class ReadStore extends MemoryStore {
  reads: { name: string; offset: number; length: number }[] = []
  failures = 0

  override async getRange(name: string, offset: number, length: number, options?: CallOptions) {
    this.reads.push({ name, offset, length })
    if (this.failures > 0) {
      this.failures -= 1
      throw fail('store.unreachable', { place: this.sentence })
    }
    return await super.getRange(name, offset, length, options)
  }
}

describe('a reader of a checkpoint', () => {
  let folder: string
  let store: ReadStore
  let id: string
  const open: CheckpointReader[] = []

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'wd-rd-'))
    store = new ReadStore()
    await publishImage(testVault(store), image, { packBytes: 256 * 1024 })
    id = await publishImage(testVault(store), next)
  })
  afterEach(async () => {
    for (const reader of open.splice(0)) reader.close()
    await rm(folder, { recursive: true, force: true })
  })

  const quick = { ...systemClock, sleep: (_: number, signal?: AbortSignal) => systemClock.sleep(1, signal) }

  async function reader(
    frames: FrameCache | null = null,
    onTrouble: (error: WdockError | null) => void = () => {},
  ): Promise<CheckpointReader> {
    const opened = await openCheckpoint(testVault(store, { clock: quick }), id, { frames, onTrouble })
    open.push(opened)
    return opened
  }

  it('reads any span as it was captured, whatever else is read at once', async () => {
    const checkpoint = await reader()
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(pages - 1), fc.integer({ min: 1, max: 60 })), { maxLength: 6 }),
        async (spans) => {
          await Promise.all(
            spans.map(async ([from, wanted]) => {
              const count = Math.min(wanted, pages - from)
              const expected = next.subarray(from * pageBytes, (from + count) * pageBytes)
              expect((await checkpoint.read(0, from, count)).equals(expected)).toBe(true)
              const parts = await checkpoint.readPages(0, from, count)
              const joined = parts.map((page) => (typeof page === 'string' ? Buffer.alloc(pageBytes) : page))
              expect(Buffer.concat(joined).equals(expected)).toBe(true)
            }),
          )
        },
      ),
      { numRuns: 15 },
    )
  })

  it('reads a region in order for who waits for it, whatever is fetched beforehand meanwhile', async () => {
    const checkpoint = await reader()
    const region = new RegionReader(checkpoint, 0)
    const pieces: Buffer[] = []
    for await (const piece of region.inOrder()) pieces.push(piece)
    expect(pieces.length).toBeGreaterThan(1)
    expect(Buffer.concat(pieces).equals(next)).toBe(true)
    const later = await reader()
    store.reads = []
    const beforehand = later.prefetch([{ region: 0, from: 0, count: pages }])
    const first = await new RegionReader(later, 0).inOrder().next()
    expect(first.value?.equals(next.subarray(0, first.value.length))).toBe(true)
    await beforehand
  })

  it('tells zeros without reading them', async () => {
    const checkpoint = await reader()
    for (const { kind, from, count } of checkpoint.extents(0, 0, pages)) {
      const bytes = next.subarray(from * pageBytes, (from + count) * pageBytes)
      if (kind === 'zero') expect(bytes.every((byte) => byte === 0)).toBe(true)
    }
    const zero = checkpoint.extents(0, 0, pages).find(({ kind }) => kind === 'zero')
    store.reads = []
    expect(await checkpoint.readPages(0, zero?.from ?? 0, 1)).toEqual(['zero'])
    expect(store.reads).toEqual([])
  })

  it('fetches a frame once however many want it, neighbours in one read', async () => {
    const checkpoint = await reader()
    store.reads = []
    await Promise.all(Array.from({ length: 20 }, () => checkpoint.read(0, 0, pages)))
    const frames = checkpoint.manifest.frames.pages.length
    expect(store.reads.length).toBeLessThan(frames / 2)
    const asked = store.reads.map(({ name, offset }) => `${name} ${offset}`)
    expect(new Set(asked).size).toBe(asked.length)
    for (const { length } of store.reads) expect(length).toBeLessThanOrEqual(1024 * 1024)
  })

  it('takes what is on this PC from there, and fetches only what is missing', async () => {
    const frames = await FrameCache.open({ folder, limitBytes: 2 ** 30 })
    const first = await reader(frames)
    const all = first.everything()
    expect(await first.missingBytes(all)).toBe(wholeBytesOf(first.manifest))
    await first.prefetch(all)
    expect(await first.missingBytes(all)).toBe(0)
    store.reads = []
    const second = await reader(frames)
    expect((await second.read(0, 0, pages)).equals(next)).toBe(true)
    expect(store.reads).toEqual([])
    await frames.close()
  })

  it('fetches anew what was damaged on this PC', async () => {
    const frames = await FrameCache.open({ folder, limitBytes: 2 ** 30 })
    const checkpoint = await reader(frames)
    const { packs, offset, sealedBytes } = checkpoint.manifest.frames
    const packId = Buffer.from(packs[0] ?? '', 'hex')
    await frames.put(packId, offset[0] ?? 0, Buffer.alloc(sealedBytes[0] ?? 0, 5))
    expect((await checkpoint.read(0, 0, pages)).equals(next)).toBe(true)
    await frames.close()
  })

  it('waits for a store that does not answer, and tells so', async () => {
    const troubles: (string | null)[] = []
    const checkpoint = await reader(null, (error) => troubles.push(error?.code ?? null))
    store.failures = 5
    expect((await checkpoint.read(0, 0, pages)).equals(next)).toBe(true)
    expect(troubles).toContain('store.unreachable')
    expect(troubles.at(-1)).toBeNull()
  })

  it('lets whoever gives up go at once, and everybody when it is closed', async () => {
    const checkpoint = await reader()
    store.failures = Number.POSITIVE_INFINITY
    const giveUp = new AbortController()
    const given = checkpoint.read(0, 0, pages, { signal: giveUp.signal })
    const stays = checkpoint.read(0, 0, pages)
    giveUp.abort(new Error('enough'))
    await expect(given).rejects.toThrow('enough')
    checkpoint.close()
    await expect(stays).rejects.toMatchObject({ code: 'host.cancelled' })
    await expect(checkpoint.read(0, 0, pages)).rejects.toMatchObject({ code: 'host.cancelled' })
  })

  it.each([
    ['missing', 'vault.pack_missing', (packs: string[]) => forget(packs)],
    ['cut short', 'vault.damaged', (packs: string[]) => changeAll(packs, (body) => body.subarray(0, 9))],
    ['changed', 'vault.damaged', (packs: string[]) => changeAll(packs, flipped)],
    ['swapped', 'vault.damaged', (packs: string[]) => swap(packs)],
  ])('says by name that a pack is %s, and gives no wrong byte', async (_what, code, harm) => {
    const checkpoint = await reader()
    harm(checkpoint.manifest.frames.packs.map((pack) => prefixes.packs + pack))
    const outcomes = await Promise.allSettled(
      Array.from({ length: pages }, (_, page) => checkpoint.read(0, page, 1)),
    )
    let refused = 0
    for (const [page, outcome] of outcomes.entries()) {
      if (outcome.status === 'fulfilled') {
        expect(outcome.value.equals(next.subarray(page * pageBytes, (page + 1) * pageBytes))).toBe(true)
      } else {
        refused += 1
        expect(outcome.reason).toMatchObject({ code })
      }
    }
    expect(refused).toBeGreaterThan(0)
  })

  function forget(names: string[]): void {
    for (const name of names) store.objects.delete(name)
  }

  function changeAll(names: string[], work: (body: Buffer) => Buffer): void {
    for (const name of names) change(name, work)
  }

  function change(name: string, work: (body: Buffer) => Buffer): void {
    const kept = store.objects.get(name)
    if (kept) store.objects.set(name, { ...kept, body: work(kept.body) })
  }

  function flipped(body: Buffer): Buffer {
    const copy = Buffer.from(body)
    for (let at = 100; at < copy.length; at += 1000) copy[at] = (copy[at] ?? 0) ^ 1
    return copy
  }

  function swap(packs: string[]): void {
    const bodies = packs.map((name) => store.objects.get(name)?.body ?? Buffer.alloc(0))
    const largest = Buffer.concat(bodies)
    for (const name of packs) change(name, (body) => largest.subarray(-body.length))
  }

  it('says by name that the checkpoint is gone, or not what it was', async () => {
    const other = 'a'.repeat(32)
    await expect(openCheckpoint(testVault(store), other, { frames: null })).rejects.toMatchObject({
      code: 'vault.checkpoint_missing',
    })
    change(prefixes.checkpoints + id, flipped)
    await expect(openCheckpoint(testVault(store), id, { frames: null })).rejects.toMatchObject({
      code: 'vault.damaged_object',
    })
  })

  it('knows what the checkpoint weighs', async () => {
    const { manifest } = await reader()
    const data = Array.from({ length: pages }, (_, page) =>
      next.subarray(page * pageBytes, (page + 1) * pageBytes),
    )
    const full = data.filter((page) => page.some((byte) => byte !== 0)).length
    expect(logicalBytesOf(manifest)).toBe(full * pageBytes)
    expect(wholeBytesOf(manifest)).toBeLessThan(full * pageBytes)
  })
})

describe('reads of neighbouring frames', () => {
  const table = (lengths: number[], offsets: number[]) => ({
    packs: ['a'.repeat(32)],
    packStart: Uint32Array.of(0, lengths.length),
    ordinal: Uint32Array.from(lengths.keys()),
    offset: Uint32Array.from(offsets),
    sealedBytes: Uint32Array.from(lengths),
    pages: new Uint8Array(lengths.length).fill(1),
    placeStart: placesOf(new Uint8Array(lengths.length).fill(1)),
    keys: null,
  })

  it('are joined over small gaps, up to a length', () => {
    const frames = table([100, 100, 100, 100], [0, 100, 5000, 60_000])
    const ranges = rangesOf(frames, [3, 0, 1, 2], 10_000)
    expect(ranges.map(({ offset, length, rows }) => [offset, length, rows])).toEqual([
      [60_000, 100, [3]],
      [0, 5100, [0, 1, 2]],
    ])
    expect(rangesOf(frames, [0, 1, 2], 150)).toHaveLength(3)
  })
})

describe('lanes', () => {
  it('begin what is urgent first, leave room for it, and let what waits become urgent', async () => {
    const lanes = new Lanes({ lanes: 2, patientLanes: 1 })
    const begun: string[] = []
    const gates = new Map<string, PromiseWithResolvers<void>>()
    const add = (name: string, isUrgent: boolean) => {
      const gate = Promise.withResolvers<void>()
      gates.set(name, gate)
      return lanes.add(isUrgent, async () => {
        begun.push(name)
        await gate.promise
      })
    }
    add('a', false)
    add('b', false)
    const c = add('c', false)
    await systemClock.sleep(0)
    expect(begun).toEqual(['a'])
    add('d', true)
    await systemClock.sleep(0)
    expect(begun).toEqual(['a', 'd'])
    c.hurry()
    gates.get('a')?.resolve()
    await systemClock.sleep(1)
    expect(begun).toEqual(['a', 'd', 'c'])
    for (const gate of gates.values()) gate.resolve()
    await systemClock.sleep(1)
    expect(begun).toEqual(['a', 'd', 'c', 'b'])
  })
})

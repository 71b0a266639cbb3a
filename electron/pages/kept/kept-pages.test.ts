import { randomBytes } from 'node:crypto'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { pageBytes } from '../page-id.ts'
import { type KeptPages, openKept } from './kept-pages.ts'
import {
  begun,
  blocks,
  dockKey,
  finish,
  idKey,
  idOf,
  inFolder,
  type Model,
  mismatches,
  pageOf,
  put,
  putMany,
  settled,
  small,
} from './testing/kept-guest.ts'

/** In every chunk, at the edges of some. */
const address = fc.oneof(
  fc.nat(30),
  fc.integer({ min: 1010, max: 1040 }),
  fc.integer({ min: 2040, max: 2099 }),
  fc.integer({ min: 3072, max: 3081 }),
)
const number = fc.integer({ min: 1, max: 40 })
const operation = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('put' as const), address, number }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('many' as const),
      number,
      count: fc.integer({ min: 60, max: 140 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('copy' as const), address, from: address }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('zero' as const),
      address,
      count: fc.integer({ min: 0, max: 3500 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('foreign' as const), address, number }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('find' as const), number }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('look' as const) }) },
)
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never
const visit = fc.record({
  operations: fc.array(operation, { maxLength: 25 }),
  from: fc.constantFrom('known' as const, 'known' as const, 'known' as const, 'nothing' as const),
  end: fc.constantFrom(
    'finish' as const,
    'finish' as const,
    'finish' as const,
    'discard' as const,
    'crash' as const,
  ),
})

type Visit = typeof visit extends fc.Arbitrary<infer T> ? T : never

function performVisits(folder: string, visits: readonly Visit[]): void {
  let known: Model | null = null
  for (const { operations, from, end } of visits) {
    const kept = openKept(folder, dockKey, small)
    expect(kept.known !== null).toBe(known !== null)
    kept.begin({ idKey, blocks, from: known === null ? 'nothing' : from })
    const model: Model = new Map(from === 'known' ? known : null)
    for (const op of operations) perform(kept, model, op)
    expect(mismatches(kept, model)).toEqual([])
    if (end === 'discard') kept.discard()
    if (end !== 'finish') continue
    finish(kept)
    known = settled(model)
  }
}

function perform(kept: KeptPages, model: Model, op: Operation): void {
  if (op.do === 'put') put(kept, model, op.address, op.number)
  else if (op.do === 'many') putMany(kept, model, 900, op.count, op.number)
  else if (op.do === 'copy') copy(kept, model, op.address, op.from)
  else if (op.do === 'zero') zero(kept, model, op.address, Math.min(op.count, kept.end - op.address))
  else if (op.do === 'foreign') {
    kept.putForeign(op.address, idOf(op.number), 0)
    model.set(op.address, { number: op.number, isHere: false })
  } else if (op.do === 'find') {
    for (let page = op.number; page < op.number + 140; page += 1) {
      const found = kept.find(idOf(page), 0)
      if (found >= 0) expect(model.get(found)?.number).toBe(page)
    }
  } else expect(mismatches(kept, model)).toEqual([])
}

function copy(kept: KeptPages, model: Model, address: number, from: number): void {
  kept.putCopy(address, from)
  const page = model.get(from)
  if (page === undefined) model.delete(address)
  else model.set(address, { ...page })
}

function zero(kept: KeptPages, model: Model, address: number, count: number): void {
  kept.putZero(address, count)
  for (let page = 0; page < count; page += 1) model.delete(address + page)
}

describe('kept pages', () => {
  it('answer like a map, over visits that are finished, given up, or end in a crash', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(visit, { minLength: 1, maxLength: 5 }), async (visits) => {
        await inFolder((folder) => performVisits(folder, visits))
      }),
      { numRuns: 60 },
    )
  }, 60_000)

  it('say what is known of the last visit, and nothing where there was none', async () => {
    await inFolder((folder) => {
      const kept = begun(join(folder, 'deep', 'inside'), 'nothing')
      expect([kept.known, kept.base(0), kept.base(1), kept.end]).toEqual([null, 0, 3072, 4096])
      const model: Model = new Map()
      putMany(kept, model, 0, 200, 1)
      const visit = finish(kept)
      const again = openKept(join(folder, 'deep', 'inside'), dockKey)
      expect(again.known).toEqual({ visit, idKey, blocks })
      again.begin({ idKey, blocks, from: 'known' })
      expect(mismatches(again, model)).toEqual([])
      again.discard()
    })
  })

  it('are only started from where the blocks and the key of the ids are the same', async () => {
    await inFolder((folder) => {
      expect(() => openKept(folder, dockKey).begin({ idKey, blocks, from: 'known' })).toThrow(RangeError)
      finish(begun(folder, 'nothing'))
      const [ram, rom] = blocks
      const others = [
        [ram],
        [rom, ram],
        [ram, { name: 'rom', pages: 11 }],
        [ram, { name: 'bios', pages: 10 }],
      ]
      const kept = openKept(folder, dockKey)
      for (const wrong of others) {
        const of = wrong.flatMap((block) => block ?? [])
        expect(() => kept.begin({ idKey, blocks: of, from: 'known' })).toThrow(RangeError)
      }
      expect(() => kept.begin({ idKey: randomBytes(32), blocks, from: 'known' })).toThrow(RangeError)
      kept.begin({ idKey, blocks, from: 'known' })
      expect(() => kept.begin({ idKey, blocks, from: 'known' })).toThrow('begun before')
      kept.discard()
    })
  })

  it('find pages wherever they are, known from before or new', async () => {
    await inFolder((folder) => {
      const options = { ...small, finderEntries: 4096 }
      const model: Model = new Map()
      const first = begun(folder, 'nothing', options)
      putMany(first, model, 100, 300, 1)
      finish(first)
      const kept = begun(folder, 'known', options)
      put(kept, model, 5, 1000)
      kept.putForeign(6, idOf(1001), 0)
      kept.putCopy(7, 100)
      kept.putZero(100, 1)
      expect([1000, 1001, 1, 2, 300].map((page) => kept.find(idOf(page), 0))).toEqual([5, 6, 7, 101, 399])
      put(kept, model, 101, 1002)
      kept.putZero(102, 1)
      expect([5000, 2, 3].map((page) => kept.find(idOf(page), 0))).toEqual([-1, -1, -1])
      kept.discard()
    })
  })

  it('give pages that are not written yet, and those of a frame that has just been', async () => {
    await inFolder((folder) => {
      const kept = begun(folder, 'nothing')
      const out = Buffer.alloc(pageBytes)
      for (let page = 0; page < 200; page += 1) {
        kept.putPage(page, idOf(page), 0, pageOf(page), 0)
        for (const earlier of [page, page - 1, page - 64, 0]) {
          if (earlier < 0) continue
          expect(kept.readInto(earlier, out, 0) && out.equals(pageOf(earlier))).toBe(true)
        }
      }
      kept.discard()
    })
  })

  it('store a page that several addresses have once, also when it is written anew', async () => {
    await inFolder((folder) => {
      const model: Model = new Map()
      const first = begun(folder, 'nothing', {})
      putMany(first, model, 0, 300, 1)
      for (let to = 1000; to < 1050; to += 1) {
        first.putCopy(to, 290)
        model.set(to, { number: 291, isHere: true })
      }
      // Less than half of what is stored is used now.
      first.putZero(0, 280)
      for (let page = 0; page < 280; page += 1) model.delete(page)
      finish(first)
      const segments = readdirSync(folder).filter((name) => name.endsWith('.seg'))
      expect(segments.map((name) => statSync(join(folder, name)).size)).toEqual([20 * pageBytes + 16])
      const kept = begun(folder, 'known', {})
      expect(mismatches(kept, model)).toEqual([])
      kept.discard()
    })
  })

  it('know nothing of a whole chunk of zeros, also where it had left memory', async () => {
    await inFolder((folder) => {
      const model: Model = new Map()
      const kept = begun(folder, 'nothing', { ...small, mostChunks: 1 })
      for (const at of [1100, 2050, 5]) put(kept, model, at, at)
      kept.putZero(1000, 1060)
      for (const at of [1100, 2050]) model.delete(at)
      expect(mismatches(kept, model)).toEqual([])
      expect(kept.idAt(1100, Buffer.alloc(16), 0)).toBe(false)
      finish(kept)
      const again = begun(folder, 'known')
      expect(mismatches(again, model)).toEqual([])
      again.discard()
    })
  })

  it('take no more files than they may, however many visits there are', async () => {
    await inFolder((folder) => {
      const model: Model = new Map()
      for (let count = 0; count < 12; count += 1) {
        const kept = begun(folder, count === 0 ? 'nothing' : 'known', { ...small, mostSegmentPages: 2 ** 24 })
        putMany(kept, model, (count * 170) % 2000, 90, count * 1000 + 1)
        finish(kept)
        expect(readdirSync(folder).filter((name) => name.endsWith('.seg')).length).toBeLessThanOrEqual(3)
      }
      const kept = begun(folder, 'known')
      expect(mismatches(kept, model)).toEqual([])
      kept.discard()
    })
  })

  it('hold so much in memory and no more, of a guest of 64 GB', async () => {
    await inFolder((folder) => {
      const huge = [{ name: 'pc.ram', pages: 2 ** 24 }]
      const options = { mostChunks: 40, mostFrames: 3 }
      const kept = openKept(folder, dockKey, options)
      kept.begin({ idKey, blocks: huge, from: 'nothing' })
      kept.putZero(0, 2 ** 24)
      expect(kept.inMemory).toEqual({ chunks: 0, frames: 0 })
      const addresses = Array.from({ length: 1500 }, (_, index) => index * 11_000)
      for (const [index, at] of addresses.entries()) kept.putPage(at, idOf(index), 0, pageOf(index), 0)
      const out = Buffer.alloc(pageBytes)
      const isRight = (index: number, of = kept) =>
        of.idEquals(addresses[index] ?? 0, idOf(index), 0) && of.readInto(addresses[index] ?? 0, out, 0)
      expect(addresses.every((_, index) => isRight(index) && out.equals(pageOf(index)))).toBe(true)
      expect(kept.inMemory).toEqual({ chunks: 40, frames: 3 })
      finish(kept)
      const again = openKept(folder, dockKey, options)
      again.begin({ idKey, blocks: huge, from: 'known' })
      expect(addresses.every((_, index) => isRight(index, again) && out.equals(pageOf(index)))).toBe(true)
      expect(again.inMemory).toEqual({ chunks: 40, frames: 3 })
      again.discard()
    })
  })

  it('refuse what is not of this guest, and calls outside of a visit', async () => {
    await inFolder((folder) => {
      expect(() => openKept(folder, Buffer.alloc(16))).toThrow(RangeError)
      const kept = openKept(folder, dockKey)
      expect(() => kept.idEquals(0, idOf(1), 0)).toThrow('no visit')
      expect(() => kept.begin({ idKey, blocks: [{ name: 'a', pages: 2 ** 40 }], from: 'nothing' })).toThrow(
        RangeError,
      )
      kept.begin({ idKey, blocks, from: 'nothing' })
      expect(() => kept.base(2)).toThrow(RangeError)
      for (const wrong of [-1, kept.end, 2 ** 32 + 5]) {
        expect(() => kept.putForeign(wrong, idOf(1), 0)).toThrow(RangeError)
        expect(() => kept.putZero(wrong, 1)).toThrow(RangeError)
        expect(kept.idEquals(wrong, idOf(1), 0)).toBe(false)
      }
      expect(() => kept.putPage(0, idOf(1), 0, Buffer.alloc(100), 0)).toThrow(RangeError)
      kept.discard()
      kept.discard()
      expect(() => kept.putForeign(0, idOf(1), 0)).toThrow('no visit')
      expect(() => kept.begin({ idKey, blocks, from: 'nothing' })).toThrow('begun before')
    })
  })
})

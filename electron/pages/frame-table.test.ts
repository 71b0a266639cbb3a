import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { FrameTable } from './frame-table.ts'
import { KnownPages } from './known-pages.ts'

describe('the table of frames', () => {
  it('remembers places through its growth, also those at the far end of 32 bits', () => {
    const frames = new FrameTable()
    const packs = [frames.addPack(randomBytes(16)), frames.addPack(randomBytes(16))]
    const placeOf = (n: number) => ({
      pack: packs[n % 2] ?? 0,
      ordinal: n,
      offset: 2 ** 32 - 1 - n,
      sealedBytes: n * 3,
      pages: (n % 16) + 1,
    })
    for (let n = 0; n < 5000; n += 1) frames.add(placeOf(n))
    for (const n of [0, 1, 1023, 1024, 2047, 2048, 4095, 4096, 4999]) {
      expect(frames.place(n)).toEqual(placeOf(n))
    }
    expect(frames.size).toBe(5000)
  })

  it('has no place for a frame that is not sealed yet, and refuses those that are not there', () => {
    const frames = new FrameTable()
    const pack = frames.addPack(Buffer.alloc(16, 7))
    const frame = frames.reserve()
    expect(frames.place(frame)).toBeNull()
    const place = { pack, ordinal: 0, offset: 0, sealedBytes: 99, pages: 1 }
    frames.settle(frame, place)
    expect(frames.place(frame)).toEqual(place)
    expect(frames.packId(pack)).toEqual(Buffer.alloc(16, 7))
    expect(() => frames.place(1)).toThrow(RangeError)
    expect(() => frames.place(-1)).toThrow(RangeError)
    expect(() => frames.settle(1, place)).toThrow(RangeError)
    expect(() => frames.settle(0, { ...place, pack: 1 })).toThrow(RangeError)
    expect(() => frames.addPack(Buffer.alloc(15))).toThrow(RangeError)
  })
})

describe('known pages', () => {
  const contents = {
    packId: Buffer.alloc(16, 1),
    sealedBytes: Uint32Array.of(100, 50),
    pages: Uint8Array.of(2, 1),
    ids: Buffer.concat([Buffer.alloc(16, 0xa), Buffer.alloc(16, 0xb), Buffer.alloc(16, 0xc)]),
  }

  it('lie where the index says: frames follow each other without a gap', () => {
    const known = new KnownPages()
    known.addPack(contents)
    const entry = known.table.find(contents.ids, 32)
    expect(known.frames.place(known.table.frameOf(entry))).toEqual({
      pack: 0,
      ordinal: 1,
      offset: 100,
      sealedBytes: 50,
      pages: 1,
    })
    expect(known.table.slotOf(known.table.find(contents.ids, 16))).toBe(1)
  })

  it('keep their first place when another pack has them as well', () => {
    const known = new KnownPages()
    known.addPack(contents)
    known.addPack({ ...contents, packId: Buffer.alloc(16, 2) })
    expect(known.table.size).toBe(3)
    expect(known.frames.place(known.table.frameOf(known.table.find(contents.ids)))?.pack).toBe(0)
  })

  it('are refused when the columns do not belong together, and then nothing is known', () => {
    const known = new KnownPages()
    expect(() => known.addPack({ ...contents, pages: Uint8Array.of(2) })).toThrow(RangeError)
    expect(() => known.addPack({ ...contents, ids: contents.ids.subarray(16) })).toThrow(RangeError)
    expect([known.table.size, known.frames.size, known.frames.packCount]).toEqual([0, 0, 0])
  })
})

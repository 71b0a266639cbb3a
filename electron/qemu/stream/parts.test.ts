import { PassThrough, Writable } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type PageRun, writeStream } from './builder.ts'
import { parseHead } from './head.ts'
import { GrowingBytes } from './item-reader.ts'
import { PageSet } from './page-set.ts'
import { StreamParser } from './parser.ts'
import { ReturnPath } from './return-path.ts'
import {
  cutAt,
  device,
  KeepingSink,
  opening,
  ramStart,
  short,
  u8,
  u16,
  u32,
  u64,
} from './testing/sample-streams.ts'

const head = parseHead(Buffer.concat([opening(), ramStart([{ name: 'pc.ram', pages: 2 ** 20 + 4 }])]))
const tail = Buffer.concat([device('timer', u8(1)), u8(0)])

describe('a built stream', () => {
  it('names pages beyond 4 GiB rightly', async () => {
    const through = new PassThrough()
    const sink = new KeepingSink()
    const parser = new StreamParser(sink)
    through.on('data', (piece: Buffer) => void parser.write(piece))
    const page = 2 ** 20 + 3
    const runs: PageRun[] = [{ kind: 'bytes', block: 0, page, bytes: Buffer.alloc(4096, 5) }]
    await writeStream(through, { head, runs, tail })
    await parser.end()
    expect(sink.fills).toEqual(new Map([[`0:${page}`, 5]]))
  })

  it('waits for whoever reads it, and asks for pages no faster', async () => {
    let asked = 0
    const slow = new Writable({
      highWaterMark: 1,
      write: (_piece, _encoding, done) => void setTimeout(done, 20),
    })
    function* runs(): Generator<PageRun> {
      for (let page = 0; page < 1000; page++) {
        asked = page
        yield { kind: 'bytes', block: 0, page, bytes: Buffer.alloc(4096, 1) }
      }
    }
    const written = writeStream(slow, { head, runs: runs(), tail })
    await new Promise((resolve) => setTimeout(resolve, 15))
    // Two batches of 256 KiB.
    expect(asked).toBeLessThan(140)
    await written
    expect(asked).toBe(999)
  })

  it.each([
    ['block', { kind: 'zero', block: 1, page: 0, count: 1 }],
    ['end', { kind: 'zero', block: 0, page: 2 ** 20, count: 5 }],
    ['start', { kind: 'zero', block: 0, page: -1, count: 1 }],
    ['page', { kind: 'bytes', block: 0, page: 0, bytes: Buffer.alloc(5000) }],
    ['length', { kind: 'bytes', block: 0, page: 0, bytes: Buffer.alloc(0) }],
  ] satisfies [string, PageRun][])('is not built of a run of a wrong %s', async (_what, run) => {
    const target = new PassThrough().resume()
    await expect(writeStream(target, { head, runs: [run], tail })).rejects.toMatchObject({
      code: 'qemu.bad_stream',
    })
    expect(target.destroyed).toBe(true)
  })

  it('fails by name when QEMU goes, when it is cancelled, and with the error of its pages', async () => {
    const broken = new Writable({ write: (_piece, _encoding, done) => done(new Error('EPIPE')) })
    const failed = writeStream(broken, { head, runs: [], tail })
    await expect(failed).rejects.toMatchObject({
      code: 'qemu.load_failed',
      detail: expect.stringContaining('EPIPE'),
    })
    const stuck = new Writable({ write: () => {} })
    const aborter = new AbortController()
    const waiting = writeStream(stuck, { head, runs: [], tail }, { signal: aborter.signal })
    setImmediate(() => aborter.abort())
    await expect(waiting).rejects.toMatchObject({ code: 'host.cancelled' })
    const lost = new Error('the pack is missing')
    // biome-ignore lint/correctness/useYield: it fails before it has anything.
    function* runs(): Generator<PageRun> {
      throw lost
    }
    const target = new PassThrough().resume()
    await expect(writeStream(target, { head, runs: runs(), tail })).rejects.toBe(lost)
    expect(target.destroyed).toBe(true)
  })
})

describe('a set of pages', () => {
  it('is one, and finds what it does not have', () => {
    const pages = [70, 1, 64]
    const adds = fc.array(fc.record({ block: fc.nat(2), page: fc.nat(69) }), { maxLength: 200 })
    fc.assert(
      fc.property(adds, fc.nat(80), (list, from) => {
        const set = new PageSet(pages.map((count) => ({ name: '', pages: count })))
        const model = new Set<string>()
        for (const { block, page } of list) {
          if (page >= (pages[block] ?? 0)) continue
          const key = `${block}:${page}`
          expect(set.add(block, page)).toBe(!model.has(key))
          model.add(key)
        }
        expect(set.size).toBe(model.size)
        for (const [block, count] of pages.entries()) {
          const absent = Array.from({ length: count }, (_, page) => page).filter(
            (page) => page >= from && !model.has(`${block}:${page}`),
          )
          expect(set.nextAbsent(block, from, count)).toBe(absent[0] ?? count)
        }
      }),
    )
  })

  it('takes neighbours as if one by one', () => {
    const ranges = fc.array(fc.record({ page: fc.nat(199), count: fc.nat(120) }), { maxLength: 6 })
    fc.assert(
      fc.property(ranges, (list) => {
        const block = [{ name: '', pages: 200 }]
        const [whole, single] = [new PageSet(block), new PageSet(block)]
        for (const { page, count } of list) {
          const within = Math.min(count, 200 - page)
          let added = 0
          for (let at = page; at < page + within; at += 1) added += single.add(0, at) ? 1 : 0
          expect(whole.addRange(0, page, within)).toBe(added)
        }
        expect(whole.size).toBe(single.size)
        for (let page = 0; page < 200; page += 1) expect(whole.has(0, page)).toBe(single.has(0, page))
      }),
    )
  })

  it('takes full words at a stride', () => {
    const set = new PageSet([{ name: '', pages: 100 }])
    for (let page = 0; page < 64; page++) set.add(0, page)
    expect(set.nextAbsent(0, 0, 100)).toBe(64)
    expect(set.nextAbsent(0, 0, 40)).toBe(40)
    expect(() => set.add(0, 200)).toThrow(RangeError)
  })
})

describe('the return path', () => {
  const message = (type: number, data: Buffer): Buffer => Buffer.concat([u16(type), u16(data.length), data])

  it('says the same however it is cut', () => {
    const bytes = Buffer.concat([
      message(3, Buffer.concat([u64(8192), u32(4096), short('pc.ram')])),
      message(2, u32(1)),
      message(4, Buffer.concat([u64(2 ** 40), u32(4096)])),
      message(7, Buffer.alloc(0)),
      message(1, u32(0)),
    ])
    const expected = [
      { kind: 'page', name: 'pc.ram', page: 2 },
      { kind: 'page', name: null, page: 2 ** 28 },
      { kind: 'shut', value: 0 },
    ]
    fc.assert(
      fc.property(fc.array(fc.nat()), (cuts) => {
        const path = new ReturnPath()
        expect(cutAt(bytes, cuts).flatMap((piece) => path.push(piece))).toEqual(expected)
      }),
    )
  })

  it('refuses anything else by name, and never more than that', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          new ReturnPath().push(Buffer.from(bytes))
        } catch (error) {
          expect(error).toMatchObject({ code: 'qemu.load_failed' })
        }
      }),
    )
  })
})

describe('bytes that are collected', () => {
  it('are all of them, in order', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 3000 })), (pieces) => {
        const bytes = new GrowingBytes()
        for (const piece of pieces) bytes.append(piece)
        expect(bytes.view().equals(Buffer.concat(pieces))).toBe(true)
      }),
    )
  })
})

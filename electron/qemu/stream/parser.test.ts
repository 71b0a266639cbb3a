import { PassThrough } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { WdockError } from '../../../shared/errors/index.ts'
import { type PageRun, writeStream } from './builder.ts'
import { parseHead } from './head.ts'
import { StreamParser } from './parser.ts'
import { parseTail } from './tail.ts'
import {
  cutAt,
  device,
  KeepingSink,
  opening,
  pageRecord,
  ramPart,
  ramStart,
  type SampleSpec,
  sampleSpecs,
  sampleStream,
  short,
  subsection,
  u8,
  u16,
  u32,
  u64,
} from './testing/sample-streams.ts'

const plain: SampleSpec = {
  blocks: [
    { name: 'pc.ram', pages: 8 },
    { name: 'vga.vram', pages: 2 },
  ],
  rounds: [
    [
      { block: 0, page: 0, fill: 1 },
      { block: 0, page: 1, fill: 0 },
      { block: 1, page: 1, fill: 2 },
    ],
    [{ block: 1, page: 0, fill: 3 }],
  ],
  kind: 'snapshot',
  flushes: false,
  early: null,
  switchoverCommand: false,
  uuid: false,
  description: '{"devices":[]}',
  devices: Buffer.from('the devices'),
}

async function parse(pieces: readonly Buffer[], sink = new KeepingSink()): Promise<KeepingSink> {
  const parser = new StreamParser(sink)
  for (const piece of pieces) await parser.write(piece)
  await parser.end()
  return sink
}

async function rebuild(sink: KeepingSink): Promise<Buffer> {
  const { gotHead: head, gotTail: tail } = sink
  if (head === null || tail === null) throw new Error('the stream was not whole')
  const runs = [...sink.pages].map(([key, content]): PageRun => {
    const [block = 0, page = 0] = key.split(':').map(Number)
    if (content === 'zero') return { kind: 'zero', block, page, count: 1 }
    return { kind: 'bytes', block, page, bytes: content }
  })
  const through = new PassThrough()
  const parts: Buffer[] = []
  through.on('data', (part: Buffer) => parts.push(Buffer.from(part)))
  await writeStream(through, { head: parseHead(head.bytes), runs, tail: tail.bytes })
  return Buffer.concat(parts)
}

async function failureOf(work: Promise<unknown>): Promise<WdockError> {
  const thrown: unknown = await work.then(
    () => null,
    (error: unknown) => error,
  )
  if (!(thrown instanceof WdockError)) throw new Error(`not a coded error: ${String(thrown)}`)
  return thrown
}

describe('reading a stream', () => {
  it('gives its memory, the last word on each page, however it is cut', async () => {
    await fc.assert(
      fc.asyncProperty(sampleSpecs, fc.array(fc.nat(), { maxLength: 40 }), async (spec, cuts) => {
        const sample = sampleStream(spec)
        const sink = await parse(cutAt(sample.bytes, cuts))
        expect(sink.fills).toEqual(sample.memory)
        expect(sink.gotHead).toMatchObject({ machine: 'pc-q35-7.2', ramSectionId: 2, blocks: spec.blocks })
        expect(sink.gotTail?.deviceBytes).toBe(sample.deviceBytes)
        expect(sink.calls.filter((call) => call === 'head' || call === 'end')).toEqual(['head', 'end'])
      }),
      { numRuns: 40 },
    )
  })

  it('gives the same byte by byte', async () => {
    const { bytes, memory } = sampleStream({
      ...plain,
      early: { data: Buffer.alloc(200, 0x7e), isFirst: false },
      flushes: true,
    })
    const sink = await parse([...bytes].map((byte) => Buffer.of(byte)))
    expect(sink.fills).toEqual(memory)
  })

  it('gives what can be built into a stream with the same memory and devices', async () => {
    await fc.assert(
      fc.asyncProperty(sampleSpecs, async (spec) => {
        const first = await parse([sampleStream(spec).bytes])
        const second = await parse([await rebuild(first)])
        expect(second.fills).toEqual(first.fills)
        expect(second.gotTail?.bytes.equals(first.gotTail?.bytes ?? Buffer.alloc(0))).toBe(true)
        expect(second.gotHead?.bytes.equals(first.gotHead?.bytes ?? Buffer.alloc(0))).toBe(true)
      }),
      { numRuns: 25 },
    )
  })

  it('hands a page on without copying it where it lies in one piece', async () => {
    const { bytes, headBytes } = sampleStream(plain)
    const memories = new Set<ArrayBufferLike>()
    const sink = new KeepingSink()
    sink.page = (_block, _page, view) => {
      memories.add(view.buffer)
      return undefined
    }
    const rest = Buffer.from(new Uint8Array(bytes.subarray(headBytes)).buffer)
    await parse([bytes.subarray(0, headBytes), rest], sink)
    expect([...memories]).toEqual([rest.buffer])
  })

  it('reads nothing more until the sink’s promise is fulfilled', async () => {
    const sink = new KeepingSink()
    const gate = Promise.withResolvers<void>()
    const page = sink.page.bind(sink)
    sink.page = (...args) => {
      void page(...args)
      return gate.promise
    }
    const parser = new StreamParser(sink)
    const written = parser.write(sampleStream(plain).bytes)
    await new Promise((resolve) => setImmediate(resolve))
    expect(sink.calls).toEqual(['head', 'page'])
    expect(() => parser.write(Buffer.alloc(1))).toThrow('before')
    gate.resolve()
    await written
    await parser.end()
    expect(sink.calls).toEqual(['head', 'page', 'zero', 'page', 'page', 'end'])
  })

  it('tells once when the first pages begin to arrive, not before', async () => {
    const { bytes, headBytes } = sampleStream(plain)
    const told: string[] = []
    const sink = new KeepingSink()
    const parser = new StreamParser(sink, { onFirstPart: () => told.push(sink.calls.join()) })
    await parser.write(bytes.subarray(0, headBytes))
    expect(told).toEqual([])
    await parser.write(bytes.subarray(headBytes, headBytes + 5))
    expect(told).toEqual(['head'])
    await parser.write(bytes.subarray(headBytes + 5))
    await parser.end()
    expect(told).toHaveLength(1)
  })

  it('keeps no flush of multifd in the head, which QEMU 7.2 would not take', async () => {
    const flushed = await parse([sampleStream({ ...plain, flushes: true }).bytes])
    const without = await parse([sampleStream(plain).bytes])
    expect(flushed.gotHead?.bytes).toEqual(without.gotHead?.bytes)
  })

  it('ends with the sink’s own error, and takes nothing after it', async () => {
    const sink = new KeepingSink()
    const full = new Error('the disk is full')
    sink.zeroPage = () => Promise.reject(full)
    const parser = new StreamParser(sink)
    const written = async (): Promise<void> => await parser.write(sampleStream(plain).bytes)
    await expect(written()).rejects.toBe(full)
    expect(() => parser.write(Buffer.alloc(8))).toThrow(full)
    await expect(parser.end()).rejects.toBe(full)
    expect(sink.gotTail).toBeNull()
  })
})

describe('a stream that is not whole', () => {
  it('is refused wherever it is cut off', async () => {
    const { bytes } = sampleStream({
      ...plain,
      early: { data: Buffer.from('bitmap'), isFirst: false },
      kind: 'pre-copy',
      description: null,
    })
    const interesting = (at: number): boolean => at < 400 || at > bytes.length - 120 || at % 397 === 0
    for (let length = 0; length < bytes.length; length++) {
      if (!interesting(length)) continue
      const sink = new KeepingSink()
      expect((await failureOf(parse([bytes.subarray(0, length)], sink))).code, `${length}`).toBe(
        'qemu.bad_stream',
      )
      expect(sink.gotTail).toBeNull()
    }
  })

  it('never makes the reader crash, hang or take memory that is not there', async () => {
    const flips = fc.array(fc.record({ at: fc.nat(), bit: fc.nat(7) }), { minLength: 1, maxLength: 6 })
    await fc.assert(
      fc.asyncProperty(sampleSpecs, flips, fc.nat(), async (spec, damage, cut) => {
        const bytes = Buffer.from(sampleStream(spec).bytes)
        for (const { at, bit } of damage) {
          // Most of a stream is contents of pages: aim at what is between them, too.
          const place = at % 2 === 0 ? at % bytes.length : at % Math.min(bytes.length, 250)
          bytes[place] = (bytes[place] ?? 0) ^ (1 << bit)
        }
        const outcome: unknown = await parse(cutAt(bytes, [cut])).catch((error: unknown) => error)
        if (outcome instanceof KeepingSink) return
        expect(outcome).toBeInstanceOf(WdockError)
        expect((outcome as WdockError).code).toMatch(/^(qemu\.bad_stream|stream\.unsupported)$/)
      }),
      { numRuns: 100 },
    )
  })

  it.each([
    ['is something else', Buffer.from('RIFF    WAVEfmt ')],
    ['names a machine of 4 GB', Buffer.concat([Buffer.from('QEVM'), u32(3), u8(7), u32(0xffffffff)])],
    ['is of another version', Buffer.concat([Buffer.from('QEVM'), u32(2), u8(7)])],
    ['lists no memory', Buffer.concat([opening(), ramStart([])])],
    [
      'lists a block twice',
      Buffer.concat([
        opening(),
        ramStart([
          { name: 'a', pages: 1 },
          { name: 'a', pages: 1 },
        ]),
      ]),
    ],
    ['lists 2 PiB of memory', Buffer.concat([opening(), ramStart([{ name: 'a', pages: 2 ** 39 }])])],
    ['has a page that is outside its block', memory([pageRecord(8, 1, 'pc.ram')])],
    ['has a page of a block that is not listed', memory([pageRecord(0, 1, 'pc.rom')])],
    ['has a page of no block', memory([pageRecord(0, 1, null)])],
    ['has a page filled with something else', memory([u64(2), short('pc.ram'), u8(7)])],
    ['has a list of blocks amid its pages', memory([u64(0x1004)])],
    ['flushes in an odd place', memory([u64(0x1200)])],
    ['has a part of something else', Buffer.concat([opening(), ramStart(plain.blocks), u8(2), u32(9)])],
    ['goes on after its end', Buffer.concat([memory([], 3), ramPart([])])],
  ])('is refused by name when it %s', async (_what, bytes) => {
    expect(await failureOf(parse([bytes]))).toMatchObject({ code: 'qemu.bad_stream' })
    const unended = new StreamParser(new KeepingSink())
    const at = (async () => await unended.write(bytes))()
    // Known without waiting for the end of the stream.
    expect((await failureOf(at)).detail).toMatch(/^at byte \d+: /)
  })

  it('is refused when it has devices and no memory', async () => {
    const bytes = Buffer.concat([opening(), ramStart(plain.blocks), device('timer', u8(1)), u8(0)])
    expect(await failureOf(parse([bytes]))).toMatchObject({ code: 'qemu.bad_stream' })
  })

  it('is refused when its devices do not end', async () => {
    const description = Buffer.from('{"page_size":4096}')
    const whole = Buffer.concat([device('timer', Buffer.from('12345678')), u8(0)])
    expect(parseTail(whole).deviceBytes).toBe(whole.length - 1)
    const described = Buffer.concat([whole, u8(6), u32(description.length), description])
    expect(parseTail(described).deviceBytes).toBe(whole.length - 1)
    for (let length = whole.length + 1; length < described.length; length++) {
      expect(() => parseTail(described.subarray(0, length))).toThrow(WdockError)
    }
    expect(() => parseTail(u8(0))).toThrow(WdockError)
  })
})

function memory(records: readonly Buffer[], type = 2): Buffer {
  return Buffer.concat([opening(), ramStart(plain.blocks), ramPart(records, type)])
}

describe('a stream that is right but not for us', () => {
  const huge = Buffer.concat([
    u8(1),
    u32(2),
    short('ram'),
    u32(0),
    u32(4),
    u64(512 * 4096 + 4),
    short('pc.ram'),
    u64(512 * 4096),
    u64(0x200000),
    u64(0x10),
  ])
  const capabilities = Buffer.concat([u32(1), short('mapped-ram')])
  const bitmaps = Buffer.concat([u8(1), u32(1), short('dirty-bitmap'), u32(0), u32(1)])

  it.each([
    ['XBZRLE', memory([u64(0x40), short('pc.ram')])],
    ['compressed pages', memory([u64(0x100), short('pc.ram')])],
    ['RDMA', memory([u64(0x80)])],
    ['huge pages', Buffer.concat([opening(), huge])],
    ['mapped-ram', opening([subsection('configuration/capabilities', capabilities)])],
    ['pages of 2^16 bytes', opening([subsection('configuration/target-page-bits', u32(16))])],
    ['the configuration configuration/new', opening([subsection('configuration/new', u32(1))])],
    ['dirty bitmaps', Buffer.concat([opening(), bitmaps])],
    ['dirty bitmaps', Buffer.concat([opening(), ramStart(plain.blocks), bitmaps])],
    ['return path', Buffer.concat([opening(), u8(8), u16(1), u16(0)])],
    ['post-copy', Buffer.concat([memory([]), u8(8), u16(7), u16(4)])],
  ])('is refused, with a word on %s', async (word, bytes) => {
    const error = await failureOf(parse([bytes]))
    expect(error.code).toBe('stream.unsupported')
    expect(error.message).toContain(word)
  })
})

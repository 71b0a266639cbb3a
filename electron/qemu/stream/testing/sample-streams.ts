/**
 * Makes migration streams as QEMU would, byte by byte and without the code under test, and sinks that keep what
 * was read. Relies on docs/devel/migration and on streams that were looked at.
 */
import fc from 'fast-check'
import type { StreamHead, StreamTail } from '../grammar.ts'
import type { StreamSink } from '../parser.ts'

export interface SampleBlock {
  name: string
  pages: number
}

/** One record: a page of zeros where `fill` is 0. */
export interface SamplePage {
  block: number
  page: number
  fill: number
}

export interface SampleSpec {
  blocks: readonly SampleBlock[]
  /** Each becomes a PART, the last one of a pre-copy an END. */
  rounds: readonly (readonly SamplePage[])[]
  kind: 'snapshot' | 'pre-copy'
  /** What multifd of 8.0 and 8.1 puts between records. */
  flushes: boolean
  /** Bytes of a device that stands before memory, `isFirst`: before its START, too; null for none. */
  early: { data: Buffer; isFirst: boolean } | null
  /** Of machine types from 10.0 on. */
  switchoverCommand: boolean
  uuid: boolean
  /** JSON that describes the devices; null for none. */
  description: string | null
  devices: Buffer
}

export interface Sample {
  bytes: Buffer
  /** What memory is in the end, by `block:page`: the fill of each page that came. */
  memory: Map<string, number>
  deviceBytes: number
  /** Where memory begins. */
  headBytes: number
}

const ramId = 2

export function u8(value: number): Buffer {
  return Buffer.of(value)
}
export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}
export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
export function u64(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}
/** u8 length and text. */
export function short(text: string): Buffer {
  return Buffer.concat([u8(text.length), Buffer.from(text, 'latin1')])
}

export function footer(id = ramId): Buffer {
  return Buffer.concat([u8(0x7e), u32(id)])
}

/** Magic to configuration. */
export function opening(subsections: readonly Buffer[] = []): Buffer {
  const machine = Buffer.from('pc-q35-7.2')
  return Buffer.concat([Buffer.from('QEVM'), u32(3), u8(7), u32(machine.length), machine, ...subsections])
}

export function subsection(name: string, data: Buffer): Buffer {
  return Buffer.concat([u8(5), short(name), u32(1), data])
}

/** The START of ram. @param after records behind the list of blocks */
export function ramStart(blocks: readonly SampleBlock[], after: readonly Buffer[] = []): Buffer {
  const totalPages = blocks.reduce((sum, { pages }) => sum + pages, 0)
  return Buffer.concat([
    u8(1),
    u32(ramId),
    short('ram'),
    u32(0),
    u32(4),
    u64(totalPages * 4096 + 0x04),
    ...blocks.flatMap(({ name, pages }) => [short(name), u64(pages * 4096)]),
    ...after,
    u64(0x10),
    footer(),
  ])
}

/** A FULL section of a device. */
export function device(name: string, data: Buffer, id = 7): Buffer {
  return Buffer.concat([u8(4), u32(id), short(name), u32(0), u32(1), data, footer(id)])
}

/** A PART or END of ram. @param records what is in it, EOS excluded */
export function ramPart(records: readonly Buffer[], type = 2): Buffer {
  return Buffer.concat([u8(type), u32(ramId), ...records, u64(0x10), footer()])
}

export function pageRecord(page: number, fill: number, name: string | null): Buffer {
  const flags = (fill === 0 ? 0x02 : 0x08) | (name === null ? 0x20 : 0)
  return Buffer.concat([
    u64(page * 4096 + flags),
    name === null ? Buffer.alloc(0) : short(name),
    fill === 0 ? u8(0) : Buffer.alloc(4096, fill),
  ])
}

export function sampleStream(spec: SampleSpec): Sample {
  const flush = spec.flushes ? [u64(0x200)] : []
  const memory = new Map<string, number>()
  let current = -1
  const parts = spec.rounds.map((round, index) => {
    const records = round.map(({ block, page, fill }) => {
      memory.set(`${block}:${page}`, fill)
      // QEMU goes on with the same block over the border of a section.
      const name = block === current ? null : (spec.blocks[block]?.name ?? '')
      current = block
      return pageRecord(page, fill, name)
    })
    const isEnd = spec.kind === 'pre-copy' && index === spec.rounds.length - 1
    const command = isEnd && spec.switchoverCommand ? [u8(8), u16(11), u16(0)] : []
    return Buffer.concat([...command, ramPart([...records, ...flush], isEnd ? 3 : 2)])
  })
  const uuid = spec.uuid ? [subsection('configuration/uuid', Buffer.alloc(16, 0x11))] : []
  const early = spec.early === null ? Buffer.alloc(0) : device('04.0/virtio-mem-early', spec.early.data, 5)
  const start = ramStart(spec.blocks, flush)
  const head = Buffer.concat([opening(uuid), ...(spec.early?.isFirst ? [early, start] : [start, early])])
  const devices = device('timer', spec.devices)
  const { description } = spec
  const described =
    description === null ? [] : [u8(6), u32(Buffer.byteLength(description)), Buffer.from(description)]
  return {
    bytes: Buffer.concat([head, ...parts, devices, u8(0), ...described]),
    memory,
    deviceBytes: devices.length,
    headBytes: head.length,
  }
}

const someBytes = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))

/** Streams of every kind, a few dozen pages each. */
export const sampleSpecs: fc.Arbitrary<SampleSpec> = fc
  .record({
    blocks: fc.uniqueArray(
      fc.record({
        name: fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 30 }),
        pages: fc.integer({ min: 1, max: 40 }),
      }),
      { selector: ({ name }) => name, minLength: 1, maxLength: 4 },
    ),
    picks: fc.array(
      fc.array(
        fc.record({ at: fc.nat(), fill: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 255 })) }),
        { maxLength: 12 },
      ),
      { minLength: 1, maxLength: 4 },
    ),
    kind: fc.constantFrom('snapshot' as const, 'pre-copy' as const),
    flushes: fc.boolean(),
    early: fc.option(fc.record({ data: someBytes, isFirst: fc.boolean() })),
    switchoverCommand: fc.boolean(),
    uuid: fc.boolean(),
    description: fc.option(fc.json()).map((json) => (json === null ? null : `{"devices":${json}}`)),
    devices: someBytes,
  })
  .map(({ picks, ...rest }) => ({
    ...rest,
    rounds: picks.map((round) =>
      round.map(({ at, fill }) => {
        const block = at % rest.blocks.length
        return { block, page: Math.floor(at / 7) % (rest.blocks[block]?.pages ?? 1), fill }
      }),
    ),
  }))

/** `bytes` in pieces that end at `cuts`. */
export function cutAt(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b)
  return [...places, bytes.length].map((end, index) => bytes.subarray(places[index - 1] ?? 0, end))
}

/** The byte that all of `content` is; −1 when it is not one byte. */
export function fillOf(content: Buffer): number {
  const first = content[0] ?? -1
  return content.equals(Buffer.alloc(content.length, first)) ? first : -1
}

/** Keeps all that it gets. */
export class KeepingSink implements StreamSink {
  gotHead: StreamHead | null = null
  gotTail: StreamTail | null = null
  /** By `block:page`: 'zero', or a copy. */
  readonly pages = new Map<string, Buffer | 'zero'>()
  readonly calls: string[] = []

  head(head: StreamHead): Promise<void> | undefined {
    this.gotHead = head
    this.calls.push('head')
    return undefined
  }
  page(block: number, page: number, bytes: Buffer): Promise<void> | undefined {
    this.pages.set(`${block}:${page}`, Buffer.from(bytes))
    this.calls.push('page')
    return undefined
  }
  zeroPage(block: number, page: number): Promise<void> | undefined {
    this.pages.set(`${block}:${page}`, 'zero')
    this.calls.push('zero')
    return undefined
  }
  end(tail: StreamTail): Promise<void> | undefined {
    this.gotTail = tail
    this.calls.push('end')
    return undefined
  }

  /** The fill of each page, as `Sample.memory`. */
  get fills(): Map<string, number> {
    return new Map([...this.pages].map(([key, content]) => [key, content === 'zero' ? 0 : fillOf(content)]))
  }
}

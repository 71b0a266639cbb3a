import { setTimeout as wait } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { writeAll } from './byte-stream.ts'
import type { BlockExtent } from './nbd-extents.ts'
import { encodeGo, encodeMetaContextRequest, encodeOption } from './nbd-handshake-codec.ts'
import {
  command,
  infoKind,
  metaContext,
  option,
  optionReply,
  replyHeaderBytes,
  requestOneFlag,
  u32,
} from './nbd-protocol.ts'
import { dataOf, mebibyteBytes, NbdBench, TestDisk } from './nbd-test-bench.ts'
import { rawRequest, type Told } from './nbd-test-peers.ts'
import { decodeBlockStatus } from './nbd-transfer-codec.ts'

let bench: NbdBench
beforeEach(async () => {
  bench = await NbdBench.make()
})
afterEach(async () => {
  await bench.end()
})

describe('options', () => {
  it('are those of the standard that a reader needs', async () => {
    await bench.serve(dataOf(8192))
    const raw = await (await bench.raw()).greet()
    const context = (kind: number, exportName: string, ...queries: string[]): Promise<Told[]> =>
      raw.ask(kind, encodeMetaContextRequest({ exportName, queries }))
    expect(await raw.ask(5)).toMatchObject([{ reply: optionReply.unsupported }])
    expect(await context(option.setMetaContext, '', metaContext.allocation)).toMatchObject([
      { reply: optionReply.invalid },
    ])
    expect(await raw.ask(option.structuredReply, Buffer.alloc(1))).toMatchObject([
      { reply: optionReply.invalid },
    ])
    expect(await raw.ask(option.structuredReply)).toMatchObject([{ reply: optionReply.ack }])
    expect((await raw.ask(option.list)).map(({ data }) => data.toString('latin1'))).toEqual([
      '\0\0\0\x05disk0',
      '',
    ])
    expect(await raw.ask(option.list, Buffer.alloc(1))).toMatchObject([{ reply: optionReply.invalid }])
    for (const queries of [[], ['base:'], ['qemu:x', metaContext.allocation]]) {
      expect(await context(option.listMetaContext, 'disk0', ...queries)).toHaveLength(2)
    }
    expect(await context(option.setMetaContext, '', 'base:')).toHaveLength(1)
    expect(await context(option.setMetaContext, 'other', metaContext.allocation)).toMatchObject([
      { reply: optionReply.unknownExport },
    ])
    expect(await raw.ask(option.setMetaContext, Buffer.alloc(3))).toMatchObject([
      { reply: optionReply.invalid },
    ])
    const go = (kind: number, exportName: string): Promise<Told[]> =>
      raw.ask(kind, encodeGo({ exportName, infoKinds: [infoKind.name, infoKind.blockSize] }))
    expect(await go(option.info, 'other')).toMatchObject([{ reply: optionReply.unknownExport }])
    expect(await raw.ask(option.info, Buffer.alloc(3))).toMatchObject([{ reply: optionReply.invalid }])
    expect(await go(option.info, 'disk0')).toHaveLength(4)
    expect(await go(option.go, '')).toHaveLength(4)
    raw.socket.write(rawRequest(command.blockStatus, 0, 8192))
    expect(await raw.nextError()).toBe(22)
  })

  it('may be ended by the client', async () => {
    await bench.serve(dataOf(8192))
    const raw = await (await bench.raw()).greet()
    expect(await raw.ask(option.abort)).toMatchObject([{ reply: optionReply.ack }])
    await raw.expectCutOff()
  })

  it('may be left out by old clients, who get simple answers, one at a time', async () => {
    const disk = new TestDisk([
      { lengthBytes: 4096, kind: 'hole' },
      { lengthBytes: 4096, kind: 'data' },
    ])
    await bench.serve(disk)
    const raw = await (await bench.raw()).greet(1)
    raw.socket.write(encodeOption(option.exportName, Buffer.from('disk0')))
    const told = await raw.reader.readExactly(134)
    expect(told.subarray(0, 10).toString('hex')).toBe('00000000000020000103')
    expect(told.subarray(10).every((byte) => byte === 0)).toBe(true)
    raw.socket.write(Buffer.concat([rawRequest(command.read, 0, 8192), rawRequest(command.read, 512, 8192)]))
    expect(await raw.nextError()).toBe(0)
    expect((await raw.reader.readExactly(8192)).equals(disk.content)).toBe(true)
    expect(await raw.nextError()).toBe(22)
    disk.before = () => {
      throw new Error('gone')
    }
    raw.socket.write(rawRequest(command.read, 0, 8192))
    expect(await raw.nextError()).toBe(5)
    raw.socket.write(rawRequest(command.disconnect, 0, 0))
    await raw.expectCutOff()
    const stranger = await (await bench.raw()).greet()
    stranger.socket.write(encodeOption(option.exportName, Buffer.from('other')))
    await stranger.expectCutOff()
  })
})

describe('requests', () => {
  it.each([
    ['a write', command.write, 0, 512, 0, 1],
    ['a trim', command.trim, 0, 512, 0, 1],
    ['a write of zeros', command.writeZeroes, 0, 512, 0, 1],
    ['a flush', command.flush, 0, 0, 0, 22],
    ['an unknown command', 99, 0, 512, 0, 22],
    ['an unknown flag', command.read, 0, 512, 4, 22],
    ['a read past the end', command.read, 8192 - 512, 1024, 0, 22],
    ['a read far outside', command.read, 2 ** 52, 512, 0, 22],
    ['a read of nothing', command.read, 0, 0, 0, 22],
    ['a read that is too long', command.read, 0, 0xffffffff, 0, 22],
    ['a status past the end', command.blockStatus, 0, 8704, 0, 22],
  ])(
    'are refused when they are no reads of this disk: %s',
    async (_name, kind, offset, length, flags, error) => {
      const disk = dataOf(8192)
      await bench.serve(disk)
      for (const raw of [
        await (await bench.raw()).transmit(),
        await (await bench.raw()).transmit({ structuredReplies: false, contexts: false }),
      ]) {
        raw.socket.write(rawRequest(kind, offset, length, flags))
        if (kind === command.write) raw.socket.write(Buffer.alloc(length, 0x25))
        expect(await raw.nextError()).toBe(error)
        raw.socket.write(rawRequest(command.read, 0, 512))
        expect(await raw.nextError()).toBe(0)
      }
      expect(disk.reads).toHaveLength(2)
    },
  )

  it('longer than 32 MiB are refused though the disk has them', async () => {
    await bench.serve(new TestDisk([{ lengthBytes: 64 * mebibyteBytes, kind: 'hole' }]))
    const raw = await (await bench.raw()).transmit()
    raw.socket.write(rawRequest(command.read, 0, 32 * mebibyteBytes))
    expect(await raw.nextError()).toBe(0)
    raw.socket.write(rawRequest(command.read, 0, 32 * mebibyteBytes + 512))
    expect(await raw.nextError()).toBe(22)
  })

  it('for one extent get one, however many there are, and others not more than a few', async () => {
    const extents: BlockExtent[] = Array.from({ length: 3000 }, (_, index) => ({
      lengthBytes: 512,
      kind: index % 2 === 0 ? 'data' : 'hole',
    }))
    await bench.serve(new TestDisk(extents))
    const raw = await (await bench.raw()).transmit()
    const descriptorsOf = async (flags: number): Promise<number> => {
      raw.socket.write(rawRequest(command.blockStatus, 0, 3000 * 512, flags))
      await raw.reader.readExactly(replyHeaderBytes)
      const length = (await raw.reader.readExactly(4)).readUInt32BE(0)
      return decodeBlockStatus(await raw.reader.readExactly(length))?.descriptors.length ?? 0
    }
    expect(await descriptorsOf(requestOneFlag)).toBe(1)
    expect(await descriptorsOf(0)).toBe(1024)
  })
})

describe('a client that does not behave', () => {
  const firstWords: Record<string, Buffer> = {
    'unknown flags': u32(7),
    'no option': Buffer.concat([u32(3), Buffer.alloc(16)]),
    'an option of 4 GiB': Buffer.concat([
      u32(3),
      withLength(encodeOption(option.go, Buffer.alloc(0)), 0xffffffff),
    ]),
    'options without an end': Buffer.concat([
      u32(3),
      ...Array.from({ length: 70 }, () => encodeOption(99, Buffer.alloc(0))),
    ]),
  }

  it.each(Object.entries(firstWords))('is let go when it shakes hands with %s', async (_name, words) => {
    await bench.serve(dataOf(8192))
    const raw = await bench.raw()
    raw.socket.write(words)
    await raw.expectCutOff()
    expect(await (await bench.connect()).read(0, 512)).toHaveLength(512)
  })

  it.each([
    ['a wrong magic number', Buffer.alloc(28)],
    ['a write of 4 GiB', rawRequest(command.write, 0, 0xffffffff)],
  ])('is let go at once when it asks with %s, whatever it still waits for', async (_name, words) => {
    const disk = dataOf(8192)
    disk.before = () => new Promise(() => {})
    await bench.serve(disk)
    const raw = await (await bench.raw()).transmit()
    raw.socket.write(Buffer.concat([rawRequest(command.read, 0, 512), words]))
    await raw.expectCutOff()
    expect(disk.reads[0]?.signal.aborted).toBe(true)
  })

  it('is given what it asked for before it said goodbye', async () => {
    const disk = dataOf(8192)
    disk.before = () => wait(20)
    await bench.serve(disk)
    const raw = await (await bench.raw()).transmit()
    raw.socket.write(Buffer.concat([rawRequest(command.read, 0, 512), rawRequest(command.disconnect, 0, 0)]))
    expect(await raw.nextError()).toBe(0)
    await raw.expectCutOff()
  })

  it('is let go when it does not finish its handshake in time, and only then', async () => {
    const server = await bench.serve(dataOf(8192), { handshakeMs: 30 })
    const client = await bench.connect()
    const raw = await (await bench.raw()).greet()
    await raw.expectCutOff()
    await wait(40)
    expect(await client.read(0, 512)).toHaveLength(512)
    expect(server.connectionCount).toBe(1)
  })

  it('takes memory for a few requests only when it never reads an answer', async () => {
    const disk = dataOf(32 * mebibyteBytes)
    await bench.serve(disk)
    const raw = await (await bench.raw()).transmit()
    raw.reader.release()
    raw.socket.pause()
    const many = Buffer.concat(
      Array.from({ length: 500 }, () => rawRequest(command.read, 0, 32 * mebibyteBytes)),
    )
    writeAll(raw.socket, many).catch(() => {})
    let before = -1
    while (disk.reads.length !== before) {
      before = disk.reads.length
      await wait(20)
    }
    expect(disk.reads.length).toBeLessThanOrEqual(32 * 4 + 4)
    expect(await (await bench.connect()).read(0, 512)).toHaveLength(512)
  })

  it('cannot take all the connections of a server for ever', async () => {
    const server = await bench.serve(dataOf(8192), { handshakeMs: 50 })
    for (let count = 0; count < 20; count += 1) await bench.raw().catch(() => {})
    expect(server.connectionCount).toBeLessThanOrEqual(8)
    while (server.connectionCount > 0) await wait(5)
    expect(await (await bench.connect()).read(0, 512)).toHaveLength(512)
  })

  it('cannot hurt others by any bytes', async () => {
    await bench.serve(dataOf(8192), { handshakeMs: 50 })
    const client = await bench.connect()
    const word = fc.oneof(
      fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
      fc.constantFrom(u32(3), u32(1)),
      fc
        .tuple(fc.nat({ max: 12 }), fc.uint8Array({ maxLength: 20 }))
        .map(([kind, data]) => encodeOption(kind, Buffer.from(data))),
      fc.constant(encodeOption(option.go, encodeGo({ exportName: '', infoKinds: [] }))),
      fc
        .tuple(fc.nat({ max: 9 }), fc.nat({ max: 9000 }), fc.nat({ max: 9000 }), fc.nat({ max: 9 }))
        .map(([kind, offset, length, flags]) => rawRequest(kind, offset, length, flags)),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(word, { maxLength: 8 }), async (words) => {
        const raw = await bench.raw()
        raw.socket.end(Buffer.concat([u32(3), ...words]))
        await raw.expectCutOff()
        expect(await client.read(0, 512)).toHaveLength(512)
      }),
      { numRuns: 60 },
    )
  })
})

/** Another length in an option's header. */
function withLength(message: Buffer, length: number): Buffer {
  message.writeUInt32BE(length, 12)
  return message
}

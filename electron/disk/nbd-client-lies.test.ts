import type { Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { writeAll } from './byte-stream.ts'
import { NbdClient } from './nbd-client.ts'
import { encodeHandshake, encodeMetaContext, encodeOptionReply } from './nbd-handshake-codec.ts'
import { chunkKind, metaContext, option, optionReply } from './nbd-protocol.ts'
import { dataChunk, NbdBench } from './nbd-test-bench.ts'
import type { FakeExport } from './nbd-test-peers.ts'
import {
  encodeBlockStatus,
  encodeDataHeader,
  encodeError,
  encodeHole,
  encodeNone,
  encodeSimpleReply,
  type NbdRequest,
} from './nbd-transfer-codec.ts'

let bench: NbdBench
beforeEach(async () => {
  bench = await NbdBench.make()
})
afterEach(async () => {
  await bench.end()
})

const nbdFailed = { code: 'disk.nbd_failed' }

describe('an NBD server that does not answer as it must', () => {
  const lies: Record<string, (request: NbdRequest) => Buffer> = {
    'a wrong magic number': (request) => Buffer.alloc(20, request.length),
    'an answer to a question that was not asked': (request) =>
      dataChunk({ ...request, cookie: request.cookie + 1n }),
    'a piece outside of what was asked': (request) => dataChunk({ ...request, offset: request.offset + 512 }),
    'a piece before what was asked': (request) => dataChunk({ ...request, offset: request.offset - 512 }),
    'a piece larger than what was asked': (request) => encodeDataHeader(request.cookie, 4096, 2 ** 31, true),
    'an empty piece': (request) => encodeDataHeader(request.cookie, 4096, 0, true),
    'a piece twice': (request) =>
      Buffer.concat([dataChunk({ ...request, length: 512 }, false), dataChunk({ ...request, length: 512 })]),
    'too little': (request) => dataChunk({ ...request, length: 512 }),
    nothing: (request) => encodeNone(request.cookie),
    'a hole that reaches too far': (request) => encodeHole(request.cookie, request.offset, 2 ** 31, true),
    'a hole without a size': (request) => encodeHole(request.cookie, request.offset, 0, true),
    'an unknown chunk': (request) => withType(dataChunk(request), 77),
    'extents instead of data': (request) =>
      encodeBlockStatus(request.cookie, { contextId: 1, descriptors: [{ length: 512, flags: 0 }] }, true),
    'success without data': (request) => encodeSimpleReply(0, request.cookie),
    'an error out of form': (request) => withType(encodeNone(request.cookie), chunkKind.error),
    'an error longer than any sentence': (request) =>
      withLength(withType(encodeNone(request.cookie), chunkKind.error), 0xffffffff),
    'errors without an end': (request) =>
      Buffer.concat(
        Array.from({ length: 300 }, () =>
          encodeError(request.cookie, { error: 5, message: '', offset: null }, false),
        ),
      ),
    'an end that is not one': (request) => withFlags(encodeNone(request.cookie), 0),
    'half an answer, and silence': (request) => dataChunk(request).subarray(0, 1000),
    silence: () => Buffer.alloc(0),
  }

  it.each(Object.entries(lies))('is found out: %s', async (_name, lie) => {
    const client = await bench.connectToAnswers((request, socket) => {
      socket.write(lie(request))
    })
    await expect(client.read(4096, 4096)).rejects.toMatchObject(nbdFailed)
    await expect(client.read(0, 4096)).rejects.toMatchObject(nbdFailed)
    await bench.clientGone
  })

  it('is found out when it goes away in the middle', async () => {
    const client = await bench.connectToAnswers((request, socket) => {
      socket.end(dataChunk(request).subarray(0, 1000))
    })
    await expect(client.read(4096, 4096)).rejects.toMatchObject(nbdFailed)
  })

  it('is given time while it sends, however slowly', async () => {
    const slowly = async (request: NbdRequest, socket: Socket): Promise<void> => {
      const bytes = dataChunk(request)
      for (let at = 0; at < bytes.length; at += 300) {
        socket.write(bytes.subarray(at, at + 300))
        await wait(130)
      }
    }
    const client = await bench.connectToAnswers(slowly, undefined, { silenceMs: 200 })
    expect(await client.read(0, 1000)).toHaveLength(1000)
    await wait(250)
    expect(await client.read(0, 100)).toHaveLength(100)
  })

  it('cannot make it hang or crash by any bytes', async () => {
    const valid = fc
      .tuple(fc.nat({ max: 9000 }), fc.nat({ max: 9000 }), fc.nat({ max: 4 }), fc.boolean())
      .map(([offset, length, cookie, done]) =>
        dataChunk({ flags: 0, command: 0, cookie: BigInt(cookie), offset, length }, done),
      )
    const noise = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes))
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(valid, noise), { maxLength: 5 }), async (parts) => {
        const client = await bench.connectToAnswers((_request, socket) => {
          socket.end(Buffer.concat(parts))
        })
        const outcomes = await Promise.allSettled([client.read(0, 8192), client.read(512, 8192)])
        for (const outcome of outcomes) {
          if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject(nbdFailed)
        }
        await client.close()
        await bench.closeFake()
      }),
      { numRuns: 40 },
    )
  })
})

describe('an NBD server that does not shake hands', () => {
  const greeting = encodeHandshake(3)
  const granted = (kind: number): Buffer => encodeOptionReply(kind, optionReply.ack)
  const lies: Record<string, Buffer[]> = {
    'says nothing': [],
    'says something else': [Buffer.from('220 mail.example.org ESMTP ready\r\n')],
    'speaks the old style': [Buffer.from(`4e42444d4147494300420281861253${'0'.repeat(20)}`, 'hex')],
    'does not know fixed newstyle': [encodeHandshake(2)],
    'knows no structured replies': [
      greeting,
      encodeOptionReply(option.structuredReply, optionReply.unsupported),
    ],
    'answers another option': [greeting, granted(option.go)],
    'answers with a wrong magic number': [greeting, Buffer.alloc(20)],
    'answers in 4 GiB': [greeting, withLength(granted(option.structuredReply), 0xffffffff)],
    'never comes to an end': [
      greeting,
      ...Array.from({ length: 2000 }, () => encodeOptionReply(option.structuredReply, optionReply.info)),
    ],
    'does not stop talking': [greeting, Buffer.alloc(200_000)],
    'lacks a metadata context': [greeting, granted(option.structuredReply), granted(option.setMetaContext)],
    'has no size': [
      greeting,
      granted(option.structuredReply),
      encodeOptionReply(
        option.setMetaContext,
        optionReply.metaContext,
        encodeMetaContext(1, metaContext.allocation),
      ),
      granted(option.setMetaContext),
      granted(option.go),
    ],
  }

  it.each(Object.entries(lies))('is given up: it %s', async (_name, parts) => {
    const connecting = bench.connectTo(
      async (socket, reader) => {
        await writeAll(socket, Buffer.concat(parts))
        for (;;) await reader.readSome(1000)
      },
      { contexts: [metaContext.allocation], handshakeMs: 100 },
    )
    await expect(connecting).rejects.toMatchObject({ ...nbdFailed, detail: expect.any(String) })
    await bench.clientGone
  })

  it.each([
    [{ sizeBytes: 2 ** 60 }],
    [{ sizeBytes: 4096, minBytes: 0 }],
    [{ sizeBytes: 4096, minBytes: 3 }],
    [{ sizeBytes: 4096, minBytes: 2 ** 20 }],
    [{ sizeBytes: 4096, minBytes: 4096, maxBytes: 512 }],
    [{ sizeBytes: 4096, contexts: { [metaContext.allocation]: 1, [metaContext.depth]: 1 } }],
  ])('is given up: it offers %j', async (served: FakeExport) => {
    const all = { [metaContext.allocation]: 1, [metaContext.depth]: 2 }
    const connecting = bench.connectToAnswers(
      () => {},
      { contexts: all, ...served },
      { contexts: Object.keys(all) },
    )
    await expect(connecting).rejects.toMatchObject(nbdFailed)
  })

  it('is given up when it is not there, goes away at once, or nobody wants it any more', async () => {
    const tooLong = '/tmp/'.padEnd(200, 'x')
    for (const socketPath of [bench.path, bench.folder, tooLong]) {
      await expect(NbdClient.connect({ socketPath })).rejects.toMatchObject(nbdFailed)
    }
    const over = new AbortController()
    const connecting = bench.connectTo(async () => over.abort(), { signal: over.signal, handshakeMs: 5000 })
    await expect(connecting).rejects.toMatchObject({ code: 'host.cancelled' })
    await expect(NbdClient.connect({ socketPath: bench.path, signal: over.signal })).rejects.toMatchObject({
      code: 'host.cancelled',
    })
    await bench.closeFake()
    await expect(bench.connectTo(async (socket) => void socket.end())).rejects.toMatchObject(nbdFailed)
  })
})

function withType(chunk: Buffer, type: number): Buffer {
  chunk.writeUInt16BE(type, 6)
  return chunk
}

function withFlags(chunk: Buffer, flags: number): Buffer {
  chunk.writeUInt16BE(flags, 4)
  return chunk
}

/** Another length in a header; both kinds have it in the same place. */
function withLength(message: Buffer, length: number): Buffer {
  message.writeUInt32BE(length, 16)
  return message
}

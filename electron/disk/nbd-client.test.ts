import type { Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { PieceMemory } from './nbd-piece-memory.ts'
import { command, metaContext } from './nbd-protocol.ts'
import { contentAt, dataChunk, mebibyteBytes, NbdBench } from './nbd-test-bench.ts'
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

describe('reading from an NBD server', () => {
  it('puts an answer together from pieces and holes in any order, between those of others', async () => {
    const asked: NbdRequest[] = []
    const client = await bench.connectToAnswers((request, socket) => {
      asked.push(request)
      const [a, b] = asked
      if (a === undefined || b === undefined) return
      const pieces = [
        dataChunk({ ...a, offset: a.offset + 3000, length: 1096 }, false),
        dataChunk({ ...b, length: 100 }, false),
        encodeHole(a.cookie, a.offset + 1000, 2000, false),
        encodeHole(b.cookie, b.offset + 100, 412, true),
        dataChunk({ ...a, length: 1000 }, false),
        encodeNone(a.cookie),
      ]
      socket.write(Buffer.concat(pieces))
    })
    const [a, b] = await Promise.all([client.read(4096, 4096), client.read(512, 512)])
    const expected = contentAt(4096, 4096)
    expected.fill(0, 1000, 3000)
    expect(a.equals(expected)).toBe(true)
    expect(b.equals(Buffer.concat([contentAt(512, 100), Buffer.alloc(412)]))).toBe(true)
  })

  it('reads what was sent, however the bytes are cut', async () => {
    let cuts: number[] = []
    const client = await bench.connectToAnswers(async (request, socket) => {
      const bytes = dataChunk(request)
      let at = 0
      for (const cut of cuts) {
        socket.write(bytes.subarray(at, at + cut))
        at += cut
        await new Promise((resolve) => setImmediate(resolve))
      }
      socket.write(bytes.subarray(at))
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 90_000 }), { maxLength: 6 }),
        fc.integer({ min: 1, max: 100_000 }),
        async (sizes, length) => {
          cuts = sizes
          expect((await client.read(7, length)).equals(contentAt(7, length))).toBe(true)
        },
      ),
      { numRuns: 25 },
    )
  })

  it('has several requests under way, of 1 MiB at most, and no more than QEMU takes', async () => {
    const asked: NbdRequest[] = []
    const atOnce: number[] = []
    const answerAll = (socket: Socket): void => {
      atOnce.push(asked.length)
      // In the wrong order, of course.
      for (const { cookie, offset, length } of asked.splice(0).reverse()) {
        socket.write(encodeHole(cookie, offset, length, true))
      }
    }
    let pause: NodeJS.Timeout | undefined
    const client = await bench.connectToAnswers(
      (request, socket) => {
        asked.push(request)
        clearTimeout(pause)
        pause = setTimeout(answerAll, 20, socket)
      },
      { sizeBytes: 32 * mebibyteBytes },
    )
    const bytes = await client.read(0, 32 * mebibyteBytes, { into: Buffer.alloc(32 * mebibyteBytes, 1) })
    expect(bytes.equals(Buffer.alloc(bytes.length))).toBe(true)
    expect(Math.max(...atOnce)).toBe(16)
  })

  it('keeps to the largest request that the server takes', async () => {
    const lengths: number[] = []
    const client = await bench.connectToAnswers(
      (request, socket) => {
        lengths.push(request.length)
        socket.write(dataChunk(request))
      },
      { sizeBytes: mebibyteBytes, minBytes: 512, maxBytes: 65_536 },
    )
    expect((await client.read(512, 200_192)).equals(contentAt(512, 200_192))).toBe(true)
    expect(lengths).toEqual([65_536, 65_536, 65_536, 3584])
  })

  it('refuses what is not in the disk or not aligned, before asking', async () => {
    const client = await bench.connectToAnswers(() => {}, { sizeBytes: 8192, minBytes: 512 })
    const ranges = [
      [0, 8704],
      [8192, 512],
      [-512, 512],
      [0, -512],
      [1, 512],
      [0, 100],
      [Number.NaN, 512],
      [2 ** 60, 512],
    ] as const
    for (const [offset, length] of ranges) {
      await expect(client.read(offset, length)).rejects.toMatchObject({ code: 'host.bad_input' })
    }
    await expect(client.read(0, 512, { into: Buffer.alloc(511) })).rejects.toMatchObject({
      code: 'host.bad_input',
    })
    await expect(client.blockStatus().next()).rejects.toMatchObject({ code: 'host.bad_input' })
    await expect(client.readAllocated().next()).rejects.toMatchObject({ code: 'host.bad_input' })
  })

  it('tells what the server said of an error, and goes on reading elsewhere', async () => {
    const client = await bench.connectToAnswers((request, socket) => {
      if (request.offset === 0) {
        const error = { error: 5, message: 'bad sector', offset: 512 }
        socket.write(
          Buffer.concat([
            dataChunk({ ...request, length: 512 }, false),
            encodeError(request.cookie, error, true),
          ]),
        )
      } else if (request.offset === 4096) socket.write(encodeSimpleReply(22, request.cookie))
      else socket.write(dataChunk(request))
    })
    const failures = [client.read(0, 4096), client.read(4096, 4096)]
    await expect(failures[0]).rejects.toMatchObject({
      ...nbdFailed,
      detail: expect.stringMatching(/4096 bytes at 0: error 5 at 512: bad sector/),
    })
    await expect(failures[1]).rejects.toMatchObject({
      ...nbdFailed,
      detail: expect.stringContaining('error 22'),
    })
    expect((await client.read(8192, 512)).equals(contentAt(8192, 512))).toBe(true)
  })

  it('ends a read that is cancelled at once, and writes no more into its memory', async () => {
    const cookies: bigint[] = []
    let socketOfServer: Socket | null = null
    const client = await bench.connectToAnswers((request, socket) => {
      socketOfServer = socket
      cookies.push(request.cookie)
      if (request.offset > 0) socket.write(dataChunk(request))
    })
    const into = Buffer.alloc(4096, 7)
    const over = new AbortController()
    const read = client.read(0, 4096, { into, signal: over.signal })
    const outcome = expect(read).rejects.toMatchObject({ code: 'host.cancelled' })
    while (cookies.length === 0) await wait(1)
    over.abort()
    await outcome
    // What it asked for comes nevertheless.
    const late = { flags: 0, command: 0, cookie: cookies[0] ?? 0n, offset: 0, length: 4096 }
    ;(socketOfServer as Socket | null)?.write(dataChunk(late))
    expect((await client.read(8192, 4096)).equals(contentAt(8192, 4096))).toBe(true)
    expect(into.every((byte) => byte === 7)).toBe(true)
    await expect(client.read(0, 512, { signal: over.signal })).rejects.toMatchObject({
      code: 'host.cancelled',
    })
  })

  it('lets a chunk that is just arriving end before it says that its read was cancelled', async () => {
    const halves: (() => void)[] = []
    const client = await bench.connectToAnswers((request, socket) => {
      const bytes = dataChunk(request)
      socket.write(bytes.subarray(0, 300_000))
      halves.push(() => socket.write(bytes.subarray(300_000)))
    })
    const into = Buffer.alloc(600_000)
    const over = new AbortController()
    let isOver = false
    const read = client.read(0, into.length, { into, signal: over.signal }).finally(() => {
      isOver = true
    })
    const outcome = expect(read).rejects.toMatchObject({ code: 'host.cancelled' })
    while (into[250_000] === 0) await wait(1)
    over.abort()
    await wait(5)
    expect(isOver).toBe(false)
    halves[0]?.()
    await outcome
    expect(into.equals(contentAt(0, into.length))).toBe(true)
  })

  it('fails what is asked when it is closed, says goodbye and may be closed again', async () => {
    const asked: number[] = []
    const client = await bench.connectToAnswers((request) => {
      asked.push(request.command)
    })
    const outcome = expect(client.read(0, 512)).rejects.toMatchObject(nbdFailed)
    while (asked.length === 0) await wait(1)
    await client.close()
    await outcome
    await bench.clientGone
    expect(asked).toEqual([command.read, command.disconnect])
    await client.close()
    await expect(client.read(0, 512)).rejects.toMatchObject(nbdFailed)
  })
})

describe('the status of blocks', () => {
  const contexts = { [metaContext.allocation]: 5, [metaContext.depth]: 9 }
  const options = { contexts: Object.keys(contexts) }

  it('is asked until the end, laid together from all contexts, and joined over answers', async () => {
    const sizeBytes = 3 * 1024 * mebibyteBytes
    const client = await bench.connectToAnswers(
      ({ cookie, offset, length }, socket) => {
        // Each context answers for less than was asked, and not for the same.
        const half = {
          contextId: 5,
          descriptors: [{ length: Math.min(length, 512 * mebibyteBytes), flags: 0 }],
        }
        const depth = offset < 1024 * mebibyteBytes ? 1 : 2
        const most = {
          contextId: 9,
          descriptors: [{ length: Math.min(length, 768 * mebibyteBytes), flags: depth }],
        }
        socket.write(
          Buffer.concat([encodeBlockStatus(cookie, most, false), encodeBlockStatus(cookie, half, true)]),
        )
      },
      { sizeBytes, contexts },
      options,
    )
    const extents = []
    for await (const extent of client.blockStatus()) extents.push(extent)
    expect(extents).toEqual([
      { offset: 0, lengthBytes: 1024 * mebibyteBytes, flags: [0, 1] },
      { offset: 1024 * mebibyteBytes, lengthBytes: 2048 * mebibyteBytes, flags: [0, 2] },
    ])
  })

  const answers: Record<string, (request: NbdRequest) => Buffer> = {
    'one context twice': ({ cookie }) =>
      Buffer.concat([
        status(cookie, 5, 512, false),
        status(cookie, 5, 512, false),
        status(cookie, 9, 512, true),
      ]),
    'one context not at all': ({ cookie }) => status(cookie, 5, 512, true),
    'a context that was not asked for': ({ cookie }) => status(cookie, 6, 512, true),
    'an empty extent': ({ cookie }) => status(cookie, 5, 0, true),
    'no extent': ({ cookie }) => withLength(status(cookie, 5, 512, true), 0),
    'extents without an end': ({ cookie }) => withLength(status(cookie, 5, 512, true), 0xfffffffc),
    'data instead of extents': ({ cookie }) => encodeDataHeader(cookie, 0, 512, true),
  }

  it.each(Object.entries(answers))('is not believed: %s', async (_name, answer) => {
    const client = await bench.connectToAnswers(
      (request, socket) => {
        socket.write(answer(request))
      },
      { sizeBytes: mebibyteBytes, contexts },
      options,
    )
    await expect(client.blockStatus().next()).rejects.toMatchObject(nbdFailed)
  })
})

describe('memory for pieces', () => {
  it('is never given to two, whatever their sizes, and is used again', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -3, max: 12 }), { maxLength: 200 }), (steps) => {
        const memory = new PieceMemory(32)
        const out: { bytes: Buffer; mark: number }[] = []
        let mark = 0
        for (const step of steps) {
          if (step > 0) {
            mark = (mark + 1) % 256
            const bytes = memory.take(step)
            expect(bytes).toHaveLength(step)
            out.push({ bytes: bytes.fill(mark), mark })
          } else if (out.shift() !== undefined) memory.giveBack()
          for (const piece of out) expect(piece.bytes.every((byte) => byte === piece.mark)).toBe(true)
        }
      }),
    )
    const memory = new PieceMemory(32)
    const first = memory.take(20)
    memory.giveBack()
    expect(memory.take(30).buffer).toBe(first.buffer)
  })
})

function status(cookie: bigint, contextId: number, length: number, done: boolean): Buffer {
  return encodeBlockStatus(cookie, { contextId, descriptors: [{ length, flags: 0 }] }, done)
}

/** Another length in a header; both kinds have it in the same place. */
function withLength(message: Buffer, length: number): Buffer {
  message.writeUInt32BE(length, 16)
  return message
}

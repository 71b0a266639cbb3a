import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { BlockProvider } from './nbd-connection.ts'
import type { BlockExtent, ExtentKind, StatusExtent } from './nbd-extents.ts'
import { handshakeBytes } from './nbd-protocol.ts'
import type { DiskPiece } from './nbd-read-allocated.ts'
import { dataOf, mebibyteBytes, NbdBench, TestDisk } from './nbd-test-bench.ts'

let bench: NbdBench
beforeEach(async () => {
  bench = await NbdBench.make()
})
afterEach(async () => {
  await bench.end()
})

/** What `base:allocation` is to say. */
function joined(extents: readonly BlockExtent[]): StatusExtent[] {
  const flags = { data: 0, zero: 2, hole: 3 }
  const told: StatusExtent[] = []
  let offset = 0
  for (const { lengthBytes, kind } of extents) {
    const last = told.at(-1)
    if (last?.flags[0] === flags[kind]) last.lengthBytes += lengthBytes
    else told.push({ offset, lengthBytes, flags: [flags[kind]] })
    offset += lengthBytes
  }
  return told
}

/** What a capture would make of the pieces of a disk, which must come in order and without gaps. */
async function contentOf(pieces: AsyncIterable<DiskPiece>): Promise<Buffer> {
  const parts: Buffer[] = []
  let at = 0
  for await (const piece of pieces) {
    expect(piece.offset).toBe(at)
    at += sizeOf(piece)
    parts.push(piece.kind === 'data' ? Buffer.from(piece.bytes) : Buffer.alloc(piece.lengthBytes))
  }
  return Buffer.concat(parts)
}

const pages = fc.array(
  fc.record({
    lengthBytes: fc.integer({ min: 1, max: 300 }).map((count) => count * 512),
    kind: fc.constantFrom<ExtentKind>('data', 'zero', 'hole'),
  }),
  { minLength: 1, maxLength: 12 },
)

describe('a served disk', () => {
  it('reads as what it holds, whatever the range', async () => {
    await fc.assert(
      fc.asyncProperty(
        pages,
        fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 6 }),
        async (extents, ranges) => {
          const disk = new TestDisk(extents)
          const server = await bench.serve(disk)
          const client = await bench.connect()
          const sectors = disk.sizeBytes / 512
          const reads = ranges.map(async ([a, b]) => {
            const start = a % sectors
            const count = 1 + (b % (sectors - start))
            const bytes = await client.read(start * 512, count * 512)
            expect(bytes.equals(disk.content.subarray(start * 512, (start + count) * 512))).toBe(true)
          })
          await Promise.all(reads)
          expect((await client.read(0, disk.sizeBytes)).equals(disk.content)).toBe(true)
          await client.close()
          await server.close()
        },
      ),
      { numRuns: 25 },
    )
  })

  it('tells its extents, and a capture takes its data in order and nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(pages, fc.boolean(), async (extents, reuse) => {
        const disk = new TestDisk(extents)
        const server = await bench.serve(disk)
        const client = await bench.connect()
        const told: StatusExtent[] = []
        for await (const extent of client.blockStatus()) told.push(extent)
        expect(told).toEqual(joined(extents))
        const sizes = { unitBytes: 512, pieceBytes: 8192, aheadBytes: 20_000 }
        expect((await contentOf(client.readAllocated({ ...sizes, reuse }))).equals(disk.content)).toBe(true)
        const kinds = disk.reads.flatMap((read) => [...disk.extents(read.offset, read.lengthBytes)])
        expect(kinds.filter(({ kind }) => kind !== 'data')).toEqual([])
        await client.close()
        await server.close()
      }),
      { numRuns: 15 },
    )
  })

  it('answers what it has while it waits for the rest', async () => {
    const disk = dataOf(4 * mebibyteBytes)
    const { promise: network, resolve: comesBack } = Promise.withResolvers<void>()
    disk.before = (offset) => (offset < mebibyteBytes ? network : undefined)
    await bench.serve(disk)
    const client = await bench.connect()
    let isRead = false
    const slow = client.read(0, mebibyteBytes).finally(() => {
      isRead = true
    })
    expect(await client.read(2 * mebibyteBytes, 2 * mebibyteBytes)).toHaveLength(2 * mebibyteBytes)
    const other = await bench.connect()
    expect(await other.read(mebibyteBytes, 512)).toHaveLength(512)
    expect(isRead).toBe(false)
    comesBack()
    expect((await slow).equals(disk.content.subarray(0, mebibyteBytes))).toBe(true)
  })

  it('tells an input/output error where a read fails, and goes on serving', async () => {
    const disk = dataOf(4 * mebibyteBytes)
    const failures: string[] = []
    disk.before = (offset) => {
      if (offset === mebibyteBytes) throw new Error('the cloud is gone')
    }
    await bench.serve(disk, {
      onReadError: (error, offset, lengthBytes) => failures.push(`${error} ${offset} ${lengthBytes}`),
    })
    const client = await bench.connect()
    await expect(client.read(0, 4 * mebibyteBytes)).rejects.toMatchObject({
      code: 'disk.nbd_failed',
      detail: expect.stringContaining('error 5 at 1048576'),
    })
    expect(failures).toEqual(['Error: the cloud is gone 1048576 524288'])
    expect(await client.read(0, mebibyteBytes)).toHaveLength(mebibyteBytes)
  })

  it('passes nothing on that has not the right size, and takes what it cannot tell for data', async () => {
    const failures: unknown[] = []
    const provider: BlockProvider = {
      sizeBytes: 8192,
      read: async () => Buffer.alloc(100),
      extents: () => {
        throw new Error('no idea')
      },
    }
    await bench.serve(provider, { onReadError: (error) => failures.push(error) })
    const client = await bench.connect()
    await expect(client.read(0, 4096)).rejects.toMatchObject({ code: 'disk.nbd_failed' })
    const extents = []
    for await (const extent of client.blockStatus()) extents.push(extent)
    expect(extents).toEqual([{ offset: 0, lengthBytes: 8192, flags: [0] }])
    expect(failures.map(String)).toContain('RangeError: 100 bytes were provided instead of 4096')
  })

  it('is read no further ahead than the consumer of a capture lets it', async () => {
    const disk = dataOf(16 * mebibyteBytes)
    await bench.serve(disk)
    const client = await bench.connect()
    let takenBytes = 0
    const limits = { pieceBytes: mebibyteBytes / 4, aheadBytes: mebibyteBytes }
    for await (const piece of client.readAllocated(limits)) {
      await wait(2)
      takenBytes += sizeOf(piece)
      const readBytes = disk.reads.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0)
      expect(readBytes - takenBytes).toBeLessThanOrEqual(limits.aheadBytes + limits.pieceBytes)
      if (takenBytes > 8 * mebibyteBytes) break
    }
    expect(await client.read(0, 512)).toHaveLength(512)
  })

  it('ends a capture with the error of the read it comes to, or at once when it is cancelled', async () => {
    const disk = dataOf(4 * mebibyteBytes)
    disk.before = (offset) => {
      if (offset >= 2 * mebibyteBytes) throw new Error('bad sector')
    }
    await bench.serve(disk)
    const client = await bench.connect()
    const seen: number[] = []
    const all = async (signal?: AbortSignal): Promise<void> => {
      const options = signal ? { signal } : {}
      for await (const piece of client.readAllocated(options)) seen.push(piece.offset)
    }
    await expect(all()).rejects.toMatchObject({ code: 'disk.nbd_failed' })
    expect(seen).toEqual([0, mebibyteBytes])
    const { promise: never } = Promise.withResolvers<void>()
    disk.before = () => never
    await expect(all(AbortSignal.timeout(20))).rejects.toMatchObject({ code: 'host.cancelled' })
  })
})

describe('closing a server', () => {
  it('waits for what is under way as long as it may, and removes the socket', async () => {
    const disk = dataOf(mebibyteBytes)
    const { promise: network, resolve: comesBack } = Promise.withResolvers<void>()
    disk.before = () => network
    const server = await bench.serve(disk)
    const client = await bench.connect()
    const read = client.read(0, 4096)
    while (disk.reads.length === 0) await wait(1)
    const closed = server.close({ graceMs: 5000 })
    await wait(5)
    comesBack()
    expect(await read).toHaveLength(4096)
    await closed
    await server.close()
    expect(existsSync(bench.path)).toBe(false)
    await expect(client.read(0, 512)).rejects.toMatchObject({ code: 'disk.nbd_failed' })
  })

  it('cuts off what takes longer, and tells the provider', async () => {
    const disk = dataOf(mebibyteBytes)
    const { promise: never } = Promise.withResolvers<void>()
    disk.before = () => never
    const server = await bench.serve(disk)
    const client = await bench.connect()
    const outcome = expect(client.read(0, 4096)).rejects.toMatchObject({ code: 'disk.nbd_failed' })
    while (disk.reads.length === 0) await wait(1)
    await server.close({ graceMs: 10 })
    await outcome
    expect(disk.reads[0]?.signal.aborted).toBe(true)
    expect(server.connectionCount).toBe(0)
  })

  it('cuts off a client whose read fails because of it, for an error would be taken for the disk’s', async () => {
    const disk = dataOf(mebibyteBytes)
    const { promise: network, reject: breaks } = Promise.withResolvers<void>()
    disk.before = () => network
    const errors: unknown[] = []
    const server = await bench.serve(disk, { onReadError: (error) => errors.push(error) })
    const client = await bench.connect()
    const outcome = client.read(0, 4096).catch((error: unknown) => error)
    while (disk.reads.length === 0) await wait(1)
    const closed = server.close({ graceMs: 5000 })
    breaks(new Error('the reader was closed'))
    await closed
    expect(await outcome).toMatchObject({ code: 'disk.nbd_failed' })
    expect(String(await outcome)).not.toContain('could not be read')
    expect(errors).toEqual([])
  })

  it('is not held up by clients that do nothing', async () => {
    const server = await bench.serve(dataOf(4096))
    await bench.connect()
    const silent = await bench.raw()
    await silent.reader.readExactly(handshakeBytes)
    await server.close({ graceMs: 5000 })
    expect(server.connectionCount).toBe(0)
  })

  it('makes room for a new one, which takes the place of a socket that was left behind', async () => {
    await writeFile(bench.path, '')
    const first = await bench.serve(dataOf(4096))
    await first.close()
    await bench.serve(dataOf(8192))
    expect((await bench.connect()).sizeBytes).toBe(8192)
    await expect(
      bench.serve(dataOf(512), { socketPath: join(bench.folder, 'none', 's') }),
    ).rejects.toMatchObject({
      code: 'host.no_permission',
    })
  })
})

function sizeOf(piece: DiskPiece): number {
  return piece.kind === 'data' ? piece.bytes.length : piece.lengthBytes
}

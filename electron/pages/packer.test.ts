import { randomBytes } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { systemRandom } from '../platform/random.ts'
import { frameBytes, openFrame } from './frame.ts'
import { KnownPages, type PackContents } from './known-pages.ts'
import type { PackFile, PackSink } from './pack-writer.ts'
import { Packer, type PackerOptions } from './packer.ts'
import { PageHasher, pageBytes, pageIdBytes } from './page-id.ts'

const hasher = new PageHasher(Buffer.alloc(32, 9))
const frameKeyOf = (packId: Buffer, ordinal: number): Buffer => {
  const key = Buffer.alloc(32)
  packId.copy(key)
  key.writeUInt32LE(ordinal, 16)
  return key
}

/** Keeps packs in memory. */
class MemorySink implements PackSink {
  readonly packs = new Map<string, Buffer>()
  readonly contents: PackContents[] = []
  readonly began: string[] = []
  discarded = 0
  open = 0
  /** What a write waits for, or fails with. */
  onWrite: () => Promise<void> = async () => {}
  onFinish: () => Promise<void> = async () => {}

  async begin(packId: Buffer): Promise<PackFile> {
    const id = packId.toString('hex')
    const parts: Buffer[] = []
    this.began.push(id)
    this.open += 1
    return {
      write: async (bytes) => {
        await this.onWrite()
        parts.push(Buffer.from(bytes))
      },
      finish: async (contents) => {
        await this.onFinish()
        this.open -= 1
        this.packs.set(id, Buffer.concat(parts))
        this.contents.push(contents)
      },
      discard: async () => {
        this.open -= 1
        this.discarded += 1
      },
    }
  }
}

type Location = 'zero' | { frame: number; slot: number }

function makePacker(changes: Partial<PackerOptions> = {}) {
  const sink = new MemorySink()
  const known = new KnownPages()
  const located = new Map<number, Location>()
  const options: PackerOptions = {
    known,
    hasher,
    sink,
    frameKeyOf,
    random: systemRandom,
    locations: {
      zero: (ref) => located.set(ref, 'zero'),
      page: (ref, frame, slot) => located.set(ref, { frame, slot }),
    },
    ...changes,
  }
  return { sink, known: options.known, located, packer: new Packer(options) }
}

/** What a reader finds at a location. */
function pageAt(known: KnownPages, packs: Map<string, Buffer>, location: Location | undefined): Buffer {
  if (location === undefined) throw new Error('no location')
  if (location === 'zero') return Buffer.alloc(pageBytes)
  const place = known.frames.place(location.frame)
  if (place === null) throw new Error('no place')
  const packId = known.frames.packId(place.pack)
  const pack = packs.get(packId.toString('hex')) ?? Buffer.alloc(0)
  const sealed = pack.subarray(place.offset, place.offset + place.sealedBytes)
  const pages = openFrame(
    frameKeyOf(packId, place.ordinal),
    { packId, ordinal: place.ordinal },
    sealed,
    place.pages,
  )
  return pages.subarray(location.slot * pageBytes, (location.slot + 1) * pageBytes)
}

const numbered = (number: number): Buffer => Buffer.alloc(pageBytes, `page ${number} `)

describe('a packer', () => {
  it('makes every page readable where it says: zeros, repeats, known and new ones in any order', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(60), { maxLength: 200 }),
        fc.array(fc.nat(60), { maxLength: 200 }),
        fc.integer({ min: 1, max: 5 }),
        async (first, second, packFrames) => {
          const before = makePacker({ packFrames })
          await addAll(before.packer, first)
          await before.packer.finish()
          const known = new KnownPages()
          for (const contents of before.sink.contents) known.addPack(contents)
          const { packer, located, sink } = makePacker({ known, packFrames })
          await addAll(packer, second)
          const totals = await packer.finish()

          const packs = new Map([...before.sink.packs, ...sink.packs])
          for (const [ref, number] of second.entries()) {
            const expected = number === 0 ? Buffer.alloc(pageBytes) : numbered(number)
            expect(pageAt(known, packs, located.get(ref)).equals(expected)).toBe(true)
          }
          const fresh = new Set(second.filter((number) => number !== 0 && !first.includes(number)))
          expect(totals.newPages).toBe(fresh.size)
          expect(totals.zeroPages).toBe(second.filter((number) => number === 0).length)
          expect(totals.zeroPages + totals.knownPages + totals.repeatedPages + totals.newPages).toBe(
            second.length,
          )
          expect(totals.sealedBytes).toBe(
            [...sink.packs.values()].reduce((sum, pack) => sum + pack.length, 0),
          )
        },
      ),
      { numRuns: 25 },
    )
  })

  it('lets pages be views of a buffer that is reused', async () => {
    const { packer, located, known, sink } = makePacker()
    const buffer = Buffer.alloc(pageBytes)
    for (let ref = 0; ref < 100; ref += 1) {
      numbered(ref + 1).copy(buffer)
      await packer.add(ref, buffer)
    }
    buffer.fill(0xee)
    await packer.finish()
    for (let ref = 0; ref < 100; ref += 1) {
      expect(pageAt(known, sink.packs, located.get(ref)).equals(numbered(ref + 1))).toBe(true)
    }
  })

  it('keeps neighbours together: frames lie in the order in which their pages came', async () => {
    const { packer, located, known } = makePacker()
    const frames = 32
    // Frames that compress well, and not at all.
    const pages = Buffer.concat(
      Array.from({ length: frames * 16 }, (_, at) =>
        (at >> 4) % 2 === 0 ? randomBytes(pageBytes) : numbered(at),
      ),
    )
    await packer.addRun(1000, pages)
    await packer.finish()
    for (let page = 0; page < pages.length / pageBytes; page += 1) {
      expect(located.get(1000 + page)).toEqual({ frame: page >> 4, slot: page & 15 })
    }
    for (let frame = 0; frame < frames; frame += 1) {
      expect(known.frames.place(frame)).toMatchObject({ pack: 0, ordinal: frame })
    }
  })

  it('tells a pack what the index needs: lengths, pages and ids of its frames, and all of it adds up', async () => {
    const { packer, sink } = makePacker({ packBytes: 3 * (frameBytes + 16) })
    const pages = randomBytes(100 * pageBytes)
    await packer.addRun(0, pages)
    await packer.finish()
    const ids = Buffer.alloc(100 * pageIdBytes)
    hasher.idsOf(pages, ids)
    expect(Buffer.concat(sink.contents.map((contents) => contents.ids)).equals(ids)).toBe(true)
    expect(sink.contents.map(({ pages: counts }) => [...counts])).toEqual([[16, 16, 16], [16, 16, 16], [4]])
    for (const { packId, sealedBytes } of sink.contents) {
      const total = sealedBytes.reduce((sum, length) => sum + length, 0)
      expect(sink.packs.get(packId.toString('hex'))?.length).toBe(total)
      expect(total).toBeLessThanOrEqual(3 * (frameBytes + 16))
    }
    expect(new Set(sink.began).size).toBe(3)
  })

  it('makes pages readable that lie far into a pack of many batches', async () => {
    const { packer, located, known, sink } = makePacker()
    const pages = randomBytes(800 * pageBytes)
    await packer.addRun(0, pages)
    await packer.finish()
    for (const page of [0, 255, 256, 300, 511, 512, 799]) {
      const expected = pages.subarray(page * pageBytes, (page + 1) * pageBytes)
      expect(pageAt(known, sink.packs, located.get(page)).equals(expected)).toBe(true)
    }
  })

  it('makes whoever adds wait for a slow disk, with a bounded amount under way', async () => {
    const { packer, sink, known } = makePacker()
    const gate = Promise.withResolvers<void>()
    sink.onWrite = () => gate.promise
    const wait = packer.addRun(0, randomBytes(2000 * pageBytes))
    expect(wait).toBeInstanceOf(Promise)
    let done = false
    void wait?.then(() => {
      done = true
    })
    for (let count = 0; count < 200; count += 1) await turn()
    expect(done).toBe(false)
    // Three batches of 1 MiB.
    expect(known.table.size * pageBytes).toBeLessThanOrEqual(3 * 1024 * 1024)
    gate.resolve()
    await wait
    expect((await packer.finish()).newPages).toBe(2000)
  })

  it('says so when it was not waited for, and when a page is not whole', async () => {
    const { packer, sink } = makePacker()
    sink.onWrite = () => new Promise(() => {})
    const page = randomBytes(pageBytes)
    expect(() => {
      for (let ref = 0; ref < 2000; ref += 1) {
        page.writeUInt32LE(ref)
        packer.add(ref, page)
      }
    }).toThrow('not waited for')
    expect(() => makePacker().packer.add(0, Buffer.alloc(100))).toThrow(RangeError)
    expect(() => makePacker().packer.add(0, Buffer.alloc(5000), 1000)).toThrow(RangeError)
  })

  it('has nothing to write for pages that are all zero or known', async () => {
    const { packer, sink, known } = makePacker()
    await packer.addRun(0, Buffer.alloc(50 * pageBytes))
    expect(await packer.finish()).toEqual({
      zeroPages: 50,
      knownPages: 0,
      repeatedPages: 0,
      newPages: 0,
      sealedBytes: 0,
    })
    expect([sink.began.length, known.frames.size, known.table.size]).toEqual([0, 0, 0])
  })
})

describe('a packer whose disk fails', () => {
  const full = new Error('no space left on device')

  it.each(['write', 'finish'] as const)(
    'at a %s fails the work with its error, and leaves no pack',
    async (at) => {
      const { packer, sink } = makePacker({ packFrames: 8 })
      let calls = 0
      const failing = async (): Promise<void> => {
        calls += 1
        if (calls === 3) throw full
      }
      if (at === 'write') sink.onWrite = failing
      else sink.onFinish = failing
      const work = (async () => {
        await packer.addRun(0, randomBytes(600 * pageBytes))
        await packer.finish()
      })()
      await expect(work).rejects.toBe(full)
      expect(() => packer.add(0, randomBytes(pageBytes))).toThrow(full)
      await packer.discard()
      const failedItself = at === 'finish' ? 1 : 0
      expect(sink.open - failedItself).toBe(0)
    },
  )

  it('lets go of the caller that waits, when it is given up', async () => {
    const { packer, sink } = makePacker()
    const gate = Promise.withResolvers<void>()
    sink.onWrite = () => gate.promise
    const wait = packer.addRun(0, randomBytes(2000 * pageBytes))
    while (sink.open === 0) await turn()
    const ended = expect(wait).rejects.toMatchObject({ code: 'host.cancelled' })
    const discarding = packer.discard()
    await ended
    gate.resolve()
    await discarding
    expect([sink.open, sink.discarded, sink.packs.size]).toEqual([0, 1, 0])
    await expect(packer.finish()).rejects.toMatchObject({ code: 'host.cancelled' })
  })
})

async function addAll(packer: Packer, numbers: readonly number[]): Promise<void> {
  for (const [ref, number] of numbers.entries()) {
    const wait = packer.add(ref, number === 0 ? Buffer.alloc(pageBytes) : numbered(number))
    if (wait !== undefined) await wait
  }
}

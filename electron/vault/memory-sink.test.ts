import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { KnownPages, type PackContents } from '../pages/known-pages.ts'
import type { PackSink } from '../pages/pack-writer.ts'
import { PageHasher, pageBytes, pageIdBytes } from '../pages/page-id.ts'
import type { StreamHead } from '../qemu/stream/grammar.ts'
import { CaptureFeed } from './capture-feed.ts'
import { RegionHasher } from './codec/region-hash.ts'
import { MemorySink } from './memory-sink.ts'
import { RegionTable } from './region-table.ts'
import { Seeded } from './testing/seeded.ts'
import { testVault } from './testing/test-vault.ts'

const vault = testVault()
const tail = { bytes: Buffer.from('devices'), deviceBytes: 7 }

function headOf(pages: number): StreamHead {
  const blocks = [{ name: 'pc.ram', pages }]
  return { bytes: Buffer.alloc(4), machine: 'pc-q35-7.2', configurationBytes: 4, ramSectionId: 2, blocks }
}

/** Packs that are kept as far as the next checkpoint has to know them. */
class Sink implements PackSink {
  readonly contents: PackContents[] = []
  onWrite: () => Promise<void> = async () => {}

  async begin() {
    return {
      write: () => this.onWrite(),
      finish: async (contents: PackContents) => void this.contents.push(contents),
      discard: async () => {},
    }
  }
}

/** A guest's memory and a stream of it. */
class Guest {
  readonly memory: number[]
  readonly #sink: MemorySink
  readonly #bytes = Buffer.alloc(pageBytes)
  /** How often it was made to wait. */
  waits = 0

  constructor(sink: MemorySink, memory: number[]) {
    this.#sink = sink
    this.memory = memory
  }

  /** Page `page` as it is now; its memory is used again at once, as that of a socket. */
  async send(page: number): Promise<void> {
    const content = this.memory[page] ?? 0
    fillPage(this.#bytes, content)
    const wait = content === 0 ? this.#sink.zeroPage(0, page) : this.#sink.page(0, page, this.#bytes)
    if (wait !== undefined) {
      this.waits += 1
      await wait
    }
    this.#bytes.fill(0xee)
  }
}

function fillPage(bytes: Buffer, content: number): void {
  bytes.fill(0)
  if (content !== 0) bytes.writeUInt32LE(content, 100)
}

function hashOf(memory: readonly number[]): string {
  const hasher = new PageHasher(vault.pageIdKey)
  const region = new RegionHasher()
  const [page, id] = [Buffer.alloc(pageBytes), Buffer.alloc(pageIdBytes)]
  for (const content of memory) {
    fillPage(page, content)
    if (content === 0) region.zeros(1)
    else {
      hasher.idOf(page, 0, id)
      region.page(id)
    }
  }
  return region.finish()
}

function begin(known: KnownPages, memory: number[]) {
  const packs = new Sink()
  const feed = new CaptureFeed(vault, known, packs)
  const over = new AbortController()
  const sink = new MemorySink({ feed, onBytes: () => {}, signal: over.signal })
  sink.head(headOf(memory.length))
  return { packs, feed, over, sink, guest: new Guest(sink, memory) }
}

function knownFrom({ contents }: Sink): KnownPages {
  const known = new KnownPages()
  for (const pack of contents) known.addPack(pack)
  return known
}

describe('memory on its way to the packer', () => {
  it('ends as its last version, whatever came again and whenever it was packed', async () => {
    for (const seed of [1, 2, 3]) {
      const random = new Seeded(seed)
      const memory = Array.from({ length: 700 }, () => (random.chance(0.2) ? 0 : 1 + random.int(2000)))
      const { packs, feed, sink, guest } = begin(new KnownPages(), memory)
      packs.onWrite = async () => {
        for (let turns = random.int(4); turns > 0; turns -= 1) await turn()
      }
      for (let page = 0; page < memory.length; page += 1) await guest.send(page)
      const other = feed.addRun(
        new RegionTable(300, 'in-order'),
        0,
        Buffer.alloc(300 * pageBytes, 'a disk beside it '),
      )
      for (let count = 0; count < 1500; count += 1) {
        const page = random.int(memory.length)
        memory[page] = random.chance(0.2) ? 0 : 1 + random.int(2000)
        await guest.send(page)
        if (random.chance(0.02)) await turn()
      }
      await other
      await sink.end(tail)
      await feed.finish()
      const { tables } = sink.result()
      expect(tables[0]?.idsSha256(), `seed ${seed}`).toBe(hashOf(memory))
    }
  })

  it('packs a page once that changes on and on in a guest which is mostly known', async () => {
    const memory = Array.from({ length: 2000 }, (_, page) => page + 1)
    const first = begin(new KnownPages(), memory)
    for (let page = 0; page < memory.length; page += 1) await first.guest.send(page)
    await first.sink.end(tail)
    expect((await first.feed.finish()).newPages).toBe(2000)

    const second = begin(knownFrom(first.packs), memory)
    for (let page = 0; page < memory.length; page += 1) await second.guest.send(page)
    for (let round = 1; round <= 30; round += 1) {
      for (let page = 0; page < 100; page += 1) {
        memory[page] = 10_000 * round + page
        await second.guest.send(page)
      }
      await turn()
    }
    await second.sink.end(tail)
    expect(await second.feed.finish()).toMatchObject({ newPages: 100, knownPages: 2000 })
    expect(second.sink.result().tables[0]?.idsSha256()).toBe(hashOf(memory))
  })

  it('makes QEMU wait for a slow disk, with a bounded amount held', async () => {
    const memory = Array.from({ length: 6_000 }, (_, page) => page + 1)
    const { packs, feed, sink, guest } = begin(new KnownPages(), memory)
    const gate = Promise.withResolvers<void>()
    packs.onWrite = () => gate.promise
    let sent = 0
    const sending = (async () => {
      for (; sent < memory.length; sent += 1) await guest.send(sent)
    })()
    for (let count = 0; count < 500; count += 1) await turn()
    // 8 MiB wait, and three batches of 1 MiB are on their way.
    expect(sent).toBeLessThanOrEqual(2048 + 3 * 256)
    gate.resolve()
    await sending
    expect(guest.waits).toBeGreaterThan(0)
    await sink.end(tail)
    await feed.finish()
    expect(sink.result().tables[0]?.idsSha256()).toBe(hashOf(memory))
  })

  it('fails with what the disk failed with, and stops when nobody wants it', async () => {
    const full = new Error('the disk is full')
    const memory = Array.from({ length: 3000 }, (_, page) => page + 1)
    const failing = begin(new KnownPages(), memory)
    failing.packs.onWrite = () => Promise.reject(full)
    const sending = async (): Promise<void> => {
      for (let page = 0; page < memory.length; page += 1) await failing.guest.send(page)
      await failing.sink.end(tail)
    }
    await expect(sending()).rejects.toBe(full)
    await failing.feed.discard()

    const unwanted = begin(new KnownPages(), memory)
    for (let page = 0; page < memory.length; page += 1) await unwanted.guest.send(page)
    unwanted.over.abort(full)
    await expect(unwanted.sink.end(tail)).rejects.toBe(full)
    await unwanted.feed.discard()
  })

  it('is nothing before its stream has ended', () => {
    expect(() => begin(new KnownPages(), [1]).sink.result()).toThrow()
  })
})

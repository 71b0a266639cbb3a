import { once } from 'node:events'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { PageContent, StreamHead, StreamTail } from './grammar.ts'
import { parseHead } from './head.ts'
import { type PageProvider, type PageSpan, type PostcopyOptions, PostcopySource } from './postcopy-source.ts'
import { parseTail } from './tail.ts'
import { FakeDestination } from './testing/fake-destination.ts'
import { device, opening, ramStart, type SampleBlock, u8, u16, u32, u64 } from './testing/sample-streams.ts'

const blocks: readonly SampleBlock[] = [
  { name: 'pc.ram', pages: 200 },
  { name: 'vga.vram', pages: 40 },
]
const devices = device('timer', Buffer.from('ticks'))

function parts(list: readonly SampleBlock[] = blocks): { head: StreamHead; tail: StreamTail } {
  return {
    head: parseHead(Buffer.concat([opening(), ramStart(list)])),
    tail: parseTail(Buffer.concat([devices, u8(0)])),
  }
}

/** What is in a page: every third is zero, the last ten of a block are not plugged in. */
function contentOf(block: number, page: number): PageContent {
  if (page >= (blocks[block]?.pages ?? 0) - 10) return 'absent'
  return page % 3 === 0 ? 'zero' : Buffer.alloc(4096, fillOf(block, page))
}
function fillOf(block: number, page: number): number {
  return page % 3 === 0 ? 0 : 1 + ((block * 31 + page * 7) % 255)
}
function expectedMemory(): Map<string, number> {
  const pages = blocks.flatMap(({ name, pages: count }, block) =>
    Array.from({ length: count - 10 }, (_, page) => [`${name}:${page}`, fillOf(block, page)] as const),
  )
  return new Map(pages)
}

/** Answers at once, and notes what it was asked. */
class Provider implements PageProvider {
  readonly asked: string[] = []
  readonly reads: PageSpan[] = []
  page(block: number, page: number): Promise<PageContent> {
    this.asked.push(`${block}:${page}`)
    return Promise.resolve(contentOf(block, page))
  }
  read(block: number, page: number, count: number): Promise<readonly PageContent[]> {
    this.reads.push({ block, page, count })
    return Promise.resolve(Array.from({ length: count }, (_, index) => contentOf(block, page + index)))
  }
}

function start(options: Partial<PostcopyOptions> = {}): {
  destination: FakeDestination
  provider: Provider
  source: PostcopySource
  ended: Promise<void>
} {
  const { head, tail } = parts()
  const destination = new FakeDestination(head)
  const provider = new Provider()
  const source = new PostcopySource(destination.sourceSocket, {
    head,
    tail,
    provider,
    push: 'all',
    ...options,
  })
  const ended = source.run()
  ended.catch(() => {})
  return { destination, provider, source, ended }
}

const sorted = (memory: Map<string, number>): [string, number][] => [...memory].sort()

describe('the source of a post-copy', () => {
  it('sends devices before memory, every page once, and ends on QEMU’s word', async () => {
    const { destination, source, ended } = start()
    await destination.until(() => destination.hasAll)
    expect(destination.commands).toEqual([1, 3, 6, 6, 7, 4, 5])
    expect(destination.devices).toEqual(devices)
    expect(sorted(destination.memory)).toEqual(sorted(expectedMemory()))
    const dataPages = [...expectedMemory().values()].filter((fill) => fill !== 0).length
    expect(source.progress).toEqual({ donePages: 240, totalPages: 240, dataPages, requestedPages: 0 })
    let isOver = false
    void ended.then(() => {
      isOver = true
    })
    await new Promise((resolve) => setImmediate(resolve))
    expect(isOver).toBe(false)
    destination.shut(0)
    await ended
    expect(destination.complaints).toEqual([])
    expect(destination.sourceSocket.destroyed).toBe(true)
  })

  it('sends every page once, whatever is asked for when, and however slow the provider is', async () => {
    const requests = fc.array(fc.record({ block: fc.nat(1), page: fc.nat(199), after: fc.nat(120) }), {
      maxLength: 30,
    })
    const firsts = fc.array(
      fc.record({ block: fc.nat(3), page: fc.integer({ min: -1, max: 250 }), count: fc.nat(80) }),
    )
    await fc.assert(
      fc.asyncProperty(
        requests,
        firsts,
        fc.infiniteStream(fc.nat(3)),
        fc.nat(40),
        async (asks, first, delays, limit) => {
          const slow = new Provider()
          const later = async <T>(value: Promise<T>): Promise<T> => {
            const turns: number = delays.next().value ?? 0
            for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
            return await value
          }
          const provider: PageProvider = {
            page: (block, page) => later(slow.page(block, page)),
            read: (block, page, count) => later(slow.read(block, page, count)),
          }
          const { destination, ended } = start({ provider, first, pagesInFlight: limit, neighbourPages: 8 })
          for (const { block, page, after } of asks) {
            await destination.until(() => destination.hasAll || destination.arrived.length >= after)
            const { name, pages } = blocks[block] ?? { name: '', pages: 0 }
            if (page < pages && !destination.hasAll) destination.request(name, page)
          }
          await destination.until(() => destination.hasAll)
          destination.shut(0)
          await ended
          expect(destination.complaints).toEqual([])
          const expected = expectedMemory()
          for (const [key, fill] of destination.memory) expect(fill).toBe(expected.get(key) ?? 0)
          for (const key of expected.keys()) expect(destination.memory.has(key)).toBe(true)
        },
      ),
      { numRuns: 12 },
    )
  })

  it('serves what the guest waits for while everything else stands still, and goes on when it moves again', async () => {
    const gate = Promise.withResolvers<void>()
    const provider = new Provider()
    const read = provider.read.bind(provider)
    provider.read = async (...args) => {
      await gate.promise
      return await read(...args)
    }
    const { destination, source, ended } = start({ provider, pagesInFlight: 64 })
    destination.request('vga.vram', 7)
    destination.request(null, 8)
    await destination.until(() => destination.arrived.length === 2)
    expect(destination.arrived.map(({ name, page }) => `${name}:${page}`)).toEqual([
      'vga.vram:7',
      'vga.vram:8',
    ])
    expect(source.progress.requestedPages).toBe(2)
    gate.resolve()
    await destination.until(() => destination.hasAll)
    destination.shut(0)
    await ended
    expect(sorted(destination.memory)).toEqual(sorted(expectedMemory()))
    expect(destination.complaints).toEqual([])
  })

  it('asks at once for what is beside a page that the guest waits for, and for little else until it is calm', async () => {
    const provider = new Provider()
    provider.page = () => Promise.withResolvers<PageContent>().promise
    const reads: PageSpan[] = []
    const gates: (() => void)[] = []
    provider.read = async (block, page, count) => {
      reads.push({ block, page, count })
      await new Promise<void>((resolve) => gates.push(resolve))
      return Array.from({ length: count }, (_, index) => contentOf(block, page + index))
    }
    let nowMs = 0
    const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs, sleep: () => Promise.resolve() }
    const { destination, source } = start({ provider, clock, pagesInFlight: 128, neighbourPages: 8 })
    const turns = async (): Promise<string[]> => {
      for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
      return reads.splice(0).map(({ block, page, count }) => `${block}:${page}+${count}`)
    }
    expect(await turns()).toEqual(['0:0+64', '0:64+64'])
    destination.request('pc.ram', 194)
    expect(await turns()).toEqual(['0:195+5', '0:192+2'])
    gates[0]?.()
    expect(await turns()).toEqual([])
    nowMs = 1000
    gates[1]?.()
    expect(await turns()).toEqual(['0:128+64', '1:0+40'])
    source.stop()
    destination.die()
  })

  it('does not read further ahead than it may', async () => {
    const gates: (() => void)[] = []
    const provider = new Provider()
    let reading = 0
    let most = 0
    const read = provider.read.bind(provider)
    provider.read = async (block, page, count) => {
      reading += count
      most = Math.max(most, reading)
      await new Promise<void>((resolve) => gates.push(resolve))
      reading -= count
      return await read(block, page, count)
    }
    const { destination, source } = start({ provider, pagesInFlight: 128 })
    for (let turn = 0; turn < 20; turn++) {
      await new Promise((resolve) => setImmediate(resolve))
      if (turn > 10) gates.shift()?.()
    }
    expect(most).toBe(128)
    source.stop()
    destination.die()
  })

  it('sends what was recorded first, in its order', async () => {
    const first = [
      { block: 1, page: 20, count: 1 },
      { block: 0, page: 100, count: 2 },
      { block: 1, page: 4, count: 1 },
    ]
    const { destination, source } = start({ first })
    await destination.until(() => destination.arrived.length >= 5)
    expect(destination.arrived.slice(0, 5).map(({ name, page }) => `${name}:${page}`)).toEqual([
      'vga.vram:20',
      'pc.ram:100',
      'pc.ram:101',
      'vga.vram:4',
      'pc.ram:0',
    ])
    source.stop()
  })

  it('sends only what is asked for, and what is beside it, when that is wanted, and tells what it was', async () => {
    const told: string[] = []
    const record = { forMs: 1000, onPage: (block: number, page: number) => told.push(`${block}:${page}`) }
    let nowMs = 0
    const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs, sleep: () => Promise.resolve() }
    const { destination, source, ended } = start({ push: 'on-request', neighbourPages: 4, record, clock })
    destination.request('pc.ram', 6)
    destination.request('pc.ram', 6)
    await destination.until(() => destination.arrived.length === 4)
    expect(destination.arrived.map(({ page }) => page)).toEqual([6, 7, 4, 5])
    // It crossed the request on its way.
    destination.request('pc.ram', 5)
    nowMs = 2000
    destination.request('pc.ram', 50)
    await destination.until(() => destination.arrived.length === 8)
    expect(told).toEqual(['0:6'])
    expect(source.progress.requestedPages).toBe(2)
    source.stop()
    await expect(ended).rejects.toMatchObject({ code: 'host.cancelled' })
  })

  it('answers with zeros where memory is not plugged in, and only when asked', async () => {
    const { destination, ended, source } = start({ neighbourPages: 1 })
    destination.request('pc.ram', 199)
    await destination.until(() => destination.hasAll)
    expect(destination.memory.get('pc.ram:199')).toBe(0)
    expect(destination.memory.has('pc.ram:198')).toBe(false)
    expect(source.progress.donePages).toBe(240)
    destination.shut(0)
    await ended
  })

  it('lets requests in though provider and socket never make it wait', async () => {
    const many = [{ name: 'pc.ram', pages: 20_000 }]
    const { head, tail } = parts(many)
    const destination = new FakeDestination(head)
    const zeros: PageProvider = {
      page: () => Promise.resolve('zero'),
      read: (_block, _page, count) => Promise.resolve(new Array<PageContent>(count).fill('zero')),
    }
    const source = new PostcopySource(destination.sourceSocket, { head, tail, provider: zeros, push: 'all' })
    const ended = source.run()
    destination.request('pc.ram', 19_999)
    await destination.until(() => destination.hasAll)
    const place = destination.arrived.findIndex(({ page }) => page === 19_999)
    expect(place).toBeLessThan(5000)
    destination.shut(0)
    await ended
  })
})

describe('a post-copy that goes wrong', () => {
  it.each([
    ['QEMU says that it failed', (destination: FakeDestination) => destination.shut(1)],
    ['QEMU says goodbye too early', (destination: FakeDestination) => destination.shut(0)],
    ['QEMU dies', (destination: FakeDestination) => destination.die()],
    ['QEMU asks for an unknown block', (destination: FakeDestination) => destination.request('pc.rom', 0)],
    ['QEMU asks for a page outside', (destination: FakeDestination) => destination.request('pc.ram', 200)],
    ['QEMU asks for no block', (destination: FakeDestination) => destination.request(null, 0)],
    [
      'QEMU asks for a huge page',
      (destination: FakeDestination) => destination.request('pc.ram', 0, 2 ** 21),
    ],
    ['QEMU sends something unknown', (destination: FakeDestination) => destination.say(9, u32(0))],
    ['QEMU sends something long', (destination: FakeDestination) => destination.say(3, Buffer.alloc(5000))],
    [
      'QEMU cuts a request short',
      (destination: FakeDestination) => destination.say(3, Buffer.concat([u64(0), u32(4096), u16(9)])),
    ],
  ])('ends by name when %s', async (_what, act) => {
    const { destination, ended } = start({ push: 'on-request' })
    await destination.until(() => destination.commands.length > 0)
    act(destination)
    await expect(ended).rejects.toMatchObject({ code: 'qemu.load_failed' })
    expect(destination.sourceSocket.destroyed).toBe(true)
  })

  it('ends with the provider’s error, also of a page for which nobody waited', async () => {
    const lost = new Error('the pack is missing')
    const failing: PageProvider = {
      page: () => Promise.reject(lost),
      read: () => Promise.reject(lost),
    }
    await expect(start({ provider: failing }).ended).rejects.toBe(lost)
    const asked = start({ provider: failing, push: 'on-request' })
    asked.destination.request('pc.ram', 1)
    await expect(asked.ended).rejects.toBe(lost)
  })

  it('never sends a page of a wrong length', async () => {
    const short: PageProvider = {
      page: () => Promise.resolve(Buffer.alloc(100)),
      read: (_block, _page, count) => Promise.resolve(new Array<PageContent>(count).fill(Buffer.alloc(100))),
    }
    const { destination, ended } = start({ provider: short })
    await expect(ended).rejects.toThrow('a page of 100 bytes')
    expect(destination.arrived).toEqual([])
  })

  it('ends with what it was stopped with, before and after it was run, and closes its socket', async () => {
    const { head, tail } = parts()
    const options = { head, tail, provider: new Provider(), push: 'all' as const }
    const reason = new Error('the person gave up')
    const early = new PostcopySource(new FakeDestination(head).sourceSocket, options)
    early.stop(reason)
    await expect(early.run()).rejects.toBe(reason)
    const destination = new FakeDestination(head)
    const closed = once(destination.sourceSocket, 'close')
    const late = new PostcopySource(destination.sourceSocket, options)
    const ended = late.run()
    late.stop(reason)
    await expect(ended).rejects.toBe(reason)
    await closed
    const gone = new FakeDestination(head)
    gone.sourceSocket.destroy()
    await expect(new PostcopySource(gone.sourceSocket, options).run()).rejects.toMatchObject({
      code: 'qemu.load_failed',
    })
  })
})

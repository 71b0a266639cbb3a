/**
 * Everything that object-store.ts promises, as tests for any store: call it inside a test file with a way to make an
 * empty store. For tests only.
 */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isCode, WdockError } from '../../../shared/errors/index.ts'
import { systemRandom } from '../../platform/random.ts'
import type { ObjectStore } from '../object-store.ts'

export interface StoreUnderTest {
  store: ObjectStore
  /** The same place, as another program opens it. */
  other: ObjectStore
  end(): Promise<void>
}

export interface ConformanceOptions {
  /** More than one page of the store's lists. Default 5200. */
  manyNames?: number
  /** Puts objects of one byte, where a store has a quicker way. */
  fill?: (names: readonly string[]) => Promise<void>
  /** How far writtenAtMs may be from nowMs: the clock's resolution. Default 50. */
  clockStepMs?: number
}

const mebibyte = 1024 * 1024

export function describeStore(
  what: string,
  make: () => Promise<StoreUnderTest>,
  options: ConformanceOptions = {},
): void {
  describe(`${what}, as a place that keeps objects`, () => {
    let under: StoreUnderTest
    beforeAll(async () => {
      under = await make()
    })
    afterAll(async () => {
      await under?.end()
    })
    const place: Place = {
      store: () => under.store,
      other: () => under.other,
      // Every test has names of its own.
      folder: () => `t-${systemRandom.hex(6)}`,
    }
    describeObjects(place)
    describeNewNames(place)
    describeReading(place)
    describeLists(place, options)
    describeRefusals(place)
  })
}

interface Place {
  store(): ObjectStore
  other(): ObjectStore
  folder(): string
}

function describeObjects({ store, other, folder }: Place): void {
  it('gives back what was put, to others too', async () => {
    const name = `${folder()}/a`
    await store().put(name, Buffer.from('one'))
    expect(await store().get(name, 100)).toEqual(Buffer.from('one'))
    expect(await other().get(name, 100)).toEqual(Buffer.from('one'))
  })

  it('puts over what is there', async () => {
    const name = `${folder()}/a`
    await store().put(name, Buffer.from('a longer first one'))
    await other().put(name, Buffer.from('two'))
    expect(await store().get(name, 100)).toEqual(Buffer.from('two'))
  })

  it('keeps empty objects apart from none', async () => {
    const at = folder()
    await store().put(`${at}/empty`, new Uint8Array(0))
    expect(await store().get(`${at}/empty`, 10)).toEqual(Buffer.alloc(0))
    expect(await store().get(`${at}/none`, 10)).toBeNull()
    expect(await store().getRange(`${at}/empty`, 0, 0)).toEqual(Buffer.alloc(0))
    expect(await store().getRange(`${at}/none`, 0, 0)).toBeNull()
    expect((await namesAndSizes(store(), `${at}/`)).get(`${at}/empty`)).toBe(0)
  })

  it('keeps sixteen megabytes byte for byte, also of a view into a larger buffer', async () => {
    const name = `${folder()}/pack`
    const around = systemRandom.bytes(16 * mebibyte + 64)
    const body = new Uint8Array(around.buffer, around.byteOffset + 13, 16 * mebibyte)
    await store().put(name, body)
    const read = await other().get(name, 16 * mebibyte)
    expect(read?.length).toBe(body.length)
    expect(sha256(read ?? Buffer.alloc(0))).toBe(sha256(body))
  })

  it('is not changed by a caller who goes on using a buffer', async () => {
    const name = `${folder()}/a`
    const body = Buffer.from('before')
    await store().put(name, body)
    body.fill('x')
    const read = await store().get(name, 100)
    expect(read).toEqual(Buffer.from('before'))
    read?.fill('y')
    expect(await store().get(name, 100)).toEqual(Buffer.from('before'))
  })

  it('removes, and removes again, and removes what never was', async () => {
    const name = `${folder()}/a`
    await store().put(name, Buffer.from('one'))
    await other().remove(name)
    expect(await store().get(name, 100)).toBeNull()
    await store().remove(name)
    await store().remove(`${folder()}/never`)
  })

  it('sees the last of several puts at once whole', async () => {
    const name = `${folder()}/a`
    const bodies = Array.from({ length: 8 }, (_, at) => Buffer.alloc(50_000 + at, at))
    await Promise.all(bodies.map((body, at) => (at % 2 === 0 ? store() : other()).put(name, body)))
    const read = await store().get(name, mebibyte)
    expect(bodies.some((body) => read?.equals(body))).toBe(true)
  })

  it('has a clock that goes forward and that of its lists', async () => {
    const before = await store().nowMs()
    const after = await other().nowMs()
    expect(after).toBeGreaterThanOrEqual(before)
    expect(Math.abs(before - Date.now())).toBeLessThan(60_000)
  })
}

function describeNewNames({ store, other, folder }: Place): void {
  it('puts a new name once', async () => {
    const name = `${folder()}/a`
    expect(await store().putNew(name, Buffer.from('first'))).toBe(true)
    expect(await other().putNew(name, Buffer.from('second'))).toBe(false)
    expect(await store().get(name, 100)).toEqual(Buffer.from('first'))
  })

  it('does not take a name that was put, and puts over one that was new', async () => {
    const at = folder()
    await store().put(`${at}/a`, Buffer.from('put'))
    expect(await store().putNew(`${at}/a`, Buffer.from('new'))).toBe(false)
    expect(await store().putNew(`${at}/b`, Buffer.from('new'))).toBe(true)
    await other().put(`${at}/b`, Buffer.from('put'))
    expect(await store().get(`${at}/b`, 100)).toEqual(Buffer.from('put'))
    expect((await namesAndSizes(store(), `${at}/`)).get(`${at}/b`)).toBe(3)
  })

  it('takes an empty object for taken', async () => {
    const name = `${folder()}/fence`
    expect(await store().putNew(name, new Uint8Array(0))).toBe(true)
    expect(await other().putNew(name, Buffer.from('late'))).toBe(false)
    expect(await store().get(name, 100)).toEqual(Buffer.alloc(0))
  })

  it('frees a name that is removed', async () => {
    const name = `${folder()}/a`
    for (const body of ['one', 'two', 'three']) {
      expect(await store().putNew(name, Buffer.from(body))).toBe(true)
      expect(await other().get(name, 100)).toEqual(Buffer.from(body))
      await other().remove(name)
    }
    expect(await namesAndSizes(store(), name)).toEqual(new Map())
  })

  it('tells exactly one of twenty at once that the name was free, and keeps what that one put', async () => {
    for (let round = 0; round < 3; round++) {
      const name = `${folder()}/race`
      const bodies = Array.from({ length: 20 }, (_, at) => Buffer.alloc(30_000, at + 1))
      const told = await Promise.all(
        bodies.map((body, at) => (at % 2 === 0 ? store() : other()).putNew(name, body)),
      )
      expect(told.filter((isNew) => isNew)).toHaveLength(1)
      const first = bodies[told.indexOf(true)] ?? Buffer.alloc(0)
      expect((await store().get(name, mebibyte))?.equals(first)).toBe(true)
    }
  })

  it('never shows half of a new object to who reads meanwhile', async () => {
    const name = `${folder()}/watched`
    const body = systemRandom.bytes(2 * mebibyte)
    let putting = true
    const put = store()
      .putNew(name, body)
      .finally(() => {
        putting = false
      })
    while (putting) {
      const read = await other().get(name, 4 * mebibyte)
      if (read !== null) expect(read.equals(body)).toBe(true)
    }
    expect(await put).toBe(true)
  })
}

function describeReading({ store, folder }: Place): void {
  it('gives any range of an object', async () => {
    const name = `${folder()}/a`
    const body = systemRandom.bytes(300_000)
    await store().put(name, body)
    for (const [from, length] of [
      [0, 1],
      [0, 300_000],
      [299_999, 1],
      [4096, 100_000],
      [300_000, 0],
    ] as const) {
      const read = await store().getRange(name, from, length)
      expect(read?.equals(body.subarray(from, from + length))).toBe(true)
    }
  })

  it('refuses a range that ends behind the object', async () => {
    const name = `${folder()}/a`
    await store().put(name, Buffer.alloc(10))
    for (const [from, length] of [
      [0, 11],
      [9, 2],
      [10, 1],
      [5000, 100],
    ] as const) {
      await expect(store().getRange(name, from, length)).rejects.toSatisfy((error) =>
        isCode(error, 'store.short_read'),
      )
    }
  })

  it('knows no range of what is not there', async () => {
    expect(await store().getRange(`${folder()}/none`, 0, 10)).toBeNull()
  })

  it('refuses what is longer than its reader can take', async () => {
    const name = `${folder()}/a`
    await store().put(name, Buffer.alloc(1001))
    await expect(store().get(name, 1000)).rejects.toSatisfy((error) => isCode(error, 'store.too_big'))
    expect((await store().get(name, 1001))?.length).toBe(1001)
  })
}

function describeLists({ store, other, folder }: Place, options: ConformanceOptions): void {
  it('lists names below a prefix with their sizes and times, and no others', async () => {
    const at = folder()
    const before = await store().nowMs()
    await store().put(`${at}/packs/aa`, Buffer.alloc(5))
    await store().putNew(`${at}/packs/ab`, Buffer.alloc(7))
    await store().put(`${at}/packs2/aa`, Buffer.alloc(9))
    const after = await store().nowMs()
    expect(await namesAndSizes(other(), `${at}/packs/`)).toEqual(
      new Map([
        [`${at}/packs/aa`, 5],
        [`${at}/packs/ab`, 7],
      ]),
    )
    expect((await namesAndSizes(store(), `${at}/packs`)).size).toBe(3)
    expect((await namesAndSizes(store(), `${at}/packs/ab`)).size).toBe(1)
    expect((await namesAndSizes(store(), `${at}/packs/b`)).size).toBe(0)
    const step = options.clockStepMs ?? 50
    for await (const { writtenAtMs } of store().list(`${at}/`)) {
      expect(writtenAtMs).toBeGreaterThanOrEqual(before - step)
      expect(writtenAtMs).toBeLessThanOrEqual(after + step)
    }
  })

  it('lists nothing where nothing is', async () => {
    expect((await namesAndSizes(store(), `${folder()}/`)).size).toBe(0)
  })

  it('lists everything for the empty prefix, and only objects', async () => {
    const at = folder()
    await store().putNew(`${at}/a`, Buffer.alloc(1))
    const all = await namesAndSizes(store(), '')
    expect(all.get(`${at}/a`)).toBe(1)
    for (const name of all.keys()) expect(name).toMatch(/^[a-z0-9./-]+$/)
  })

  it('sees in a list what was written just before, and misses what was just removed', async () => {
    const at = folder()
    for (let round = 0; round < 5; round++) {
      await store().put(`${at}/${round}`, Buffer.alloc(1))
      expect((await namesAndSizes(other(), `${at}/`)).size).toBe(1)
      await store().remove(`${at}/${round}`)
      expect((await namesAndSizes(other(), `${at}/`)).size).toBe(0)
    }
  })

  it(`lists ${options.manyNames ?? 5200} names, each once`, async () => {
    const at = folder()
    const count = options.manyNames ?? 5200
    const names = Array.from({ length: count }, (_, index) => `${at}/${index.toString(16).padStart(8, '0')}`)
    const put = (some: readonly string[]) =>
      Promise.all(some.map((name) => store().put(name, Buffer.alloc(1))))
    const fill = options.fill ?? put
    for (let from = 0; from < count; from += 32) await fill(names.slice(from, from + 32))
    const seen: string[] = []
    for await (const { name } of store().list(`${at}/`)) seen.push(name)
    expect(seen).toHaveLength(count)
    expect(seen.sort().join()).toBe(names.join())
  }, 60_000)

  it('keeps on listing when its reader stops early or names vanish meanwhile', async () => {
    const at = folder()
    for (let index = 0; index < 10; index++) await store().put(`${at}/${index}`, Buffer.alloc(1))
    for await (const { name } of store().list(`${at}/`)) {
      await other().remove(name)
      break
    }
    expect((await namesAndSizes(store(), `${at}/`)).size).toBe(9)
  })
}

const badNames = [
  ...[
    '',
    '/',
    '/a',
    'a/',
    'a//b',
    '.',
    '..',
    '../a',
    'a/../b',
    'a/./b',
    '.hidden',
    'a/.hidden',
    'a.',
    'a/b.',
  ],
  ...['A', 'ä', 'a b', 'a\0b', 'a\\b', 'a\nb', 'a?b', 'a#b', 'a%2e', '~', 'c:a', 'a'.repeat(300)],
]

function describeRefusals({ store, folder }: Place): void {
  it.each(badNames.map((name) => [name]))('refuses the name %j whatever is asked', async (name) => {
    const calls = [
      () => store().put(name, Buffer.alloc(1)),
      () => store().putNew(name, Buffer.alloc(1)),
      () => store().get(name, 1),
      () => store().getRange(name, 0, 1),
      () => store().remove(name),
    ]
    for (const call of calls) {
      await expect((async () => call())()).rejects.toSatisfy((error) => isCode(error, 'store.bad_name'))
    }
  })

  it('refuses prefixes that lead elsewhere', async () => {
    for (const prefix of ['../', '/', 'a/../', './', '.wdock/', 'A']) {
      await expect(namesAndSizes(store(), prefix)).rejects.toBeInstanceOf(WdockError)
    }
  })

  it('ends a call with the reason of its signal, and has then changed nothing', async () => {
    const name = `${folder()}/a`
    await store().put(name, Buffer.from('kept'))
    const signal = AbortSignal.abort(new Error('enough'))
    const calls = [
      () => store().put(name, Buffer.from('late'), { signal }),
      () => store().putNew(`${name}2`, Buffer.from('late'), { signal }),
      () => store().get(name, 10, { signal }),
      () => store().getRange(name, 0, 1, { signal }),
      () => store().remove(name, { signal }),
      () => store().nowMs({ signal }),
      () => store().list(name, { signal })[Symbol.asyncIterator]().next(),
    ]
    for (const call of calls) await expect(call()).rejects.toThrow('enough')
    expect(await store().get(name, 10)).toEqual(Buffer.from('kept'))
    expect(await store().get(`${name}2`, 10)).toBeNull()
  })

  it('ends a call that is under way, leaving a whole object or none', async () => {
    const name = `${folder()}/a`
    const ending = new AbortController()
    const body = systemRandom.bytes(8 * mebibyte)
    const put = store().put(name, body, { signal: ending.signal })
    setTimeout(() => ending.abort(new Error('enough')), 3)
    const outcome = await put.then(
      () => 'done',
      (error: unknown) => (error instanceof Error ? error.message : ''),
    )
    expect(['done', 'enough']).toContain(outcome)
    const read = await store().get(name, 8 * mebibyte)
    expect(read === null || read.equals(body)).toBe(true)
  })
}

async function namesAndSizes(store: ObjectStore, prefix: string): Promise<Map<string, number>> {
  const found = new Map<string, number>()
  for await (const { name, sizeBytes } of store.list(prefix)) found.set(name, sizeBytes)
  return found
}

function sha256(body: Uint8Array): string {
  return createHash('sha256').update(body).digest('hex')
}

import { randomBytes } from 'node:crypto'
import {
  appendFile,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { WdockError } from '../../shared/errors/index.ts'
import type { Clock } from '../platform/clock.ts'
import { packFrame, sealFrame } from './frame.ts'
import { FrameCache } from './frame-cache.ts'

const kib = 1024
const packA = Buffer.alloc(16, 0xaa)
const packB = Buffer.alloc(16, 0xbb)
const packC = Buffer.alloc(16, 0xcc)
const nameOf = (packId: Buffer, kind: string): string => `${packId.toString('hex')}.${kind}`

let folder: string
let root: string
let opened: FrameCache[]
let troubles: WdockError[]

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'wdock-cache-'))
  folder = join(root, 'frames')
  opened = []
  troubles = []
})
afterEach(async () => {
  await Promise.all(opened.map((cache) => cache.close()))
  await rm(root, { recursive: true, force: true })
})

async function openCache(limitBytes = 1024 * kib, clock?: Clock): Promise<FrameCache> {
  const cache = await FrameCache.open({
    folder,
    limitBytes,
    onTrouble: (error) => troubles.push(error),
    ...(clock ? { clock } : {}),
  })
  opened.push(cache)
  return cache
}

describe('the local store of frames', () => {
  it('gives back exactly what was put, after a restart too, and nothing else', async () => {
    const frames = [0, 5000, 70_000, 16_000_000].map((offset) => ({ offset, sealed: randomBytes(3000) }))
    const cache = await openCache()
    for (const { offset, sealed } of frames) expect(await cache.put(packA, offset, sealed)).toBe(true)
    for (const at of [cache, await openCache()]) {
      for (const { offset, sealed } of frames) {
        expect(await at.has(packA, offset, 3000)).toBe(true)
        expect((await at.get(packA, offset, 3000))?.equals(sealed)).toBe(true)
        expect(await at.get(packA, offset, 2999)).toBeNull()
        expect(await at.get(packA, offset + 1, 3000)).toBeNull()
        expect(await at.get(packB, offset, 3000)).toBeNull()
      }
    }
  })

  it('holds sealed bytes only, in files and a folder that are closed to others', async () => {
    const secret = Buffer.alloc(4096, 'the secret of this guest ')
    const cache = await openCache()
    const sealed = sealFrame(randomBytes(32), { packId: packA, ordinal: 0 }, packFrame(secret))
    await cache.put(packA, 0, sealed)
    expect((await stat(folder)).mode & 0o777).toBe(0o700)
    for (const name of await readdir(folder)) {
      expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600)
      expect((await readFile(join(folder, name))).includes('secret')).toBe(false)
    }
  })

  it('takes over a whole pack without copying it, and every frame of it is there', async () => {
    const pack = randomBytes(50_000)
    const file = join(root, 'spooled')
    await writeFile(file, pack, { mode: 0o600 })
    const cache = await openCache()
    await cache.put(packA, 100, pack.subarray(100, 300))
    expect(await cache.adopt(packA, file)).toBe(true)
    expect((await stat(file)).nlink).toBe(2)
    await rm(file)
    expect((await cache.get(packA, 30_000, 20_000))?.equals(pack.subarray(30_000))).toBe(true)
    expect(await cache.get(packA, 30_001, 20_000)).toBeNull()
    expect(await cache.put(packA, 0, pack.subarray(0, 10))).toBe(true)
    expect(cache.usage()).toEqual({ packs: 1, bytes: 53_248, limitBytes: 1024 * kib })
    expect(await readdir(folder)).toEqual([nameOf(packA, 'pack')])
  })

  it('frees the packs that were used longest ago when it is full', async () => {
    const cache = await openCache(48 * kib)
    for (const pack of [packA, packB, packC])
      expect(await cache.put(pack, 0, randomBytes(12 * kib))).toBe(true)
    await cache.get(packA, 0, 12 * kib)
    expect(await cache.put(packC, 16 * kib, randomBytes(16 * kib))).toBe(true)
    expect(await cache.has(packA, 0, 12 * kib)).toBe(true)
    expect(await cache.has(packB, 0, 12 * kib)).toBe(false)
    expect(await cache.has(packC, 0, 12 * kib)).toBe(true)
    expect(cache.usage().bytes).toBeLessThanOrEqual(48 * kib)
  })

  it('remembers over a restart which packs were used last', async () => {
    let nowMs = Date.now() - 86_400_000
    const clock: Clock = { nowMs: () => nowMs, monotonicMs: () => nowMs, sleep: async () => {} }
    const cache = await openCache(1024 * kib, clock)
    for (const pack of [packA, packB, packC]) {
      await cache.put(pack, 0, randomBytes(4 * kib))
    }
    for (const pack of [packB, packC, packA]) {
      nowMs += 3_600_000
      await cache.get(pack, 0, 4 * kib)
    }
    await cache.close()
    const later = await openCache(12 * kib, clock)
    later.setLimit(8 * kib)
    expect(await later.has(packB, 0, 4 * kib)).toBe(false)
    expect(await later.has(packA, 0, 4 * kib)).toBe(true)
  })

  it('never takes more than its limit, whatever is put, adopted, forgotten and asked for', async () => {
    const file = join(root, 'whole')
    await writeFile(file, Buffer.alloc(30_000, 'whole '))
    const framesOf = (pack: Buffer, offset: number, length: number): Buffer =>
      Buffer.alloc(length, `${pack.toString('hex')} ${offset} `)
    const act = {
      put: (cache: FrameCache, pack: Buffer, offset: number, length: number) =>
        cache.put(pack, offset, framesOf(pack, offset, length)),
      get: async (cache: FrameCache, pack: Buffer, offset: number, length: number) => {
        const bytes = await cache.get(pack, offset, length)
        const whole = Buffer.alloc(30_000, 'whole ').subarray(offset, offset + length)
        return expect([null, framesOf(pack, offset, length), whole]).toContainEqual(bytes)
      },
      forget: (cache: FrameCache, pack: Buffer) => cache.forget(pack),
      adopt: (cache: FrameCache, pack: Buffer) => cache.adopt(pack, file),
      limit: async (cache: FrameCache, _pack: Buffer, _offset: number, length: number) =>
        cache.setLimit(length * 4),
    }
    const action = fc.record({
      kind: fc.constantFrom('put', 'get', 'forget', 'adopt', 'limit'),
      pack: fc.nat(5),
      offset: fc.nat(40).map((n) => n * 3000),
      length: fc.integer({ min: 1, max: 20_000 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 60 }), async (actions) => {
        const cache = await openCache(64 * kib)
        try {
          const pending = actions.map(({ kind, pack, offset, length }) =>
            act[kind](cache, Buffer.alloc(16, pack), offset, length),
          )
          await Promise.all(pending)
          const { bytes, packs, limitBytes } = cache.usage()
          expect(bytes).toBeGreaterThanOrEqual(0)
          expect(bytes).toBeLessThanOrEqual(limitBytes)
          await cache.close()
          const files = (await readdir(folder)).filter((name) => !name.endsWith('.parts'))
          expect(files).toHaveLength(packs)
          expect((await openCache()).usage().bytes).toBeLessThanOrEqual(bytes)
        } finally {
          await cache.wipe()
        }
        expect([cache.usage().bytes, cache.usage().packs, await readdir(folder)]).toEqual([0, 0, []])
      }),
      { numRuns: 25 },
    )
    expect(troubles).toEqual([])
  })

  it('takes nothing that is larger than its limit, and keeps what it has', async () => {
    const cache = await openCache(16 * kib)
    await cache.put(packA, 0, randomBytes(4 * kib))
    for (const pack of [packA, packB]) {
      expect(await cache.put(pack, 4 * kib, randomBytes(20 * kib))).toBe(false)
    }
    expect(await cache.has(packA, 0, 4 * kib)).toBe(true)
  })

  it('counts a frame once, however often it is put', async () => {
    const cache = await openCache()
    const sealed = randomBytes(5000)
    for (let time = 0; time < 3; time += 1) expect(await cache.put(packA, 0, sealed)).toBe(true)
    expect(cache.usage().bytes).toBe(8 * kib)
  })

  it('has what was put while the pack was being forgotten if it said so, and no files of it if not', async () => {
    const cache = await openCache()
    for (let time = 0; time < 30; time += 1) {
      const sealed = randomBytes(100)
      const early = cache.put(packA, 0, sealed)
      const forgetting = cache.forget(packA)
      const late = cache.put(packA, 5000, sealed)
      const [wasEarly, wasLate] = await Promise.all([early, late, forgetting])
      expect((await cache.get(packA, 0, 100)) !== null).toBe(wasEarly)
      expect((await cache.get(packA, 5000, 100)) !== null).toBe(wasLate)
      expect(wasLate).toBe(true)
      await cache.forget(packA)
      expect(await readdir(folder)).toEqual([])
    }
  })

  it('goes on with many more packs than it keeps open', async () => {
    const cache = await openCache()
    const packs = Array.from({ length: 80 }, (_, at) => Buffer.alloc(16, at))
    await Promise.all(packs.map((pack) => cache.put(pack, 0, Buffer.alloc(100, pack))))
    const open = (await readdir('/proc/self/fd')).length
    const found = await Promise.all(packs.map((pack) => cache.get(pack, 0, 100)))
    expect(found.every((bytes, at) => bytes?.equals(Buffer.alloc(100, at)))).toBe(true)
    await cache.close()
    expect((await readdir('/proc/self/fd')).length).toBeLessThan(open)
  })

  it('has nothing left after it was wiped, and goes on', async () => {
    const cache = await openCache()
    await cache.put(packA, 0, randomBytes(100))
    await cache.wipe()
    expect(await readdir(folder)).toEqual([])
    expect(cache.usage()).toMatchObject({ packs: 0, bytes: 0 })
    expect(await cache.put(packA, 0, randomBytes(100))).toBe(true)
    expect(await cache.has(packA, 0, 100)).toBe(true)
  })
})

describe('the local store of frames after a crash', () => {
  it('gives only what was complete: a journal cut anywhere, with rubbish behind it', async () => {
    const frames = Array.from({ length: 8 }, (_, at) => ({ offset: at * 5000, sealed: randomBytes(4000) }))
    const cache = await openCache()
    for (const { offset, sealed } of frames) await cache.put(packA, offset, sealed)
    await cache.close()
    const journal = join(folder, nameOf(packA, 'parts'))
    const whole = await readFile(journal)
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length), fc.uint8Array({ maxLength: 40 }), async (length, rubbish) => {
        await writeFile(journal, Buffer.concat([whole.subarray(0, length), rubbish]))
        const later = await openCache()
        for (const [at, { offset, sealed }] of frames.entries()) {
          const bytes = await later.get(packA, offset, 4000)
          if (at < Math.floor(length / 16)) expect(bytes?.equals(sealed)).toBe(true)
          else expect(bytes).toBeNull()
        }
        await later.close()
      }),
      { numRuns: 30 },
    )
  })

  it('gives no frame whose bytes did not reach the disk, and takes it again', async () => {
    const sealed = randomBytes(4000)
    const cache = await openCache()
    await cache.put(packA, 0, sealed)
    await cache.put(packA, 8000, sealed)
    await cache.close()
    const data = join(folder, nameOf(packA, 'part'))
    const file = await open(data, 'r+')
    await file.write(Buffer.alloc(4000), 0, 4000, 0)
    await file.close()
    await truncate(data, 9000)
    const later = await openCache()
    expect(await later.get(packA, 0, 4000)).toBeNull()
    expect(await later.get(packA, 8000, 4000)).toBeNull()
    expect(await later.put(packA, 0, sealed)).toBe(true)
    expect((await later.get(packA, 0, 4000))?.equals(sealed)).toBe(true)
  })

  it('goes on behind a torn record of the journal', async () => {
    const sealed = randomBytes(4000)
    const cache = await openCache()
    await cache.put(packA, 0, sealed)
    await cache.close()
    await appendFile(join(folder, nameOf(packA, 'parts')), randomBytes(7))
    const later = await openCache()
    await later.put(packA, 5000, sealed)
    await later.close()
    const last = await openCache()
    expect((await last.get(packA, 0, 4000))?.equals(sealed)).toBe(true)
    expect((await last.get(packA, 5000, 4000))?.equals(sealed)).toBe(true)
  })

  it('clears away what was left half done, and nothing that is not its own', async () => {
    await mkdir(folder)
    const hex = packA.toString('hex')
    for (const name of [`${hex}.tmp`, nameOf(packA, 'part'), nameOf(packB, 'parts'), 'a-person’s-file.txt']) {
      await writeFile(join(folder, name), 'x')
    }
    const cache = await openCache()
    expect(await readdir(folder)).toEqual(['a-person’s-file.txt'])
    expect(cache.usage()).toMatchObject({ packs: 0, bytes: 0 })
    await cache.wipe()
    expect(await readdir(folder)).toEqual(['a-person’s-file.txt'])
  })

  it('forgets a pack that somebody deleted, without a word', async () => {
    const cache = await openCache()
    const file = join(root, 'whole')
    await writeFile(file, randomBytes(1000))
    await cache.adopt(packA, file)
    await rm(join(folder, nameOf(packA, 'pack')))
    expect(await cache.get(packA, 0, 100)).toBeNull()
    expect(cache.usage().packs).toBe(0)
    expect(troubles).toEqual([])
  })

  it('says so when its disk fails, and goes on', async () => {
    const cache = await openCache()
    await mkdir(join(folder, nameOf(packA, 'part')))
    expect(await cache.put(packA, 0, randomBytes(100))).toBe(false)
    const adopting = cache.adopt(packB, join(root, 'not there'))
    expect(await cache.put(packB, 0, randomBytes(100))).toBe(true)
    expect(await adopting).toBe(false)
    await cache.forget(packB)
    expect(troubles.length).toBeGreaterThanOrEqual(2)
    expect(await cache.put(packC, 0, randomBytes(100))).toBe(true)
    expect(cache.usage()).toMatchObject({ packs: 1, bytes: 4096 })
  })
})

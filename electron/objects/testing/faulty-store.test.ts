import { describe, expect, it } from 'vitest'
import { isCode } from '../../../shared/errors/index.ts'
import { MemoryStore } from '../memory.ts'
import { type Fault, FaultyStore, type FaultyStoreOptions, scripted, seeded } from './faulty-store.ts'

async function lying(fault: Fault, options: FaultyStoreOptions = {}): Promise<FaultyStore> {
  const store = new FaultyStore(new MemoryStore(), () => null, options)
  await store.put('packs/aa', Buffer.from('old of one'))
  await store.put('packs/aa', Buffer.from('new of one'))
  await store.put('packs/bb', Buffer.from('the other!'))
  store.plan = () => fault
  return store
}

async function read(fault: Fault): Promise<string | null> {
  return (await (await lying(fault)).get('packs/aa', 100))?.toString('latin1') ?? null
}

describe('a store that lies on cue', () => {
  it('finds nothing, less, or something else', async () => {
    expect(await read({ kind: 'missing' })).toBeNull()
    expect(await read({ kind: 'truncated', part: 0.3 })).toBe('new')
    expect(await read({ kind: 'swapped' })).toBe('the other!')
    expect(await read({ kind: 'old' })).toBe('old of one')
    const flipped = (await read({ kind: 'flipped', part: 0 })) ?? ''
    expect(flipped).not.toBe('new of one')
    expect(flipped.slice(1)).toBe('ew of one')
  })

  it('lies in the range that is read', async () => {
    const range = async (fault: Fault) =>
      (await (await lying(fault)).getRange('packs/aa', 4, 3))?.toString('latin1') ?? null
    expect(await range({ kind: 'swapped' })).toBe('oth')
    expect(await range({ kind: 'flipped', part: 0.5 })).not.toBe('of ')
    expect(await range({ kind: 'missing' })).toBeNull()
    await expect(range({ kind: 'truncated', part: 0.5 })).rejects.toSatisfy((e) =>
      isCode(e, 'store.short_read'),
    )
  })

  it('leaves the truth below as it was', async () => {
    const store = await lying({ kind: 'flipped', part: 0.7 })
    await store.get('packs/aa', 100)
    store.plan = () => null
    expect(await store.get('packs/aa', 100)).toEqual(Buffer.from('new of one'))
  })

  it('has a clock that is off by as much as was asked for', async () => {
    const store = await lying({ kind: 'slow', delayMs: 1 }, { skewMs: -3_600_000 })
    expect(Math.abs((await store.nowMs()) - (Date.now() - 3_600_000))).toBeLessThan(5000)
  })

  it('does as it was told in order, or the same for the same seed', async () => {
    const store = new FaultyStore(new MemoryStore(), scripted(null, { kind: 'lost-answer' }, null))
    await store.put('a', Buffer.from('1'))
    await expect(store.put('a', Buffer.from('2'))).rejects.toSatisfy((e) => isCode(e, 'store.cut'))
    expect(await store.get('a', 10)).toEqual(Buffer.from('2'))
    const plan = (seed: number) => {
      const decide = seeded(seed, 0.3, [{ kind: 'cut' }, { kind: 'missing' }])
      return Array.from(
        { length: 200 },
        (_, index) => decide({ kind: 'get', name: 'a', index })?.kind ?? '-',
      ).join()
    }
    expect(plan(5)).toBe(plan(5))
    expect(plan(5)).not.toBe(plan(6))
    expect(plan(5).match(/cut|missing/g)?.length).toBeGreaterThan(30)
  })
})

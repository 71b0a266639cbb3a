import { describe, expect, it } from 'vitest'
import { isCode } from '../../shared/errors/index.ts'
import { MemoryStore } from './memory.ts'
import { retrying } from './retrying-store.ts'
import { describeStore } from './testing/conformance.ts'

describeStore('a store in memory', async () => {
  const store = new MemoryStore()
  return { store, other: store, end: async () => {} }
})

describeStore('a store in memory behind retries', async () => {
  const store = retrying(new MemoryStore({ pageSize: 497 }))
  return { store, other: store, end: async () => {} }
})

describe('links to a store in memory', () => {
  it('are good within their span, for what was copied, until they are taken back', async () => {
    let nowMs = 1000
    const store = new MemoryStore({ clock: { nowMs: () => nowMs } })
    await store.put('packs/aa', Buffer.from('pages'))
    const { address } = await store.lending.open('s1', { startMs: 2000, endMs: 3000 })
    await store.lending.copy('s1', 'packs/aa')
    const lent = store.lent(address)
    const isDead = (error: unknown) => isCode(error, 'store.link_dead')
    await expect(lent.get('packs/aa', 100)).rejects.toSatisfy(isDead)
    nowMs = 2000
    expect(await lent.get('packs/aa', 100)).toEqual(Buffer.from('pages'))
    expect(await lent.getRange('packs/aa', 1, 2)).toEqual(Buffer.from('ag'))
    expect(await lent.get('checkpoint', 100)).toBeNull()
    nowMs = 3000
    await expect(lent.get('packs/aa', 100)).rejects.toSatisfy(isDead)
    nowMs = 2500
    await store.lending.revoke('s1')
    await expect(lent.get('packs/aa', 100)).rejects.toSatisfy(isDead)
    await expect(store.lending.put('s1', 'checkpoint', Buffer.alloc(1))).rejects.toSatisfy((error) =>
      isCode(error, 'store.share_gone'),
    )
  })
})

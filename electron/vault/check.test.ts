/** Checking a vault and counting what it takes. */
import { beforeEach, describe, expect, it } from 'vitest'
import { fail } from '../../shared/errors/index.ts'
import { MemoryStore } from '../objects/memory.ts'
import { checkVault } from './check.ts'
import { decodeVerified } from './codec/verified.ts'
import { prefixes } from './names.ts'
import type { OpenVault } from './open-vault.ts'
import { removeCheckpoint } from './remove-checkpoint.ts'
import { vaultStats } from './stats.ts'
import { changedImage, publishImage, testImage, testVault } from './testing/test-vault.ts'

const image = testImage(21, 200)

describe('a check of a vault', () => {
  let store: MemoryStore
  let vault: OpenVault
  let first: string
  let second: string

  beforeEach(async () => {
    store = new MemoryStore()
    vault = testVault(store)
    first = await publishImage(vault, image)
    second = await publishImage(vault, changedImage(image, 22, 10))
  })

  const newest = () =>
    [...store.objects.keys()].filter((name) => name.startsWith(prefixes.packs)).at(-1) ?? ''

  async function verdictOf(id: string) {
    const name = prefixes.verified + id
    const payload = await vault.objects.read(name, 65_536)
    return payload && decodeVerified(name, payload)
  }

  it('finds a whole vault whole, reading each frame once', async () => {
    const listed = await checkVault(vault, { readData: false })
    expect(listed).toEqual({ checkpoints: 2, readBytes: 0, damaged: [] })
    expect(await verdictOf(first)).toMatchObject({ how: 'listed', error: null })
    const read = await checkVault(vault, { readData: true })
    expect(read).toMatchObject({ checkpoints: 2, damaged: [] })
    const packs = [...store.objects].filter(([name]) => name.startsWith(prefixes.packs))
    const storedBytes = packs.reduce((sum, [, { body }]) => sum + body.length, 0)
    expect(read.readBytes).toBeLessThanOrEqual(storedBytes)
    expect(await verdictOf(second)).toMatchObject({ how: 'read', error: null })
  })

  it('tells of each checkpoint that it comes to, and what it has read', async () => {
    const told: number[][] = []
    const onProgress = (...progress: number[]): void => void told.push(progress)
    const { readBytes } = await checkVault(vault, { readData: true, onProgress })
    expect(told.map(([done, of]) => [done, of])).toEqual([
      [0, 2],
      [1, 2],
      [2, 2],
    ])
    expect(told.at(-1)?.[2]).toBe(readBytes)
  })

  it('names the checkpoints that a missing or shortened pack affects, and no others', async () => {
    const name = newest()
    const kept = store.objects.get(name)
    store.objects.delete(name)
    const missing = await checkVault(vault, { readData: false })
    expect(missing.damaged).toMatchObject([{ checkpointId: second, error: { code: 'vault.pack_missing' } }])
    expect(await verdictOf(second)).toMatchObject({ error: { code: 'vault.pack_missing' } })
    if (kept) store.objects.set(name, { ...kept, body: kept.body.subarray(0, kept.body.length - 1) })
    const short = await checkVault(vault, { readData: false })
    expect(short.damaged).toMatchObject([{ checkpointId: second, error: { code: 'vault.damaged' } }])
  })

  it('finds a changed byte only when it reads, and then it does', async () => {
    const kept = store.objects.get(newest())
    if (kept) kept.body[kept.body.length >> 1] = (kept.body[kept.body.length >> 1] ?? 0) ^ 4
    expect((await checkVault(vault, { readData: false })).damaged).toEqual([])
    const read = await checkVault(vault, { readData: true })
    expect(read.damaged).toMatchObject([{ checkpointId: second, error: { code: 'vault.damaged' } }])
  })

  it('finds pages that are sealed well but are not those that were captured', async () => {
    // A manifest whose region says another hash: what a fault of the capture would leave.
    const wrong = await publishImage(vault, image, {
      idsSha256: 'f'.repeat(64),
    })
    const read = await checkVault(vault, { readData: true })
    expect(read.damaged).toMatchObject([{ checkpointId: wrong, error: { code: 'vault.damaged' } }])
  })

  it('finds a manifest that does not open', async () => {
    store.objects.set(prefixes.checkpoints + first, { body: Buffer.alloc(60, 1), writtenAtMs: 0 })
    const { damaged } = await checkVault(vault, { readData: false })
    expect(damaged).toMatchObject([{ checkpointId: first, error: { code: 'vault.damaged_object' } }])
  })

  it('takes no verdict from a store that does not answer', async () => {
    store.listPage = async () => {
      throw fail('store.unreachable', { place: 'it' })
    }
    await expect(checkVault(vault, { readData: true })).rejects.toMatchObject({ code: 'store.unreachable' })
  })

  it('counts what is stored, what nobody uses, and what sharing saves', async () => {
    const before = await vaultStats(vault)
    expect(before).toMatchObject({ checkpoints: 2, unusedBytes: 0 })
    expect(before.logicalBytes).toBeGreaterThan(before.storedBytes)
    await removeCheckpoint(vault, second)
    const after = await vaultStats(vault)
    expect(after.checkpoints).toBe(1)
    expect(after.unusedBytes).toBe(store.objects.get(newest())?.body.length)
  })
})

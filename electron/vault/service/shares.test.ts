/** The list of links that this PC made, from its journals and what the store lends. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { MemoryStore } from '../../objects/memory.ts'
import { testVault } from '../testing/test-vault.ts'
import type { OpenedVaultParts } from './opened-vault.ts'
import { Shares } from './shares.ts'

const never = { startMs: null, endMs: null }
let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wdsh-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

/** As much of an open vault as a list needs. A link is made; what it leads to cannot be prepared. */
function sharesOver(store: MemoryStore): Shares {
  const catalog = {
    one: async () => ({ guestName: 'Web', atMs: 1 }),
    manifest: () => Promise.reject(new Error()),
  }
  const parts = { vault: testVault(store), catalog, frames: null, folders: { spool: folder } }
  return new Shares(parts as unknown as OpenedVaultParts, () => {})
}

it('has the links of an earlier run as soon as it is asked', async () => {
  const store = new MemoryStore()
  const before = sharesOver(store)
  const { shareId, link } = await before.lend('c'.repeat(32), never)
  await before.close()
  const shares = sharesOver(store)
  void shares.resumeAll()
  expect(await shares.list()).toMatchObject([{ shareId, link }])
  await shares.close()
})

it('leaves out what other PCs lend', async () => {
  const store = new MemoryStore()
  const shares = sharesOver(store)
  await store.lending.open('f'.repeat(32), never)
  const { shareId } = await shares.lend('c'.repeat(32), never)
  expect((await shares.list()).map((each) => each.shareId)).toEqual([shareId])
  await shares.close()
})

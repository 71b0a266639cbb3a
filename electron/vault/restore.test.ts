import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { MemoryStore } from '../objects/memory.ts'
import { silentLog } from '../platform/log.ts'
import type { WarmSet } from './codec/warm.ts'
import { readManifest } from './reader.ts'
import { Restore } from './restore.ts'
import { publishImage, testImage, testVault } from './testing/test-vault.ts'

const pages = 64
const warmSet: WarmSet = {
  recordedAtMs: 0,
  recordedForMs: 5000,
  runs: [{ region: 0, from: 0, count: pages }],
}
let restore: Restore | null = null

afterEach(async () => {
  await restore?.close()
})

/** Begins to restore a small checkpoint. @returns the bytes that were read of its packs, each time */
async function begin(warm: WarmSet | null, fails = false): Promise<number[]> {
  const store = new MemoryStore()
  const vault = testVault(store)
  const manifest = await readManifest(vault, await publishImage(vault, testImage(1, pages)))
  const { frameKeyOf, pageIdKey, clock } = vault
  const reads: number[] = []
  restore = new Restore({
    ...{ manifest, frameKeyOf, pageIdKey, clock, warm, frames: null, saveWarm: null, log: silentLog },
    store: {
      getRange: (name, offset, length, options) => {
        reads.push(length)
        return fails ? Promise.resolve(null) : store.getRange(name, offset, length, options)
      },
    },
    ...{ onTrouble: () => {}, onProgress: () => {}, onMemoryDone: () => {} },
  })
  await wait(20)
  return reads
}

describe('a restore', () => {
  it('begins to fetch what was recorded before anybody asks, neighbours together', async () => {
    expect(await begin(warmSet)).toHaveLength(1)
  })

  it('fetches nothing beforehand where nothing was recorded', async () => {
    expect(await begin(null)).toEqual([])
  })

  it('leaves it to who asks to hear of a pack that is missing', async () => {
    expect((await begin(warmSet, true)).length).toBeGreaterThan(0)
  })
})

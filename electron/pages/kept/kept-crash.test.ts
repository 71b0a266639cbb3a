/**
 * What becomes of kept pages when the disk fails, or the power, at any of the calls that change something.
 */
import { cpSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { isCode } from '../../../shared/errors/index.ts'
import { systemDisk } from './kept-disk.ts'
import { type KeptPages, openKept } from './kept-pages.ts'
import { type Breaking, BreakingDisk } from './testing/breaking-disk.ts'
import {
  begun,
  blocks,
  dockKey,
  finish,
  idKey,
  inFolder,
  type Model,
  mismatches,
  put,
  putMany,
  settled,
  small,
} from './testing/kept-guest.ts'

/** The first visit: what is known before. */
function makeOld(folder: string): { visit: Buffer; model: Model } {
  const model: Model = new Map()
  const kept = begun(folder, 'nothing')
  putMany(kept, model, 0, 150, 1)
  putMany(kept, model, 2000, 100, 500)
  return { visit: finish(kept), model }
}

/** The second: so much is changed that what stays is written anew, and more chunks than are in memory. */
function change(kept: KeptPages, model: Model): void {
  putMany(kept, model, 0, 100, 2000)
  putMany(kept, model, 1500, 70, 3000)
  put(kept, model, 3075, 4000)
  kept.putZero(2000, 60)
  for (let page = 0; page < 60; page += 1) model.delete(2000 + page)
  kept.putCopy(2050, 130)
  model.set(2050, { number: 131, isHere: true })
}

interface Outcome {
  isBroken: boolean
  failed: unknown
}

/** The second visit on a disk that breaks. */
function visitOn(folder: string, disk: BreakingDisk, model: Model): Outcome {
  const kept = openKept(folder, dockKey, { ...small, disk })
  kept.begin({ idKey, blocks, from: 'known' })
  change(kept, model)
  // Whatever has happened: the ids go on being known, and no page is wrong.
  const wrong = mismatches(kept, model, 'less').filter((what) => !what.startsWith('page'))
  expect(wrong).toEqual([])
  for (const address of model.keys()) expect(kept.idAt(address, Buffer.alloc(16), 0)).toBe(true)
  try {
    finish(kept)
    return { isBroken: disk.isBroken, failed: null }
  } catch (failed) {
    return { isBroken: true, failed }
  }
}

function segmentsOf(folder: string): string[] {
  return readdirSync(folder).filter((name) => name.endsWith('.seg'))
}

/** What a later start finds: the old or the new, whole, and nothing else in the folder. */
function expectOneOf(
  folder: string,
  states: { old: Model; new: Model; oldSegments: string[] },
  oldVisit: Buffer,
): 'old' | 'new' {
  const kept = openKept(folder, dockKey, small)
  const which = kept.known?.visit.equals(oldVisit) ? 'old' : 'new'
  kept.begin({ idKey, blocks, from: 'known' })
  expect(mismatches(kept, states[which])).toEqual([])
  expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([])
  if (which === 'old') expect(segmentsOf(folder)).toEqual(states.oldSegments)
  const model: Model = new Map(states[which])
  putMany(kept, model, 700, 10, 7000)
  finish(kept)
  expect(segmentsOf(folder).length).toBeLessThanOrEqual(5)
  const again = openKept(folder, dockKey, small)
  again.begin({ idKey, blocks, from: 'known' })
  expect(mismatches(again, model)).toEqual([])
  again.discard()
  return which
}

async function breakEverywhere(breaking: Breaking): Promise<{ old: number; new: number; failures: number }> {
  const counts = { old: 0, new: 0, failures: 0 }
  await inFolder((folder) => {
    const base = join(folder, 'base')
    const { visit, model } = makeOld(base)
    const oldSegments = segmentsOf(base)
    for (let at = 1; ; at += 1) {
      const now = join(folder, `${at}`)
      cpSync(base, now, { recursive: true })
      const after: Model = new Map(model)
      const outcome = visitOn(now, new BreakingDisk(at, breaking), after)
      if (outcome.failed !== null) {
        counts.failures += 1
        expect(isCode(outcome.failed, 'host.disk_full')).toBe(true)
      }
      const found = expectOneOf(now, { old: model, new: settled(after), oldSegments }, visit)
      counts[found] += 1
      if (outcome.failed === null) expect(found).toBe('new')
      if (!outcome.isBroken) return
    }
  })
  return counts
}

describe('kept pages on a disk that fails at any call', () => {
  it('are the old or the new ones after a power cut', async () => {
    const counts = await breakEverywhere('power cut')
    expect(counts.old).toBeGreaterThan(10)
    expect(counts.new).toBeGreaterThan(3)
  }, 60_000)

  it.each(['once', 'full'] as const)(
    'end no visit when it fails (%s), and say so when it is finished',
    async (how) => {
      const counts = await breakEverywhere(how)
      expect(counts.failures).toBeGreaterThan(10)
      expect(counts.old).toBeGreaterThan(10)
      expect(counts.new).toBeGreaterThan(1)
    },
    60_000,
  )

  it('go on without storing anything where not even the folder can be made', async () => {
    await inFolder((folder) => {
      const kept = openKept(join(folder, 'a'), dockKey, { ...small, disk: new BreakingDisk(1, 'full') })
      kept.begin({ idKey, blocks, from: 'nothing' })
      const model: Model = new Map()
      putMany(kept, model, 0, 100, 1)
      for (const page of model.values()) page.isHere = false
      expect(mismatches(kept, model)).toEqual([])
      expect(() => finish(kept)).toThrow(
        expect.toSatisfy((error: unknown) => isCode(error, 'host.disk_full')),
      )
      expect(openKept(join(folder, 'a'), dockKey).known).toBeNull()
    })
  })

  it('still give what was stored before it was full', async () => {
    await inFolder((folder) => {
      let isFull = false
      const write: typeof systemDisk.write = (...args) => {
        if (isFull) throw Object.assign(new Error('full'), { code: 'ENOSPC' })
        return systemDisk.write(...args)
      }
      const kept = begun(folder, 'nothing', { ...small, disk: { ...systemDisk, write } })
      const model: Model = new Map()
      putMany(kept, model, 0, 100, 1)
      isFull = true
      putMany(kept, model, 1000, 100, 1000)
      // The frame that could not be written is in memory: pages 64 to 127 of the visit.
      for (let page = 28; page < 100; page += 1)
        model.set(1000 + page, { number: 1000 + page, isHere: false })
      expect(mismatches(kept, model)).toEqual([])
      kept.discard()
      expect(readdirSync(folder)).toEqual(['salt'])
    })
  })
})

import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { silentLog } from '../../platform/log.ts'
import { systemRandom } from '../../platform/random.ts'
import { Journal, type JournalHead, type JournalStage, readJournals } from './journal.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wdj-'))
})
afterEach(async () => await rm(folder, { recursive: true, force: true }))

const head = (side: 'source' | 'destination'): JournalHead => {
  const common = {
    version: 1,
    migrationId: systemRandom.uuid(),
    guestId: systemRandom.uuid(),
    guestName: 'Größe 中',
    otherDockId: 'a'.repeat(52),
    startedAtMs: 5,
  } as const
  return side === 'source' ? { ...common, side, wasRunning: true } : { ...common, side }
}

async function file(): Promise<string> {
  return join(folder, (await readdir(folder))[0] ?? '')
}

/** Where the first stage begins, and how far apart stages are. */
const slotAt = (slot: number): number => 4096 + slot * 512

describe('a journal', () => {
  it('is read again as it was left, at every stage', async () => {
    const written = head('source')
    const journal = await Journal.create(folder, written)
    const again = async () => (await readJournals(folder, silentLog)).journals[0]
    expect(await again()).toMatchObject({ head: written, stage: 'open' })
    await journal.record('given-away')
    expect(await again()).toMatchObject({ head: written, stage: 'given-away' })
  })

  it('never grows while stages are recorded, and goes on after being read', async () => {
    await Journal.create(folder, head('destination'))
    const sizeBytes = (await readFile(await file())).length
    const journal = (await readJournals(folder, silentLog)).journals[0]
    await journal?.record('switching')
    await journal?.record('committed')
    expect((await readFile(await file())).length).toBe(sizeBytes)
    expect((await readJournals(folder, silentLog)).journals[0]?.stage).toBe('committed')
  })

  it('is gone when it is removed, twice as well', async () => {
    const journal = await Journal.create(folder, head('source'))
    await journal.remove()
    await journal.remove()
    expect(await readdir(folder)).toEqual([])
  })

  it('keeps the stage before one that was torn', async () => {
    const journal = await Journal.create(folder, head('source'))
    await journal.record('given-away')
    const whole = await readFile(await file())
    const line = whole.indexOf('\n', slotAt(1)) - slotAt(1)
    for (let kept = 0; kept < line; kept += 1) {
      const torn = Buffer.from(whole)
      torn.fill(0, slotAt(1) + kept, slotAt(2))
      await writeFile(await file(), torn)
      const read = (await readJournals(folder, silentLog)).journals[0]
      expect(read?.stage).toBe('open')
    }
  })

  it('tells the guest of one that cannot be read, and leaves it', async () => {
    const { guestId } = (await Journal.create(folder, head('source'))).head
    const whole = await readFile(await file())
    const newer = whole.toString('latin1').replace('"version":1', '"version":9')
    for (const bad of [Buffer.alloc(0), whole.subarray(0, 600), Buffer.from(newer, 'latin1')]) {
      await writeFile(await file(), bad)
      const read = await readJournals(folder, silentLog)
      expect(read.journals).toEqual([])
      expect(read.unreadable).toEqual([{ path: await file(), guestId }])
    }
    expect(await readdir(folder)).toHaveLength(1)
  })

  it('says no later stage than was recorded, whatever became of its bytes', async () => {
    const order: JournalStage[] = ['open', 'switching', 'committed']
    const journal = await Journal.create(folder, head('destination'))
    await journal.record('switching')
    const whole = await readFile(await file())
    const damage = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 40 })
    await fc.assert(
      fc.asyncProperty(damage, async (changes) => {
        const damaged = Buffer.from(whole)
        for (const [at, byte] of changes) damaged[at] = byte
        await writeFile(await file(), damaged)
        const read = (await readJournals(folder, silentLog)).journals[0]
        if (read !== undefined) expect(order.indexOf(read.stage)).toBeLessThanOrEqual(1)
      }),
      { numRuns: 200 },
    )
  })
})

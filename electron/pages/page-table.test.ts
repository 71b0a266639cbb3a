import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { pageIdBytes } from './page-id.ts'
import { PageTable } from './page-table.ts'

/** Ids that collide often: few different first words, as well as few different ids. */
const awkwardId = fc
  .tuple(fc.nat(3), fc.nat(3), fc.nat(3), fc.nat(3))
  .map((words) => Buffer.from(Uint32Array.from(words).buffer))

describe('the table of pages', () => {
  it('answers like a map, whatever the ids have in common', () => {
    const entry = fc.record({
      id: awkwardId,
      frame: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      slot: fc.nat(15),
    })
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 400 }), (entries) => {
        const table = new PageTable()
        const model = new Map<string, { frame: number; slot: number }>()
        for (const { id, frame, slot } of entries) {
          const known = model.get(id.toString('hex'))
          const found = table.add(id, 0, frame, slot)
          if (known === undefined) model.set(id.toString('hex'), { frame, slot })
          expect(found >= 0).toBe(known !== undefined)
          const now = table.find(id)
          expect({ frame: table.frameOf(now), slot: table.slotOf(now) }).toEqual(known ?? { frame, slot })
        }
        expect(table.size).toBe(model.size)
      }),
      { numRuns: 40 },
    )
  })

  it('finds everything after it has grown, and nothing else, in at most 33 bytes a page', () => {
    const count = 80_000
    const ids = randomBytes(count * pageIdBytes)
    const table = new PageTable()
    for (let page = 0; page < count; page += 1) table.add(ids, page * pageIdBytes, page >>> 4, page & 15)
    let wrong = 0
    for (let page = 0; page < count; page += 1) {
      const entry = table.find(ids, page * pageIdBytes)
      if (table.frameOf(entry) * 16 + table.slotOf(entry) !== page) wrong += 1
    }
    expect(wrong).toBe(0)
    const others = randomBytes(1000 * pageIdBytes)
    for (let at = 0; at < others.length; at += pageIdBytes) expect(table.find(others, at)).toBe(-1)
    expect(table.memoryBytes / count).toBeLessThan(34)
  })

  it('takes no more when it was told beforehand how many come', () => {
    const table = new PageTable(100_000)
    const before = table.memoryBytes
    const ids = randomBytes(100_000 * pageIdBytes)
    for (let at = 0; at < ids.length; at += pageIdBytes) table.add(ids, at, 0, 0)
    expect((table.memoryBytes - before) / 100_000).toBeLessThan(25)
    expect(table.find(ids, ids.length - pageIdBytes)).toBe(99_999)
  })
})

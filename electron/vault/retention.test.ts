import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Checkpoint } from '../../shared/models/checkpoint.ts'
import { checkpointOf } from './catalog.ts'
import { type Calendar, checkpointsToRemove, localCalendar } from './retention.ts'
import { testSummary } from './testing/summaries.ts'

const hourMs = 3600_000
const start = Date.UTC(2026, 10, 2)

/** Hours, days and weeks of UTC, so that the tests mean the same everywhere. 1970-01-01 was a Thursday. */
const calendar: Calendar = (atMs) => ({
  hour: String(Math.floor(atMs / hourMs)),
  day: String(Math.floor(atMs / (24 * hourMs))),
  week: String(Math.floor((atMs / (24 * hourMs) + 3) / 7)),
})

function at(hours: number, changes: Partial<Checkpoint> = {}): Checkpoint {
  const id = hours.toString(16).replace('.', '').padStart(32, '0')
  const atMs = start + hours * hourMs
  return { ...checkpointOf(testSummary(id, { atMs, reason: 'interval' }), { kind: 'vault' }), ...changes }
}

const keep = { last: 1, hourly: 0, daily: 0, weekly: 0 }
const hoursOf = (ids: readonly string[]) => ids.map((id) => Number.parseInt(id, 16))

describe('the rules of what is kept', () => {
  it('keep the newest', () => {
    expect(hoursOf(checkpointsToRemove([at(1), at(3), at(2)], keep, calendar))).toEqual([2, 1])
    expect(checkpointsToRemove([at(1)], { ...keep, last: 0 as 1 }, calendar)).toEqual([])
    expect(checkpointsToRemove([], keep, calendar)).toEqual([])
  })

  it('keep the newest of each of the last hours, days and weeks in which there are any', () => {
    const all = Array.from({ length: 24 * 30 }, (_, hour) => at(hour))
    const kept = (rules: typeof keep) => {
      const removed = new Set(checkpointsToRemove(all, rules, calendar))
      return all.filter(({ id }) => !removed.has(id)).map(({ atMs }) => (atMs - start) / hourMs)
    }
    expect(kept({ ...keep, hourly: 3 })).toEqual([717, 718, 719])
    expect(kept({ ...keep, daily: 3 })).toEqual([671, 695, 719])
    // 2026-11-02 is a Monday.
    expect(kept({ ...keep, weekly: 3 })).toEqual([503, 671, 719])
    expect(kept({ last: 2, hourly: 3, daily: 2, weekly: 2 })).toEqual([671, 695, 717, 718, 719])
  })

  it('never take what a person made or pinned, what is damaged, or what is on its way', () => {
    const special = [
      at(1, { reason: 'person' }),
      at(2, { label: { name: '', note: '', pinned: true } }),
      at(3, { place: { kind: 'on-its-way' } }),
      at(4, {
        place: { kind: 'damaged', error: { code: 'x', message: '', fix: '', permanent: true, detail: null } },
      }),
    ]
    expect(hoursOf(checkpointsToRemove([...special, at(5), at(6)], keep, calendar))).toEqual([5])
  })

  const checkpoints = fc
    .uniqueArray(fc.nat(2000), { maxLength: 60 })
    .map((hours) => hours.map((hour) => at(hour, hour % 7 === 0 ? { reason: 'person' } : {})))
  const rules = fc.record({
    last: fc.integer({ min: 1, max: 9 }),
    hourly: fc.nat(9),
    daily: fc.nat(9),
    weekly: fc.nat(9),
  })

  it('name nothing more once they were followed, and never the newest', () => {
    fc.assert(
      fc.property(checkpoints, rules, (all, each) => {
        const removed = new Set(checkpointsToRemove(all, each, calendar))
        const rest = all.filter(({ id }) => !removed.has(id))
        expect(checkpointsToRemove(rest, each, calendar)).toEqual([])
        const newest = all.toSorted((a, b) => b.atMs - a.atMs)[0]
        if (newest) expect(removed.has(newest.id)).toBe(false)
      }),
    )
  })

  it('take no more when a number is larger', () => {
    const which = fc.constantFrom('last', 'hourly', 'daily', 'weekly')
    fc.assert(
      fc.property(checkpoints, rules, which, fc.integer({ min: 1, max: 5 }), (all, each, name, more) => {
        const larger = { ...each, [name]: each[name] + more }
        const before = new Set(checkpointsToRemove(all, each, calendar))
        for (const id of checkpointsToRemove(all, larger, calendar)) expect(before.has(id)).toBe(true)
      }),
    )
  })

  it('count weeks from Monday on the clock on the wall', () => {
    const noon = (day: number) => new Date(2026, 10, day, 12).getTime()
    expect(localCalendar(noon(2)).week).toBe(localCalendar(noon(8)).week)
    expect(localCalendar(noon(8)).week).not.toBe(localCalendar(noon(9)).week)
    expect(localCalendar(noon(2)).day).not.toBe(localCalendar(noon(3)).day)
    expect(localCalendar(noon(2)).hour).not.toBe(localCalendar(noon(2) + hourMs).hour)
  })
})

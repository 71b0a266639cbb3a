/** The order in which checkpoints are looked at, and where keys lead. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Checkpoint } from '../../shared/models/checkpoint.ts'
import { checkpoint, manyCheckpoints } from '../fixtures/checkpoints.ts'
import { guest, guestId, laptopId } from '../fixtures/things.ts'
import { startOfDay } from './dates.ts'
import { daysOf, keptGuests, shownCheckpoint, stepFrom } from './timeline.ts'

const at = (number: number, ...time: [number, number, number]): Checkpoint =>
  checkpoint(number, { atMs: new Date(2026, 2, ...time).getTime() })
const three = [at(1, 3, 14, 5), at(2, 3, 9, 0), at(3, 1, 23, 59)]

describe('days of checkpoints', () => {
  it('hold what was made on one day of this PC, newest first', () => {
    expect(daysOf(three).map(({ checkpoints }) => checkpoints.map(({ id }) => id))).toEqual([
      [three[0]?.id, three[1]?.id],
      [three[2]?.id],
    ])
  })

  it('lose none and change no order, however many there are', () => {
    const instants = fc.array(fc.integer({ min: 0, max: 2e12 }), { maxLength: 60 })
    fc.assert(
      fc.property(instants, (times) => {
        const all = times.toSorted((a, b) => b - a).map((atMs, index) => checkpoint(index, { atMs }))
        const days = daysOf(all)
        expect(days.flatMap(({ checkpoints }) => checkpoints)).toEqual(all)
        expect(new Set(days.map(({ startMs }) => startMs)).size).toBe(days.length)
        for (const { startMs, checkpoints } of days)
          for (const { atMs } of checkpoints) expect(startOfDay(atMs)).toBe(startMs)
      }),
    )
  })
})

describe('keys on the timeline', () => {
  const days = daysOf(three)
  const step = (number: number, key: string): string | undefined =>
    stepFrom(days, three[number]?.id ?? '', key)?.id

  it('lead to the next older and newer one, and no further than the ends', () => {
    expect(step(0, 'ArrowRight')).toBe(three[1]?.id)
    expect(step(1, 'ArrowLeft')).toBe(three[0]?.id)
    expect(step(0, 'ArrowLeft')).toBeUndefined()
    expect(step(2, 'ArrowRight')).toBeUndefined()
  })

  it('lead by a day, to the ends, and nowhere else', () => {
    expect(step(1, 'PageDown')).toBe(three[2]?.id)
    expect(step(2, 'PageUp')).toBe(three[0]?.id)
    expect(step(1, 'End')).toBe(three[2]?.id)
    expect(step(2, 'Home')).toBe(three[0]?.id)
    expect(step(1, 'x')).toBeUndefined()
  })

  it('reach all of five hundred', () => {
    const many = daysOf(manyCheckpoints(500))
    let current = many[0]?.checkpoints[0] ?? null
    let seen = 0
    while (current !== null) {
      seen += 1
      current = stepFrom(many, current.id, 'ArrowRight')
    }
    expect(seen).toBe(500)
  })
})

describe('the checkpoint that is shown', () => {
  it('is the newest until somebody chooses', () => {
    expect(shownCheckpoint(three, null)).toBe(three[0])
    expect(shownCheckpoint([], null)).toBeNull()
  })

  it('is the chosen one, with what has changed of it meanwhile', () => {
    const pinned = { ...at(2, 3, 9, 0), label: { name: '', note: '', pinned: true } }
    expect(shownCheckpoint([at(1, 3, 14, 5), pinned], at(2, 3, 9, 0))).toBe(pinned)
  })

  it('is the one that took its place when the chosen one was deleted', () => {
    const [newest, middle, oldest] = three
    expect(shownCheckpoint([newest, oldest] as Checkpoint[], middle ?? null)).toBe(oldest)
    expect(shownCheckpoint([newest, middle] as Checkpoint[], oldest ?? null)).toBe(middle)
  })
})

describe('guests of the vault', () => {
  const gone = checkpoint(9, { guestId: guestId(7), guestName: 'Old box' })

  it('are each listed once, with the newest picture and how many there are', () => {
    const kept = keptGuests([...three, gone], [])
    expect(kept.map(({ guestId: id, count, newest }) => [id, count, newest.id])).toEqual([
      [guestId(1), 3, three[0]?.id],
      [guestId(7), 1, gone.id],
    ])
  })

  it('are called as they are now, or as they were last where they are gone', () => {
    const renamed = guest(1, 'Studio', { dockId: laptopId })
    expect(keptGuests([...three, gone], [renamed]).map(({ name, guest: found }) => [name, found])).toEqual([
      ['Studio', renamed],
      ['Old box', null],
    ])
  })
})

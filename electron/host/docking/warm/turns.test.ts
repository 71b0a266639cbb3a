import { describe, expect, it } from 'vitest'
import { type Pair, Turns, type WarmTimes } from './turns.ts'

const times: WarmTimes = { calmMs: 100, everyMs: 1000, retryMs: 200, refusedMs: 500 }
const a: Pair = { guestId: 'a', dockId: 'x' }
const b: Pair = { guestId: 'b', dockId: 'x' }

describe('the turns of guests that are kept ready', () => {
  it('come when a guest has run quietly for a while', () => {
    const turns = new Turns(times)
    expect(turns.next([a], 0)).toBeNull()
    turns.busy('a', 50)
    expect(turns.next([a], 140)).toBeNull()
    expect(turns.next([a], 150)).toEqual(a)
  })

  it('come again: soon after one that broke off, later after a refusal, latest when all was there', () => {
    for (const [end, againMs] of [
      ['broken-off', 200],
      ['refused', 500],
      ['ready', 1000],
    ] as const) {
      const turns = new Turns(times)
      turns.busy('a', 0)
      turns.ended(a, end, 1000)
      expect(turns.next([a], 1000 + againMs - 1)).toBeNull()
      expect(turns.next([a], 1000 + againMs)).toEqual(a)
    }
  })

  it('are first those of who has waited longest', () => {
    const turns = new Turns(times)
    turns.busy('a', 20)
    turns.busy('b', 10)
    expect(turns.next([a, b], 500)).toEqual(b)
    turns.ended(b, 'ready', 500)
    expect(turns.next([a, b], 500)).toEqual(a)
  })

  it('come at once where a person wants it, and once', () => {
    const turns = new Turns(times)
    turns.busy('b', 0)
    turns.ended(b, 'ready', 0)
    turns.order(b)
    expect(turns.isOrdered(b)).toBe(true)
    expect(turns.next([a, b], 1)).toEqual(b)
    turns.ended(b, 'broken-off', 2)
    expect(turns.next([b], 3)).toBeNull()
  })

  it('are nobody’s where nobody can be looked after', () => {
    const turns = new Turns(times)
    turns.order(a)
    expect(turns.next([], 1e6)).toBeNull()
  })
})

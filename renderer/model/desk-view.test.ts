/** Who stands where, above all while a guest moves. */
import { describe, expect, it } from 'vitest'
import {
  attic,
  dock,
  guest,
  here,
  hereId,
  hostState,
  laptop,
  laptopId,
  move,
  nowMs,
  result,
  stranger,
} from '../fixtures/things.ts'
import { desksModel, findGuest } from './desk-view.ts'

const there = guest(1, 'Workshop', { dockId: laptopId })
const arrived = guest(1, 'Workshop')
const moving = move(there, laptopId, hereId)

function parts(state: Parameters<typeof hostState>[0]): Record<string, string[]> {
  const { here: own, others } = desksModel(hostState(state))
  const desks = own === null ? others : [own, ...others]
  return Object.fromEntries(
    desks.map((desk) => [
      desk.dock.name,
      desk.stands.map(({ part, operation }) => `${part} ${operation?.state.kind ?? '-'}`),
    ]),
  )
}

describe('the desks', () => {
  it('puts a guest on the desk it runs on', () => {
    expect(parts({ guests: [there] })).toEqual({ 'This PC': [], Laptop: ['standing -'] })
  })

  it('shows a moving guest on both desks before the host lists it on the second', () => {
    expect(parts({ guests: [there], operations: [moving] })).toEqual({
      'This PC': ['arriving running'],
      Laptop: ['leaving running'],
    })
  })

  it('does not show it twice on the second desk once the host lists it there', () => {
    const arriving = guest(1, 'Workshop', { state: { kind: 'arriving', fromDockId: laptopId } })
    expect(parts({ guests: [there, arriving], operations: [moving] })['This PC']).toEqual([
      'arriving running',
    ])
  })

  it('tells the success where the guest arrived', () => {
    const done = move(there, laptopId, hereId, { result })
    const operations = [{ ...done, state: { kind: 'done' as const, endedAtMs: nowMs } }]
    expect(parts({ guests: [arrived], operations })).toEqual({ 'This PC': ['standing done'], Laptop: [] })
  })

  it('tells a failure or a cancel where the guest stayed, and leaves nothing on the other desk', () => {
    const operations = [{ ...moving, state: { kind: 'cancelled' as const, endedAtMs: nowMs } }]
    expect(parts({ guests: [there], operations })).toEqual({ 'This PC': [], Laptop: ['standing cancelled'] })
  })

  it('speaks only of the newest operation of a guest', () => {
    const old = { ...moving, id: 'old', startedAtMs: 1, state: { kind: 'cancelled' as const, endedAtMs: 2 } }
    expect(parts({ guests: [there], operations: [moving, old] }).Laptop).toEqual(['leaving running'])
  })

  it('lists reachable docks first, then strangers, then those away', () => {
    const away = dock(attic, 'Attic', { kind: 'offline', lastSeenAtMs: null }, true)
    const unknown = dock(stranger, 'Zoo', { kind: 'nearby' }, false)
    const { others } = desksModel(hostState({ docks: [away, unknown, here, laptop] }))
    expect(others.map((desk) => desk.dock.name)).toEqual(['Laptop', 'Zoo', 'Attic'])
  })
})

describe('finding a guest by its address', () => {
  const arriving = guest(1, 'Workshop', { state: { kind: 'arriving', fromDockId: laptopId } })

  it('means the running one while a copy is still arriving', () => {
    expect(findGuest([arriving, there], there.id, hereId)).toBe(there)
  })

  it('follows the guest to the dock it moved to', () => {
    expect(findGuest([arrived], there.id, laptopId)).toBe(arrived)
  })

  it('finds nothing where there is nothing', () => {
    expect(findGuest([], there.id, laptopId)).toBeNull()
  })
})

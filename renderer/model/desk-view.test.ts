/** Who stands where, above all while a guest moves. */
import { describe, expect, it } from 'vitest'
import type { ErrorShape } from '../../shared/errors/index.ts'
import type { Operation } from '../../shared/models/operation.ts'
import { capture, restore } from '../fixtures/checkpoints.ts'
import {
  attic,
  badCheck,
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

  describe('a move that failed', () => {
    const failed = { kind: 'failed' as const, endedAtMs: nowMs, error: badCheck.blockers[0] as ErrorShape }
    const pulled = { ...moving, state: failed }
    const missedBy = (change: Parameters<typeof hostState>[0]) =>
      desksModel(hostState(change)).here?.missed.map(({ id }) => id)

    it('is told on this PC when it was to come here, whether or not its own PC is in reach', () => {
      expect(missedBy({ operations: [pulled] })).toEqual([pulled.id])
      expect(missedBy({ guests: [there], operations: [pulled] })).toEqual([pulled.id])
      expect(parts({ guests: [there], operations: [pulled] }).Laptop).toEqual(['standing -'])
    })

    it('is told at the guest when it was to leave from here', () => {
      const sent = { ...move(arrived, hereId, laptopId), state: failed }
      expect(missedBy({ guests: [arrived], operations: [sent] })).toEqual([])
      expect(parts({ guests: [arrived], operations: [sent] })['This PC']).toEqual(['standing failed'])
    })

    it('is told no more when the guest came after all, or is on its way again', () => {
      const again = { ...moving, id: 'again', startedAtMs: nowMs + 1 }
      expect(missedBy({ guests: [arrived], operations: [pulled] })).toEqual([])
      expect(missedBy({ guests: [there], operations: [pulled, again] })).toEqual([])
    })
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

describe('checkpoints and restores on the desk', () => {
  const done = { kind: 'done' as const, endedAtMs: nowMs }
  const failed = { kind: 'failed' as const, endedAtMs: nowMs, error: badCheck.blockers[0] as ErrorShape }

  it('stand under their guest while they are under way', () => {
    expect(parts({ guests: [arrived], operations: [capture()] })['This PC']).toEqual(['standing running'])
    expect(parts({ guests: [arrived], operations: [restore()] })['This PC']).toEqual(['standing running'])
  })

  it('are told when they ended, if a person wanted them or they failed', () => {
    const told = (operation: Operation, state: Operation['state']) =>
      parts({ guests: [arrived], operations: [{ ...operation, state }] })['This PC']
    expect(told(capture(), done)).toEqual(['standing done'])
    expect(told(capture({ reason: 'interval' }), done)).toEqual(['standing -'])
    expect(told(capture({ reason: 'interval' }), failed)).toEqual(['standing failed'])
    expect(told(restore(), done)).toEqual(['standing done'])
  })

  it('made by themselves do not hide how the move before ended', () => {
    const operations = [
      { ...move(there, laptopId, hereId, { result }), state: done },
      { ...capture({ reason: 'interval' }), state: done },
    ]
    expect(parts({ guests: [arrived], operations })['This PC']).toEqual(['standing done'])
    const tells = desksModel(hostState({ guests: [arrived], operations })).here?.stands[0]?.operation
    expect(tells?.work.kind).toBe('migration')
  })

  it('that failed before there was a guest are told where it would stand', () => {
    const operations = [{ ...restore(), state: failed }]
    const missed = desksModel(hostState({ operations })).here?.missed
    expect(missed?.map(({ id }) => id)).toEqual(['restore-1'])
    expect(desksModel(hostState({ guests: [arrived], operations })).here?.missed).toEqual([])
  })
})

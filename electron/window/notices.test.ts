import { expect, it } from 'vitest'
import type { Pairing } from '../../shared/models/dock.ts'
import { defaultSettings, emptyHostState, type HostState } from '../../shared/models/host-state.ts'
import type { Operation } from '../../shared/models/operation.ts'
import { noticesBetween } from './notices.ts'
import { isMoving, stayAwakeWhileMoving } from './power.ts'
import { summaryOf } from './tray.ts'

const here = 'a'.repeat(52)
const there = 'b'.repeat(52)

function state(change: Partial<HostState> = {}): HostState {
  const info = {
    dockId: here,
    appVersion: '1.0.0',
    dataDir: '/data',
    port: 1,
    addresses: [],
    secretsSentence: '',
    demoGuestAvailable: false,
    isDemo: false,
  }
  const settings = defaultSettings('This PC')
  return { ...emptyHostState(info, settings), ...change }
}

function move(kind: Operation['state'], toDockId = here): Operation {
  return {
    id: 'op-1',
    guestId: '0b0e7d1c-9a53-4c6e-8a43-3f5f6f0d8a11',
    guestName: 'web',
    startedAtMs: 0,
    state: kind,
    progress: { doneBytes: 0, totalBytes: null, rateBytesPerS: 0, timeLeft: null },
    work: {
      kind: 'migration',
      fromDockId: toDockId === here ? there : here,
      toDockId,
      phase: 'finishing',
      dirtyRateBytesPerS: 0,
      rounds: 2,
      throttlePercent: 0,
      transfer: null,
      samples: [],
      result: { totalMs: 3200, downtimeMs: 60, wireBytes: 1, memoryBytes: 1, diskBytes: 0, rounds: 2 },
    },
  }
}

const running = { kind: 'running', cancellable: true } as const
const done = { kind: 'done', endedAtMs: 1 } as const

it('tells of a guest that arrived, and of one that left', () => {
  const before = state({ operations: [move(running)] })
  expect(noticesBetween(before, state({ operations: [move(done)] }))).toMatchObject([
    { title: 'web is here', body: 'Moved in 3.2 s, freeze of 0.06 s.', urgent: false },
  ])
  const leaving = state({ operations: [move(running, there)] })
  expect(noticesBetween(leaving, state({ operations: [move(done, there)] }))).toMatchObject([
    { title: 'web has moved away' },
  ])
})

it('tells why a move failed and what to do, but nothing of one that was cancelled', () => {
  const before = state({ operations: [move(running)] })
  const error = { code: 'x', message: 'It broke.', fix: 'Mend it.', permanent: false, detail: null }
  const failed = state({ operations: [move({ kind: 'failed', endedAtMs: 1, error })] })
  expect(noticesBetween(before, failed)).toMatchObject([
    { title: 'web could not move', body: 'It broke. Mend it.', route: '#/migration/op-1', urgent: true },
  ])
  const cancelled = state({ operations: [move({ kind: 'cancelled', endedAtMs: 1 })] })
  expect(noticesBetween(before, cancelled)).toEqual([])
})

it('tells a pairing question once, and only to the one who is asked', () => {
  const asked: Pairing = {
    id: 'p1',
    dockId: there,
    dockName: 'Laptop',
    role: 'responder',
    state: { kind: 'comparing', code: '123456' },
    startedAtMs: 0,
    expiresAtMs: 1,
  }
  const after = state({ pairings: [asked] })
  expect(noticesBetween(state(), after)).toMatchObject([
    { title: 'Laptop wants to pair', route: '#/pair/p1' },
  ])
  expect(noticesBetween(after, after)).toEqual([])
  expect(noticesBetween(state(), state({ pairings: [{ ...asked, role: 'initiator' }] }))).toEqual([])
})

it('says nothing about what was there at the start', () => {
  expect(noticesBetween(null, state({ operations: [move(done)] }))).toEqual([])
})

it('keeps the PC awake while a guest moves, and only then', () => {
  const active = new Set<number>()
  const blocker = {
    start: () => {
      active.add(active.size + 1)
      return active.size
    },
    stop: (id: number) => active.delete(id),
    isStarted: (id: number) => active.has(id),
  }
  const listen = stayAwakeWhileMoving(blocker)
  listen(state(), null)
  expect(active.size).toBe(0)
  listen(state({ operations: [move(running)] }), null)
  listen(state({ operations: [move({ kind: 'cancelling' })] }), null)
  expect(active.size).toBe(1)
  listen(state({ operations: [move(done)] }), null)
  expect(active.size).toBe(0)
})

it('sums up what runs here', () => {
  expect(summaryOf(state())).toBe('no guests run here')
  expect(isMoving(state({ operations: [move(running)] }))).toBe(true)
  expect(summaryOf(state({ operations: [move(running)] }))).toBe('no guests run here, one is moving')
})

it('tells of a checkpoint that was not made by itself, and of no other', () => {
  const error = { code: 'x', message: 'It is full.', fix: 'Free some space.', permanent: false, detail: null }
  const failed = { kind: 'failed', endedAtMs: 1, error } as const
  const checkpoint = (kind: Operation['state'], reason: 'person' | 'interval'): Operation => ({
    ...move(kind),
    work: { kind: 'checkpoint', checkpointId: 'c'.repeat(32), reason, phase: 'freezing', freezeMs: null },
  })
  const between = (to: Operation['state'], reason: 'person' | 'interval') =>
    noticesBetween(
      state({ operations: [checkpoint(running, reason)] }),
      state({ operations: [checkpoint(to, reason)] }),
    )
  expect(between(failed, 'interval')).toMatchObject([
    { title: 'No checkpoint of web was made', body: 'It is full. Free some space.', urgent: false },
  ])
  expect(between(failed, 'person')).toEqual([])
  expect(between(done, 'interval')).toEqual([])
})

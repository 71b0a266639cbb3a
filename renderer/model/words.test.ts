/** Words of states, moves and times. */
import { describe, expect, it } from 'vitest'
import { type ErrorShape, fail } from '../../shared/errors/index.ts'
import type { Pairing } from '../../shared/models/dock.ts'
import { migrationPhase, type Operation } from '../../shared/models/operation.ts'
import { goodCheck, guest, hereId, laptopId, move, result } from '../fixtures/things.ts'
import { chartColumns } from './chart-columns.ts'
import { agoWords, countdownWords } from './dates.ts'
import { shortFingerprint } from './fingerprint.ts'
import { canDelete, commandsFor, mayMove, stateTone, troubleOf } from './guest-words.ts'
import { announcement, doneShare, estimateWords, movedWords, phases, stayedWords } from './migration-words.ts'
import { type PairingOutcome, pairingAnnouncement } from './pairing-words.ts'

describe('words of moves', () => {
  const { progress } = move(guest(1, 'Workshop'), laptopId, laptopId)

  it('says an estimate in one line', () => {
    expect(goodCheck.estimate && estimateWords(goodCheck.estimate)).toBe(
      'ready in about 2 s · freeze of 0.1 s · 105 MB',
    )
  })

  it('says a result in one line', () => {
    expect(movedWords(result)).toBe('Moved in 3.2 s, freeze of 0.06 s')
    expect(movedWords(null)).toBe('Moved, cut at the handover and settled afterwards')
  })

  it('never shows a move as full before it ended', () => {
    expect(doneShare({ ...progress, doneBytes: 9, totalBytes: 3 })).toBe(0.99)
    expect(doneShare({ ...progress, totalBytes: 0 })).toBeNull()
  })

  it('lists every phase, in the order in which they happen', () => {
    expect(phases.map(({ phase }) => phase)).toEqual(migrationPhase.options)
  })

  it('announces a phase only by its name, so that a screen reader is not flooded with numbers', () => {
    const running = move(guest(1, 'Workshop'), laptopId, laptopId)
    const later = { ...running, progress: { ...running.progress, doneBytes: 300e6 } }
    expect(announcement(running)).toBe('Workshop is moving: copying memory.')
    expect(announcement(later)).toBe(announcement(running))
  })
})

describe('words of moves that failed', () => {
  const failed = (error: ErrorShape): Operation => ({
    ...move(guest(1, 'Workshop'), laptopId, hereId),
    state: { kind: 'failed', endedAtMs: 1, error },
  })

  it('say where the guest is, and what to do', () => {
    const error = fail('migration.source_lost', { name: 'Workshop', dock: 'Laptop' }).toJSON()
    expect(stayedWords(error, 'Laptop')).toBe('Not moved, it stays on Laptop.')
    expect(announcement(failed(error))).toMatch(/^Workshop was not moved\. The link .* try again\.$/)
  })

  it('do not claim to know it while nobody does', () => {
    const error = fail('migration.unsettled', { name: 'Workshop', dock: 'Laptop' }).toJSON()
    expect(stayedWords(error, 'Laptop')).toBeNull()
    expect(announcement(failed(error))).toMatch(/^The last move of Workshop to Laptop is not settled/)
  })
})

describe('words of guests', () => {
  it('offers commands only where they make sense', () => {
    expect(commandsFor({ kind: 'running' }).map(({ command }) => command)).toEqual([
      'pause',
      'shutDown',
      'forceOff',
    ])
    expect(commandsFor({ kind: 'stopped' }).map(({ command }) => command)).toEqual(['start'])
    expect(commandsFor({ kind: 'preparing' })).toEqual([])
  })

  it('shows a guest that something stopped as trouble, and one that a person paused as waiting', () => {
    const reason = fail('guest.disk_full', { name: 'Mail' }).toJSON()
    expect(stateTone({ kind: 'paused', reason })).toBe('trouble')
    expect(troubleOf({ kind: 'paused', reason })).toBe(reason)
    expect(stateTone({ kind: 'paused' })).toBe('waiting')
    expect(troubleOf({ kind: 'paused' })).toBeNull()
  })

  it('lets only stopped guests be deleted and only settled ones move', () => {
    expect(canDelete(guest(1, 'Mail'))).toBe(false)
    expect(canDelete(guest(1, 'Mail', { state: { kind: 'stopped' } }))).toBe(true)
    expect(mayMove(guest(1, 'Mail'))).toBe(true)
    expect(mayMove(guest(1, 'Mail', { operationId: 'busy' }))).toBe(false)
    const unsettled = { kind: 'unsettled' as const, migrationId: 'm', otherDockId: laptopId }
    expect(mayMove(guest(1, 'Mail', { state: unsettled }))).toBe(false)
  })
})

describe('words of pairings', () => {
  const ended = (outcome: PairingOutcome): Pairing => ({
    id: 'p1',
    dockId: laptopId,
    dockName: 'Laptop',
    role: 'initiator',
    state: { kind: 'ended', outcome },
    startedAtMs: 0,
    expiresAtMs: 1,
  })

  it('say to a screen reader how it ended', () => {
    expect(pairingAnnouncement(ended('paired'))).toBe(
      'Paired with Laptop. Guests can now move between the two PCs.',
    )
    for (const outcome of ['refused', 'timed-out', 'failed'] as const)
      expect(pairingAnnouncement(ended(outcome))).toMatch(/^Not paired with Laptop\. /)
  })
})

describe('words of times and identities', () => {
  it('counts down to zero and no further', () => {
    expect(countdownWords(67_000)).toBe('1:07')
    expect(countdownWords(-5000)).toBe('0:00')
  })

  it('says how long ago', () => {
    expect(agoWords(0, 20_000)).toBe('just now')
    expect(agoWords(0, 300_000)).toBe('5 min ago')
  })

  it('groups a fingerprint by four', () => {
    expect(shortFingerprint('abcdefghijklmnopqrst')).toBe('abcd efgh ijkl mnop')
  })

  it('turns samples into the columns of the chart, in seconds', () => {
    expect(chartColumns([{ atMs: 500, rateBytesPerS: 2, dirtyRateBytesPerS: 1 }])).toEqual([[0.5], [2], [1]])
  })
})

/** Words of states, moves and times. */
import { describe, expect, it } from 'vitest'
import { guestState } from '../../shared/models/guest.ts'
import { migrationPhase } from '../../shared/models/operation.ts'
import { goodCheck, guest, laptopId, move, result } from '../fixtures/things.ts'
import { chartColumns } from './chart-columns.ts'
import { agoWords, countdownWords } from './dates.ts'
import { shortFingerprint } from './fingerprint.ts'
import { canDelete, commandsFor, mayMove, stateWord } from './guest-words.ts'
import {
  amountWords,
  announcement,
  doneShare,
  estimateWords,
  paceWords,
  phases,
  resultWords,
} from './migration-words.ts'

describe('words of moves', () => {
  const { progress } = move(guest(1, 'Workshop'), laptopId, laptopId)

  it('says an estimate in one line', () => {
    expect(goodCheck.estimate && estimateWords(goodCheck.estimate)).toBe(
      'ready in about 2 s · freeze of 0.1 s · 105 MB',
    )
  })

  it('says a result in one line', () => {
    expect(resultWords(result)).toBe('Moved in 3.2 s, freeze of 0.06 s')
  })

  it('leaves out of the pace what is not known yet', () => {
    expect(paceWords(progress)).toBe('98 MB/s · 3.1 to 4.2 s left')
    expect(paceWords({ ...progress, timeLeft: null })).toBe('98 MB/s')
    expect(paceWords({ ...progress, rateBytesPerS: 0, timeLeft: null })).toBe('')
  })

  it('never shows a move as full before it ended', () => {
    expect(doneShare({ ...progress, doneBytes: 9, totalBytes: 3 })).toBe(0.99)
    expect(doneShare({ ...progress, totalBytes: 0 })).toBeNull()
    expect(amountWords({ ...progress, totalBytes: null })).toBe('212 MB')
  })

  it('has a word for every phase, in the order in which they happen', () => {
    expect(phases.map(({ phase }) => phase)).toEqual(migrationPhase.options)
  })

  it('announces a phase only by its name, so that a screen reader is not flooded with numbers', () => {
    const running = move(guest(1, 'Workshop'), laptopId, laptopId)
    const later = { ...running, progress: { ...running.progress, doneBytes: 300e6 } }
    expect(announcement(running)).toBe('Workshop is moving: copying memory.')
    expect(announcement(later)).toBe(announcement(running))
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

  it('has a word for every state of the contract', () => {
    const kinds = guestState.options.map((option) => option.shape.kind.value)
    expect(kinds).toContain('unsettled')
    expect(stateWord({ kind: 'stopped' })).toBe('off')
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

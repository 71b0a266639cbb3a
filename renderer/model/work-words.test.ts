/** What is under way, and how it ended, in words. */
import { describe, expect, it } from 'vitest'
import { fail } from '../../shared/errors/index.ts'
import { checkpointPhase, type Operation, restorePhase } from '../../shared/models/operation.ts'
import { capture, restore } from '../fixtures/checkpoints.ts'
import { guest, hereId, laptopId, move } from '../fixtures/things.ts'
import { announcement, endedWords, failedHead, isNews, workWords } from './work-words.ts'

const done = (operation: Operation): Operation => ({ ...operation, state: { kind: 'done', endedAtMs: 1 } })
const cancelled = (operation: Operation): Operation => ({
  ...operation,
  state: { kind: 'cancelled', endedAtMs: 1 },
})
const failed = (operation: Operation): Operation => ({
  ...operation,
  state: { kind: 'failed', endedAtMs: 1, error: fail('vault.pack_missing').toJSON() },
})

describe('words of a checkpoint that is made', () => {
  it('say the phase, and for how long the guest stood still once that is known', () => {
    expect(workWords(capture({ phase: 'freezing', freezeMs: null }))).toMatchObject({
      label: 'Checkpoint of Workshop',
      phase: 'freezing it for a moment',
      aside: null,
    })
    expect(workWords(capture({ freezeMs: 41 })).aside).toBe('frozen for 0.04 s')
    expect(endedWords(done(capture({ freezeMs: 41 })))).toBe('Checkpoint made, frozen for 0.04 s.')
    expect(endedWords(done(capture({ freezeMs: null })))).toBe('Checkpoint made.')
    expect(endedWords(cancelled(capture()))).toMatch(/cancelled/)
    expect(failedHead(capture())).toBe('No checkpoint was made.')
  })
})

describe('words of a restore', () => {
  it('say that it runs already and how much is fetched, never all of it before the end', () => {
    expect(workWords(restore()).phase).toBe('runs; 61 % fetched')
    const whole = restore()
    whole.progress.doneBytes = whole.progress.totalBytes ?? 0
    expect(workWords(whole).phase).toBe('runs; 99 % fetched')
  })

  it('say what it means that the network is gone', () => {
    expect(workWords(restore({ phase: 'waiting' })).note).toMatch(/may stand still until it is back/)
  })

  it('say why it does not run at once, only until it runs', () => {
    const slowSentence = 'Everything is fetched first.'
    expect(workWords(restore({ phase: 'fetching', slowSentence })).note).toBe(slowSentence)
    expect(workWords(restore({ phase: 'running', slowSentence })).note).toBeNull()
  })
})

describe('announcements', () => {
  const all = [
    ...checkpointPhase.options.map((phase) => capture({ phase })),
    ...restorePhase.options.map((phase) => restore({ phase })),
  ]

  it('are a sentence for every phase and end, and name no numbers that would flood a screen reader', () => {
    for (const operation of all) {
      expect(announcement(operation)).toMatch(/^(Checkpoint|Restore) of Workshop: [a-z].*\.$/i)
      expect(announcement(operation)).not.toMatch(/\d/)
      for (const end of [cancelled(operation), failed(operation)])
        expect(announcement(end)).toMatch(/^Workshop: .*\.$/)
    }
  })

  it('leave out what is made by itself as long as it goes well', () => {
    const byItself = capture({ reason: 'interval' })
    expect(isNews(byItself)).toBe(false)
    expect(isNews(failed(byItself))).toBe(true)
    expect(isNews(capture())).toBe(true)
    expect(isNews(restore())).toBe(true)
    expect(isNews(move(guest(1, 'Workshop'), laptopId, hereId))).toBe(true)
    expect(isNews({ ...capture(), work: { kind: 'creating' } })).toBe(false)
  })
})

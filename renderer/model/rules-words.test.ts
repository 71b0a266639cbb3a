/** What the rules of automatic checkpoints come to. */
import { describe, expect, it } from 'vitest'
import { type CheckpointRules, defaultCheckpointRules } from '../../shared/models/checkpoint.ts'
import { everyWords, keepWords, whenWords } from './rules-words.ts'

const never: CheckpointRules = { ...defaultCheckpointRules, onLowBattery: false }
const keep = (last: number, hourly: number, daily: number, weekly: number): CheckpointRules['keep'] => ({
  ...{ last, hourly, daily, weekly },
})

describe('sentences of the rules', () => {
  it('say when checkpoints are made', () => {
    expect(whenWords(never)).toBe('None are made by themselves.')
    expect(whenWords(defaultCheckpointRules)).toBe('Made when the battery is low.')
    expect(whenWords({ ...defaultCheckpointRules, everyMinutes: 30, beforeMove: true })).toBe(
      'Made every 30 min while it runs, before it moves and when the battery is low.',
    )
    expect([60, 240, 1440].map(everyWords)).toEqual(['hour', '4 h', 'day'])
  })

  it('say which are kept, how many that can be, and how far back they reach', () => {
    expect(keepWords({ ...never, everyMinutes: 30 })).toBe(
      'Kept are the newest 10, then one an hour for 24 hours, one a day for 7 days and one a week for 4 weeks: at most 45, reaching back 4 weeks.',
    )
  })

  it('say nothing of steps that are not wanted', () => {
    expect(keepWords({ ...never, everyMinutes: 15, keep: keep(1, 0, 0, 0) })).toBe(
      'Kept are the newest one: at most 1, reaching back 15 min.',
    )
    expect(keepWords({ ...never, everyMinutes: 15, keep: keep(20, 1, 0, 0) })).toBe(
      'Kept are the newest 20, then one an hour for 1 hour: at most 21, reaching back 5 h.',
    )
  })

  it('promise no reach where nothing is made at set times', () => {
    expect(keepWords(never)).toMatch(/at most 45\.$/)
  })
})

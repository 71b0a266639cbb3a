/** What facts make of a state. */
import { describe, expect, it } from 'vitest'
import { keptMigrations, withRecord } from './host-state.ts'
import type { MigrationRecord } from './migration.ts'

function record(id: string, outcome: MigrationRecord['outcome'] = { kind: 'cancelled' }): MigrationRecord {
  return {
    id,
    guestId: '00000000-0000-4000-8000-000000000001',
    guestName: 'Workshop',
    fromDockId: 'a'.repeat(52),
    fromDockName: 'Laptop',
    toDockId: 'b'.repeat(52),
    toDockName: 'This PC',
    startedAtMs: 1,
    endedAtMs: 2,
    outcome,
  }
}

describe('a history', () => {
  it('starts with the newest move', () => {
    expect(withRecord([record('old')], record('new')).map(({ id }) => id)).toEqual(['new', 'old'])
  })

  it('keeps a move in its place when the truth about it comes later', () => {
    const settled = record('old', { kind: 'done', result: null })
    expect(withRecord([record('new'), record('old')], settled)).toEqual([record('new'), settled])
  })

  it('forgets the oldest', () => {
    const full = Array.from({ length: keptMigrations }, (_, index) => record(`${index}`))
    const next = withRecord(full, record('new'))
    expect(next).toHaveLength(keptMigrations)
    expect(next.at(-1)?.id).toBe(`${keptMigrations - 2}`)
  })
})

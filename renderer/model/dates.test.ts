/** Days as people say them. */
import { describe, expect, it } from 'vitest'
import { dateFieldText, dayWords, momentWords } from './dates.ts'

const nowMs = new Date(2026, 2, 3, 14, 5).getTime()
const day = (year: number, month: number, date: number): number =>
  new Date(year, month, date, 9, 30).getTime()

describe('words of days', () => {
  it('say what is near by its name, and what is far by its date', () => {
    expect(dayWords(day(2026, 2, 3), nowMs)).toBe('today')
    expect(dayWords(day(2026, 2, 2), nowMs)).toBe('yesterday')
    expect(dayWords(day(2026, 2, 4), nowMs)).toBe('tomorrow')
    expect(dayWords(day(2026, 1, 20), nowMs)).toBe('Fri 20 Feb')
    expect(dayWords(day(2025, 11, 31), nowMs)).toBe('31 Dec 2025')
    expect(momentWords(day(2026, 2, 2), nowMs)).toBe('yesterday, 09:30')
  })

  it('count days by midnights, though one of them has 23 or 25 hours', () => {
    for (let date = 1; date <= 364; date += 1) {
      const late = new Date(2026, 0, date, 23, 59).getTime()
      expect(dayWords(late, new Date(2026, 0, date + 1, 0, 1).getTime())).toBe('yesterday')
    }
  })

  it('fill a field for date and time with what it can read back', () => {
    expect(dateFieldText(nowMs)).toBe('2026-03-03T14:05')
    expect(Date.parse(dateFieldText(nowMs))).toBe(nowMs)
  })
})

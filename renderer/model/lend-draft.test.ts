/** For how long something is lent, and links in what people paste. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { dateFieldText } from './dates.ts'
import { findLink, type LendDraft, lentWords, readLendDraft } from './lend-draft.ts'

const hourMs = 3_600_000
const nowMs = new Date(2026, 2, 3, 14, 5).getTime()
const field = (atMs: number): string => dateFieldText(atMs)
const draft = (change: Partial<LendDraft>): LendDraft => ({
  span: 'hours',
  until: '',
  startsLater: false,
  start: '',
  ...change,
})

describe('lending', () => {
  it('ends after two hours, after a day, at a date, or never', () => {
    const read = (change: Partial<LendDraft>) => readLendDraft(draft(change), nowMs)
    expect(read({})).toEqual({ times: { startMs: null, endMs: nowMs + 2 * hourMs } })
    expect(read({ span: 'day' })).toEqual({ times: { startMs: null, endMs: nowMs + 24 * hourMs } })
    expect(read({ span: 'ever' })).toEqual({ times: { startMs: null, endMs: null } })
    expect(read({ span: 'until', until: field(nowMs + 5 * hourMs) })).toEqual({
      times: { startMs: null, endMs: nowMs + 5 * hourMs },
    })
  })

  it('counts its hours from its beginning, where that is later', () => {
    const start = field(nowMs + 24 * hourMs)
    expect(readLendDraft(draft({ startsLater: true, start }), nowMs)).toEqual({
      times: { startMs: nowMs + 24 * hourMs, endMs: nowMs + 26 * hourMs },
    })
  })

  it.each<[string, Partial<LendDraft>, object]>([
    ['an end that has passed', { span: 'until', until: field(nowMs - hourMs) }, { until: /passed/ }],
    ['no end at all', { span: 'until', until: '' }, { until: /Choose/ }],
    ['no beginning', { startsLater: true, start: '' }, { start: /Choose/ }],
    ['a beginning that has passed', { startsLater: true, start: field(nowMs - hourMs) }, { start: /passed/ }],
    [
      'an end before its beginning',
      {
        span: 'until',
        until: field(nowMs + hourMs),
        startsLater: true,
        start: field(nowMs + 2 * hourMs),
      },
      { until: /before it begins/ },
    ],
  ])('complains about %s, at its field', (_what, change, problems) => {
    const read = readLendDraft(draft(change), nowMs)
    expect(read).toEqual({
      problems: Object.fromEntries(
        Object.entries(problems).map(([name, words]) => [name, expect.stringMatching(words)]),
      ),
    })
  })

  it('is told in words', () => {
    expect(lentWords({ startMs: null, endMs: null }, nowMs)).toBe('for ever')
    expect(lentWords({ startMs: null, endMs: nowMs + 24 * hourMs }, nowMs)).toBe('until tomorrow, 14:05')
    expect(lentWords({ startMs: nowMs + hourMs, endMs: nowMs + 24 * hourMs }, nowMs)).toBe(
      'from today, 15:05 until tomorrow, 14:05',
    )
    expect(lentWords({ startMs: nowMs - hourMs, endMs: null }, nowMs)).toBe('for ever')
    expect(lentWords({ startMs: null, endMs: nowMs - hourMs }, nowMs)).toBe('ended today, 13:05')
  })
})

describe('finding a link in what was pasted', () => {
  const link = 'wdock:lend?u=https%3A%2F%2Fada.example%2Fs1&sig=a%2Fb#c2VjcmV0'

  it.each([
    ['alone', link],
    ['with words around it', `Here it is: ${link} – have fun`],
    ['in angle brackets', `<${link}>`],
    ['broken into lines by a mail', `${link.slice(0, 30)}\n  ${link.slice(30, 50)}\r\n${link.slice(50)}`],
  ])('finds it %s', (_how, text) => {
    expect(findLink(text)).toBe(link)
  })

  it('finds none in anything else', () => {
    for (const text of ['', 'wdock:settings', 'https://ada.example/s1', 'lend?u=x'])
      expect(findLink(text)).toBeNull()
    fc.assert(fc.property(fc.string(), (text) => findLink(text) === null || text.includes('wdock:')))
  })
})

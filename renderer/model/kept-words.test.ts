/** Kept memory in words. */
import { expect, it } from 'vitest'
import { keptGuests } from '../fixtures/kept-memory.ts'
import { laptopId, nowMs } from '../fixtures/things.ts'
import { keptFacts, keptName, limitChoices } from './kept-words.ts'

it('offers a few limits, and what was set elsewhere in its place among them', () => {
  const usual = ['Nothing', '4 GiB', '16 GiB', '64 GiB']
  expect(limitChoices(16_384).map(([, text]) => text)).toEqual(usual)
  expect(limitChoices(0).map(([, text]) => text)).toEqual(usual)
  expect(limitChoices(6_656)).toEqual([
    ['0', 'Nothing'],
    ['4096', '4 GiB'],
    ['6656', '6.5 GiB'],
    ['16384', '16 GiB'],
    ['65536', '64 GiB'],
  ])
})

it('says how much is kept of a guest, when that was used last and with which PC', () => {
  const kept = { bytes: 1.5 * 2 ** 30, dockId: laptopId, dockName: 'Laptop', usedAtMs: nowMs }
  expect(keptFacts(kept, nowMs)).toMatch(/^1\.5 GiB · last used today, \d\d:\d\d, with Laptop$/)
  expect(keptFacts({ ...kept, dockName: null }, nowMs)).toMatch(/, with another PC$/)
  expect(keptFacts({ ...kept, dockId: null, dockName: null }, nowMs)).toMatch(/\d\d$/)
})

it('has words for a guest whose name nobody remembers', () => {
  expect(keptGuests.map(keptName)).toEqual([
    'Workshop',
    expect.any(String),
    expect.stringMatching(/not known/),
  ])
})

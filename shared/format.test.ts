import { describe, expect, it } from 'vitest'
import { formatBytes, formatDuration, formatList, formatMemory, formatTimeRange } from './format.ts'

describe('numbers in the words of people', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1400, '1.4 kB'],
    [23_000_000, '23 MB'],
    [999_600_000, '1.0 GB'],
    [1_440_000_000, '1.4 GB'],
  ])('%d bytes are %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text))

  it.each([
    [512 * 1024 ** 2, '512 MiB'],
    [1024 ** 3, '1 GiB'],
    [1.5 * 1024 ** 3, '1.5 GiB'],
  ])('%d bytes of memory are %s', (bytes, text) => expect(formatMemory(bytes)).toBe(text))

  it.each([
    [60, '0.06 s'],
    [110, '0.1 s'],
    [2000, '2 s'],
    [9960, '10 s'],
    [90_000, '2 min'],
    [3_600_000, '1 h'],
    [7_500_000, '2 h 5 min'],
    [4 * 24 * 3_600_000, '4 days'],
  ])('%d ms are %s', (milliseconds, text) => expect(formatDuration(milliseconds)).toBe(text))

  it('says a range once where both ends read alike, and names a common unit once', () => {
    expect(formatTimeRange({ minMs: 2000, maxMs: 2010 })).toBe('about 2 s')
    expect(formatTimeRange({ minMs: 2000, maxMs: 4000 })).toBe('2 to 4 s')
    expect(formatTimeRange({ minMs: 40_000, maxMs: 180_000 })).toBe('40 s to 3 min')
  })

  it('names the first of a list and counts the rest', () => {
    expect(formatList(['avx2', 'sse4.2', 'bmi1'], 3)).toBe('avx2, sse4.2, bmi1')
    expect(formatList(['avx2', 'sse4.2', 'bmi1', 'bmi2'], 3)).toBe('avx2, sse4.2, bmi1 and 1 more')
  })
})

import { describe, expect, it } from 'vitest'
import { MemoryWindow } from './memory-window.ts'

const kibibyte = 1024
const everyMs = 150

/** The window after some readings of a stream that a link of this rate and round trip carries. */
function settled(linkBytesPerMs: number, rttMs: number, readings = 30): number {
  const window = new MemoryWindow()
  let windowBytes = 1024 * kibibyte
  let ackedBytes = 0
  for (let reading = 0; reading < readings; reading += 1) {
    const bytesPerMs = Math.min(linkBytesPerMs, windowBytes / Math.max(rttMs, 1))
    ackedBytes += bytesPerMs * everyMs
    windowBytes = window.next(reading * everyMs, { ackedBytes, rttMs }) ?? windowBytes
  }
  return windowBytes
}

describe('the window of the memory stream', () => {
  it('is small on a slow link, where it would lengthen the freeze', () => {
    expect(settled(12_500, 1)).toBeLessThan(600 * kibibyte)
  })

  it('is large on a fast one, where hosts that are late would leave it idle', () => {
    expect(settled(125_000, 1)).toBeGreaterThan(4096 * kibibyte)
  })

  it('grows until it fills a link with a long way', () => {
    expect(settled(12_500, 100)).toBeGreaterThan(12_500 * 100)
  })

  it('survives a moment of silence', () => {
    const window = new MemoryWindow()
    window.next(0, { ackedBytes: 0, rttMs: 1 })
    const busy = window.next(150, { ackedBytes: 15_000_000, rttMs: 1 }) ?? 0
    const silent = window.next(300, { ackedBytes: 15_000_000, rttMs: 1 }) ?? 0
    expect(silent).toBeGreaterThan(busy / 2)
  })

  it('says nothing before there is a rate', () => {
    expect(new MemoryWindow().next(0, { ackedBytes: 0, rttMs: null })).toBeNull()
  })
})

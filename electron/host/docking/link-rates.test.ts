import { describe, expect, it } from 'vitest'
import type { Clock } from '../../platform/clock.ts'
import { BestRate, LinkRates } from './link-rates.ts'

const dock = 'b'.repeat(52)
const rttMs = 4

/** A dock behind a link of some rate, and how often it was probed. */
class Link {
  bytesPerS: number
  probes = 0
  #nowMs = 0

  constructor(bytesPerS: number) {
    this.bytesPerS = bytesPerS
  }

  rates(): LinkRates {
    const clock: Pick<Clock, 'monotonicMs'> = { monotonicMs: () => this.#nowMs }
    const calls = {
      net: { peers: () => [{ id: dock, linkRttMs: rttMs }] },
      ask: async (_dockId: string, _method: string, { padding }: { padding: string }) => {
        if (this.bytesPerS === 0) throw new Error('the link is down')
        this.probes += 1
        this.#nowMs += rttMs + (padding.length * 1000) / this.bytesPerS
        return { received: padding.length }
      },
    }
    return new LinkRates(calls as never, clock as Clock)
  }
}

describe('the rate of a link', () => {
  it('is measured by a probe, and then known', async () => {
    const link = new Link(9e6)
    const rates = link.rates()
    const first = await rates.measure(dock)
    expect(first.rttMs).toBe(rttMs)
    expect(first.bytesPerS).toBeCloseTo(9e6, -5)
    const { probes } = link
    expect(await rates.measure(dock)).toEqual(first)
    expect(link.probes).toBe(probes)
  })

  it('is null where the dock does not answer, and asked again the next time', async () => {
    const link = new Link(0)
    const rates = link.rates()
    expect((await rates.measure(dock)).bytesPerS).toBeNull()
    link.bytesPerS = 9e6
    expect((await rates.measure(dock)).bytesPerS).toBeCloseTo(9e6, -5)
  })

  it('is measured again for a choice where it was fast, and believed where it was slow', async () => {
    const link = new Link(100e6)
    const rates = link.rates()
    await rates.measure(dock)
    link.bytesPerS = 9e6
    expect((await rates.confirm(dock, 30e6)).bytesPerS).toBeCloseTo(9e6, -5)
    link.bytesPerS = 100e6
    expect((await rates.confirm(dock, 30e6)).bytesPerS).toBeCloseTo(9e6, -5)
  })

  it('is what a move was seen to carry: less only where the move would have taken more', async () => {
    const rates = new Link(9e6).rates()
    rates.learn(dock, 20e6, true)
    rates.learn(dock, 5e6, false)
    expect((await rates.measure(dock)).bytesPerS).toBe(20e6)
    rates.learn(dock, 25e6, false)
    expect((await rates.measure(dock)).bytesPerS).toBe(25e6)
    rates.learn(dock, 8e6, true)
    expect((await rates.measure(dock)).bytesPerS).toBe(8e6)
  })
})

it('the best rate of a stream is that of its best stretch, and no shorter one counts', () => {
  const best = new BestRate(100)
  for (const [bytes, atMs] of [
    [0, 0],
    [90_000, 10],
    [100_000, 100],
    [400_000, 200],
    [450_000, 300],
  ] as const)
    best.see(bytes, atMs)
  expect(best.bytesPerS).toBe(3_000_000)
})

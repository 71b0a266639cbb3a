import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { alongAxis, decadesAround } from './picture.ts'

describe('a logarithmic axis', () => {
  it('goes from one power of ten to another around all values', () => {
    expect(decadesAround([0.05, 2048])).toEqual({ from: 0.01, to: 10_000 })
    expect(decadesAround([10])).toEqual({ from: 10, to: 100 })
    expect(decadesAround([])).toEqual({ from: 0.1, to: 1 })
  })

  it('keeps the order of values and stays between its ends', () => {
    const seconds = fc.double({ min: 0.001, max: 1e5, noNaN: true })
    fc.assert(
      fc.property(seconds, seconds, (a, b) => {
        const axis = decadesAround([a, b])
        const [low, high] = [alongAxis(Math.min(a, b), axis), alongAxis(Math.max(a, b), axis)]
        expect(low).toBeGreaterThanOrEqual(0)
        expect(high).toBeGreaterThanOrEqual(low)
        expect(high).toBeLessThanOrEqual(1 + 1e-9)
      }),
    )
  })
})

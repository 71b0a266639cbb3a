import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { pageBytes, pageIdBytes } from '../pages/page-id.ts'
import { HeldPages } from './held-pages.ts'

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('hold' as const), at: fc.nat(14), fill: fc.nat(255) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('drop' as const), at: fc.nat(14) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('take' as const) }) },
)

const place = (at: number): [block: number, page: number] => (at < 12 ? [0, at] : [1, at - 12])

/** Takes the first page of both. */
function takeBoth(held: HeldPages, model: Map<number, number>): void {
  const taken = held.take()
  const [first] = model
  if (first === undefined || taken === null) {
    expect([first ?? null, taken]).toEqual([null, null])
    return
  }
  const [at, fill] = first
  model.delete(at)
  expect([taken.block, taken.page]).toEqual(place(at))
  const bytes = taken.bytes.subarray(taken.offset, taken.offset + pageBytes)
  expect(bytes.equals(Buffer.alloc(pageBytes, fill))).toBe(true)
  expect(taken.id.equals(Buffer.alloc(pageIdBytes, fill))).toBe(true)
}

describe('pages that wait to be packed', () => {
  it('are as a queue in which each page stands once, in its last version', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const held = new HeldPages()
        const model = new Map<number, number>()
        for (const now of steps) {
          if (now.do === 'take') {
            takeBoth(held, model)
          } else if (now.do === 'drop') {
            held.drop(...place(now.at))
            model.delete(now.at)
          } else {
            held.hold(
              ...place(now.at),
              Buffer.alloc(pageBytes, now.fill),
              Buffer.alloc(pageIdBytes, now.fill),
            )
            model.set(now.at, now.fill)
          }
          expect(held.size).toBe(model.size)
        }
      }),
      { numRuns: 300 },
    )
  })
})

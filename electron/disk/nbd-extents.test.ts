import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Plan, planOf, UnitCutter } from './nbd-disk-plan.ts'
import {
  type BlockExtent,
  Coverage,
  coverExtents,
  ExtentJoiner,
  type ExtentKind,
  intersectStatus,
  type StatusExtent,
} from './nbd-extents.ts'

const kind = fc.constantFrom<ExtentKind>('data', 'zero', 'hole')
const extents = fc.array(fc.record({ lengthBytes: fc.integer({ min: 0, max: 40 }), kind }), { maxLength: 20 })

/** One entry a byte, so that ranges can be compared without thinking. */
function spread<Value>(parts: readonly { lengthBytes: number; value: Value }[]): Value[] {
  return parts.flatMap(({ lengthBytes, value }) => new Array<Value>(lengthBytes).fill(value))
}

function spreadExtents(list: readonly BlockExtent[]): ExtentKind[] {
  return spread(list.map(({ lengthBytes, kind: value }) => ({ lengthBytes, value })))
}

describe('what a provider says of a range', () => {
  it('is cut and filled with data until it covers the range, neighbours joined', () => {
    fc.assert(
      fc.property(extents, fc.integer({ min: 1, max: 300 }), (said, lengthBytes) => {
        const covered = [...coverExtents(said, lengthBytes)]
        const expected = spreadExtents(said).slice(0, lengthBytes)
        while (expected.length < lengthBytes) expected.push('data')
        expect(spreadExtents(covered)).toEqual(expected)
        for (const [index, extent] of covered.entries()) {
          expect(extent.lengthBytes).toBeGreaterThan(0)
          expect(extent.kind).not.toBe(covered[index - 1]?.kind)
        }
      }),
    )
  })

  it('is asked for only as far as it is needed', () => {
    let asked = 0
    function* endless(): Generator<BlockExtent> {
      for (;;) {
        asked += 1
        yield { lengthBytes: 10, kind: asked % 2 === 0 ? 'data' : 'hole' }
      }
    }
    expect([...coverExtents(endless(), 35)]).toHaveLength(4)
    expect(asked).toBeLessThanOrEqual(5)
  })
})

describe('what a server says of a range in several contexts', () => {
  const descriptors = fc.array(
    fc.record({ length: fc.integer({ min: 1, max: 30 }), flags: fc.integer({ min: 0, max: 2 }) }),
    { minLength: 1, maxLength: 12 },
  )

  it('is laid over each other as far as all of them reach, and joined where nothing changes', () => {
    fc.assert(
      fc.property(
        fc.array(descriptors, { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 1, max: 200 }),
        (answers, lengthBytes) => {
          const joiner = new ExtentJoiner()
          const joined: StatusExtent[] = []
          const keep = (extent: StatusExtent | null): void => {
            if (extent !== null) joined.push(extent)
          }
          for (const extent of intersectStatus(1000, lengthBytes, answers)) keep(joiner.push(extent))
          keep(joiner.finish())
          const each = answers.map((list) =>
            spread(list.map(({ length, flags }) => ({ lengthBytes: length, value: flags }))),
          )
          const reach = Math.min(lengthBytes, ...each.map((list) => list.length))
          const expected = Array.from({ length: reach }, (_, at) => each.map((list) => list[at]).join())
          const seen = spread(
            joined.map(({ lengthBytes: size, flags }) => ({ lengthBytes: size, value: flags.join() })),
          )
          expect(seen).toEqual(expected)
          let at = 1000
          for (const [index, { offset, lengthBytes: size, flags }] of joined.entries()) {
            expect(offset).toBe(at)
            at += size
            expect(flags.join()).not.toBe(joined[index - 1]?.flags.join())
          }
        },
      ),
    )
  })
})

describe('what a capture is to do with a disk', () => {
  const rules = { allocationAt: 0, depthAt: 1, maxDepth: 1 }
  const planned = (flags: number[], depthAt = 1): string =>
    planOf({ offset: 0, lengthBytes: 512, flags }, { ...rules, depthAt }).kind

  it('is read unless it certainly reads as zeros or lies too deep', () => {
    expect(planned([0, 1])).toBe('data')
    expect(planned([0, 2])).toBe('below')
    expect(planned([3, 0])).toBe('hole')
    expect(planned([3, 1])).toBe('zero')
    expect(planned([2, 2])).toBe('zero')
    expect(planned([1, 1])).toBe('data')
    expect(planned([3], -1)).toBe('hole')
    expect(planned([2], -1)).toBe('zero')
    expect(planned([0], -1)).toBe('data')
  })

  const plan = fc.record({
    kind: fc.constantFrom<Plan['kind']>('data', 'zero', 'hole', 'below'),
    lengthBytes: fc.integer({ min: 1, max: 40 }),
    depth: fc.integer({ min: 0, max: 3 }),
  })

  const expectedOf = (kinds: Plan['kind'][], layers: number[]): unknown[] =>
    kinds.length === 1 && layers.length === 1
      ? [kinds[0], layers[0]]
      : ['data', layers.filter((layer) => layer > 0).sort()[0] ?? 0]

  it('is cut at units, and a unit of which parts differ is read', () => {
    fc.assert(
      fc.property(fc.array(plan, { maxLength: 20 }), fc.integer({ min: 1, max: 16 }), (list, unitBytes) => {
        const cutter = new UnitCutter(unitBytes)
        let offset = 0
        const cut: Plan[] = []
        for (const { kind: what, lengthBytes, depth } of list) {
          cut.push(...cutter.push({ kind: what, offset, lengthBytes, depth }))
          offset += lengthBytes
        }
        cut.push(...cutter.finish())
        const each = spread(list.map((entry) => ({ lengthBytes: entry.lengthBytes, value: entry.kind })))
        const depths = spread(list.map((entry) => ({ lengthBytes: entry.lengthBytes, value: entry.depth })))
        let at = 0
        for (const piece of cut) {
          expect(piece.offset).toBe(at)
          expect(at % unitBytes).toBe(0)
          for (let unit = at; unit < at + piece.lengthBytes; unit += unitBytes) {
            const kinds = new Set(each.slice(unit, unit + unitBytes))
            const layers = new Set(depths.slice(unit, unit + unitBytes))
            expect([piece.kind, piece.depth]).toEqual(expectedOf([...kinds], [...layers]))
          }
          at += piece.lengthBytes
        }
        expect(at).toBe(each.length)
      }),
    )
  })
})

describe('the bytes of an answer', () => {
  it('count once, in any order, and only inside', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.array(fc.tuple(fc.integer({ min: 0, max: 70 }), fc.integer({ min: 0, max: 20 })), {
          maxLength: 60,
        }),
        (lengthBytes, pieces) => {
          const coverage = new Coverage(lengthBytes)
          const filled = new Set<number>()
          for (const [start, size] of pieces) {
            const bytes = Array.from({ length: size }, (_, index) => start + index)
            const fits = size > 0 && start + size <= lengthBytes && !bytes.some((byte) => filled.has(byte))
            expect(coverage.add(start, size)).toBe(fits)
            if (fits) for (const byte of bytes) filled.add(byte)
            expect(coverage.isComplete).toBe(filled.size === lengthBytes)
          }
        },
      ),
    )
  })

  it('are refused in crumbs that a reader would have to sort for ever', () => {
    const coverage = new Coverage(1_000_000)
    let taken = 0
    while (taken < 10_000 && coverage.add(2 * taken + 1, 1)) taken += 1
    expect(taken).toBeLessThan(1000)
  })
})

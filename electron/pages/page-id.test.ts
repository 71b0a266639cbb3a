import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isZeroPage, PageHasher, pageBytes, pageIdBytes } from './page-id.ts'

const key = Buffer.from('8b9daedd4c44b77b34a94c0f670c5503c3c7a21e95ca42b653308dd5bd155de2', 'hex')
const page = Buffer.from(Array.from({ length: pageBytes }, (_, at) => (at * 7 + 3) & 255))

describe('page ids', () => {
  it('are those of the format', () => {
    const ids = Buffer.alloc(2 * pageIdBytes)
    new PageHasher(key).idsOf(Buffer.concat([page, Buffer.alloc(pageBytes)]), ids)
    expect(ids.toString('hex')).toBe('e4440813e5b2ab0a6f226bdbac2425cd7561311cae4c1cd594ef0a0cca3b7c0f')
  })

  it('of a batch, anywhere in a buffer, are SHA-256(key ‖ page), and the bytes around them stay', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.array(fc.nat(255), { minLength: 1, maxLength: 5 }),
        (randomKey, fills) => {
          const pages = Buffer.concat(fills.map((fill, at) => Buffer.alloc(pageBytes, Buffer.of(fill, at))))
          const out = Buffer.alloc(fills.length * pageIdBytes + 8, 0xee)
          expect(new PageHasher(randomKey).idsOf(pages, out)).toBe(fills.length)
          for (let at = 0; at < fills.length; at += 1) {
            const expected = createHash('sha256')
              .update(randomKey)
              .update(pages.subarray(at * pageBytes, (at + 1) * pageBytes))
              .digest()
              .subarray(0, pageIdBytes)
            expect(out.subarray(at * pageIdBytes, (at + 1) * pageIdBytes)).toEqual(expected)
          }
          expect(out.subarray(-8)).toEqual(Buffer.alloc(8, 0xee))
        },
      ),
      { numRuns: 30 },
    )
  })

  it('keep their own copy of the key', () => {
    const given = Buffer.from(key)
    const hasher = new PageHasher(given)
    given.fill(0)
    const id = Buffer.alloc(pageIdBytes)
    hasher.idOf(page, 0, id)
    expect(id.toString('hex')).toBe('e4440813e5b2ab0a6f226bdbac2425cd')
  })

  it('are refused for half a page, a short key and too little room', () => {
    const hasher = new PageHasher(key)
    expect(() => hasher.idsOf(Buffer.alloc(pageBytes + 1), Buffer.alloc(64))).toThrow(RangeError)
    expect(() => hasher.idsOf(Buffer.alloc(2 * pageBytes), Buffer.alloc(31))).toThrow(RangeError)
    expect(() => new PageHasher(Buffer.alloc(16))).toThrow(RangeError)
  })
})

describe('a page of zeros', () => {
  it('is told from one with a single bit set, wherever it is', () => {
    const bytes = Buffer.alloc(3 * pageBytes)
    expect(isZeroPage(bytes, pageBytes)).toBe(true)
    fc.assert(
      fc.property(fc.nat(pageBytes - 1), fc.nat(7), (at, bit) => {
        bytes[pageBytes + at] = 1 << bit
        const found = isZeroPage(bytes, pageBytes)
        const neighbours = [isZeroPage(bytes), isZeroPage(bytes, 2 * pageBytes)]
        bytes[pageBytes + at] = 0
        return !found && neighbours.every(Boolean)
      }),
    )
  })
})

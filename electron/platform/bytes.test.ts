import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fail } from '../../shared/errors/index.ts'
import { ByteReader, ByteWriter } from './bytes.ts'

const bad = (why: string) => fail('vault.damaged_object', { name: 'x' }, { detail: why })
const readerOf = (bytes: Uint8Array | number[]) => new ByteReader(Buffer.from(bytes), bad)

describe('varints', () => {
  it('come back as they were written', () => {
    fc.assert(
      fc.property(fc.array(fc.maxSafeInteger().map((n) => n % 2 ** 48)), (numbers) => {
        const writer = new ByteWriter(1)
        for (const n of numbers) {
          writer.uv(Math.abs(n))
          writer.sv(n)
        }
        const reader = new ByteReader(writer.finish(), bad)
        for (const n of numbers) expect([reader.uv(), reader.sv()]).toEqual([Math.abs(n), n])
        reader.end()
      }),
    )
  })

  it('are written as LEB128', () => {
    const writer = new ByteWriter()
    for (const n of [0, 127, 128, 300]) writer.uv(n)
    for (const n of [0, -1, 1, -64, 64]) writer.sv(n)
    expect(writer.finish().toString('hex')).toBe('007f8001ac02' + '0001027f8001')
  })

  it.each([
    ['cut off', [0x80]],
    ['longer than need be', [0x80, 0x00]],
    ['too large', [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]],
  ])('are refused when %s', (_what, bytes) => {
    expect(() => readerOf(bytes).uv()).toThrow(expect.objectContaining({ code: 'vault.damaged_object' }))
  })

  it('of a count are refused before there could be so many things', () => {
    expect(() => readerOf([0xff, 0x7f, 1, 2, 3]).count(2 ** 20, 16)).toThrow('damaged')
    expect(() => readerOf([5, 0, 0, 0, 0, 0]).count(4, 1)).toThrow('damaged')
  })
})

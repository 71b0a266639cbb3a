import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fail } from '../../../shared/errors/index.ts'
import { ByteReader, ByteWriter } from './bytes.ts'
import { ColumnReader, writeColumn } from './columns.ts'

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

describe('columns', () => {
  const column = (bytes: number[]) => {
    const writer = new ByteWriter()
    for (const byte of bytes) writer.u8(byte)
    return writer
  }

  it('come back, compressed where that helps', () => {
    const writer = new ByteWriter()
    writeColumn(writer, column(new Array(5000).fill(7)))
    writeColumn(writer, column([1, 2, 3]))
    writeColumn(writer, column([]))
    expect(writer.length).toBeLessThan(60)
    const columns = new ColumnReader(new ByteReader(writer.finish(), bad), 5003, bad)
    expect(
      columns
        .next()
        .take(5000)
        .every((byte) => byte === 7),
    ).toBe(true)
    expect([...columns.next().take(3)]).toEqual([1, 2, 3])
    columns.next().end()
  })

  it('do not grow beyond what their object may take', () => {
    const writer = new ByteWriter()
    writeColumn(writer, column(new Array(5000).fill(7)))
    const columns = new ColumnReader(new ByteReader(writer.finish(), bad), 4999, bad)
    expect(() => columns.next()).toThrow('damaged')
  })

  it('that say less than they hold are refused without being unpacked further', () => {
    const writer = new ByteWriter()
    writeColumn(writer, column(new Array(100_000).fill(7)))
    const bytes = writer.finish()
    const lie = new ByteWriter()
    const reader = new ByteReader(bytes, bad)
    reader.uv()
    lie.uv(1000)
    lie.bytes(reader.take(reader.remaining))
    const columns = new ColumnReader(new ByteReader(lie.finish(), bad), 2 ** 20, bad)
    expect(() => columns.next()).toThrow('damaged')
  })
})

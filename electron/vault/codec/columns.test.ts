import { describe, expect, it } from 'vitest'
import { fail } from '../../../shared/errors/index.ts'
import { ByteReader, ByteWriter } from '../../platform/bytes.ts'
import { ColumnReader, writeColumn } from './columns.ts'

const bad = (why: string) => fail('vault.damaged_object', { name: 'x' }, { detail: why })

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

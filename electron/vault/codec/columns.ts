/**
 * Columns of numbers: all lengths, then all kinds, …, each compressed by itself, as neighbours in a column are alike
 * and neighbours in a row are not. `uv raw bytes ‖ uv stored bytes ‖ stored`; zstd, or raw where that is not shorter.
 * Promises that reading reserves no more than the limit of the whole object, whatever the columns say of themselves.
 */
import { zstdDecompressSync } from 'node:zlib'
import { zstdFrameOf } from '../../pages/zstd-frame.ts'
import { type BadBytes, ByteReader, type ByteWriter } from '../../platform/bytes.ts'

const level = 9
/** Shorter ones do not shrink by more than zstd's own frame. */
const shortestPacked = 64

export function writeColumn(writer: ByteWriter, column: ByteWriter): void {
  const raw = column.finish()
  const stored = raw.length < shortestPacked ? raw : shorterOf(raw)
  writer.uv(raw.length)
  writer.uv(stored.length)
  writer.bytes(stored)
}

function shorterOf(raw: Buffer): Buffer {
  const packed = zstdFrameOf(raw, level)
  return packed.length < raw.length ? packed : raw
}

/** Opens the columns of one object, which together may be so long and no longer. */
export class ColumnReader {
  readonly #reader: ByteReader
  readonly #bad: BadBytes
  #leftBytes: number

  /** @param limitBytes of all columns together, before compression */
  constructor(reader: ByteReader, limitBytes: number, bad: BadBytes) {
    this.#reader = reader
    this.#leftBytes = limitBytes
    this.#bad = bad
  }

  /** The next column. @throws what `bad` makes */
  next(): ByteReader {
    const rawBytes = this.#reader.uv()
    if (rawBytes > this.#leftBytes) throw this.#bad('its tables are too large')
    this.#leftBytes -= rawBytes
    const stored = this.#reader.take(this.#reader.count(rawBytes, 1))
    return new ByteReader(stored.length === rawBytes ? stored : this.#unpack(stored, rawBytes), this.#bad)
  }

  #unpack(stored: Buffer, rawBytes: number): Buffer {
    let raw: Buffer
    try {
      raw = zstdDecompressSync(stored, { maxOutputLength: rawBytes })
    } catch (error) {
      throw this.#bad(String(error))
    }
    if (raw.length !== rawBytes) throw this.#bad('a table has another length than it says')
    return raw
  }
}

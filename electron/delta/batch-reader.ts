/**
 * Reads a batch: first its outside, then its records, one after the other. Promises that every count, length and place
 * is within what `grammar.ts` allows before it is told, and one named error for everything else.
 */
import { zstdDecompressSync } from 'node:zlib'
import { isZstdFrameOf } from '../pages/zstd-frame.ts'
import type { ByteReader } from '../platform/bytes.ts'
import { checkBytes, coding, limits, mostBodyBytes, pageBytes, record } from './grammar.ts'
import { badMessage, readCoding, readerOf } from './messages.ts'

export interface BatchParts {
  number: number
  check: Buffer
  records: Buffer
  carried: Buffer
}

/** @throws delta.bad_message */
export function readBatch(payload: Buffer): BatchParts {
  const reader = readerOf(payload)
  const number = reader.uv()
  const recordBytes = reader.uv()
  const carriedPages = reader.uv()
  if (recordBytes > limits.recordBytes || carriedPages > limits.carriedPages)
    throw badMessage(`a batch of ${recordBytes} bytes of records and ${carriedPages} pages`)
  const check = reader.take(checkBytes)
  const bodyBytes = recordBytes + carriedPages * pageBytes
  const body = readBody(reader, bodyBytes)
  return { number, check, records: body.subarray(0, recordBytes), carried: body.subarray(recordBytes) }
}

function readBody(reader: ByteReader, bodyBytes: number): Buffer {
  const how = readCoding(reader)
  const stored = reader.take(reader.remaining)
  if (how === coding.raw) {
    if (stored.length !== bodyBytes) throw badMessage(`a body of ${stored.length} instead of ${bodyBytes}`)
    return stored
  }
  if (!isZstdFrameOf(stored, bodyBytes)) throw badMessage('a body that is no such zstd frame')
  let body: Buffer
  try {
    body = zstdDecompressSync(stored, { maxOutputLength: mostBodyBytes, chunkSize: Math.max(64, bodyBytes) })
  } catch (error) {
    throw badMessage(`a body that cannot be unpacked: ${String(error)}`)
  }
  if (body.length !== bodyBytes) throw badMessage('a body of another length')
  return body
}

export interface RecordSink {
  bytes(piece: Buffer): void
  zero(block: number, page: number, named: boolean): void
  same(block: number, page: number, named: boolean): void
  /** @param from an address */
  held(block: number, page: number, named: boolean, from: number): void
  /** @param at where the contents are in what the batch carries */
  fresh(block: number, page: number, named: boolean, at: number): void
  delta(block: number, page: number, named: boolean, at: number): void
}

/** What a batch is read against. */
export interface RecordScope {
  /** How many pages each block has. */
  blocks: readonly number[]
  /** Behind the last address. */
  end: number
  /** The block of the record before; goes on from batch to batch. */
  block: number
}

/** Tells the records of a batch. @throws delta.bad_message */
export function tellRecords(parts: BatchParts, sink: RecordSink, scope: RecordScope): void {
  new RecordReader(parts, sink, scope).read()
}

class RecordReader {
  readonly #reader: ByteReader
  readonly #carriedPages: number
  readonly #sink: RecordSink
  readonly #scope: RecordScope
  #pages = 0
  #zeroPages = 0
  #namedPages = 0
  /** Of what the batch carries, how many pages are used up. */
  #usedPages = 0
  #nextPage = 0
  #nextRef = 0
  #named = false

  constructor({ records, carried }: BatchParts, sink: RecordSink, scope: RecordScope) {
    this.#reader = readerOf(records)
    this.#carriedPages = carried.length / pageBytes
    this.#sink = sink
    this.#scope = scope
  }

  read(): void {
    while (this.#reader.remaining > 0) this.#record(this.#reader.u8())
    if (this.#named) throw badMessage('a name without a page')
    if (this.#usedPages !== this.#carriedPages) throw badMessage('contents of no page')
  }

  #record(of: number): void {
    const reader = this.#reader
    if (of === record.bytes) this.#sink.bytes(reader.take(reader.count(limits.recordBytes, 1)))
    else if (of === record.name) this.#name(reader.uv())
    else if (of === record.seek) this.#nextPage += reader.sv()
    else if (of <= record.delta) this.#run(of, reader.uv())
    else throw badMessage(`a record of type ${of}`)
  }

  #name(block: number): void {
    this.#namedPages += 1
    if (block >= this.#scope.blocks.length || this.#namedPages > limits.namedPages)
      throw badMessage(`the block ${block}`)
    this.#named = true
    this.#scope.block = block
    this.#nextPage = 0
  }

  #run(of: number, count: number): void {
    this.#claim(of, count)
    const end = this.#nextPage + count
    for (; this.#nextPage < end; this.#nextPage += 1) {
      this.#page(of, this.#scope.block, this.#nextPage, this.#named)
      this.#named = false
    }
  }

  /** A run is checked whole, before anything of it is told. */
  #claim(of: number, count: number): void {
    const isCarried = of === record.fresh || of === record.delta
    if (of === record.zero) this.#zeroPages += count
    else this.#pages += count
    const blockPages = this.#scope.blocks[this.#scope.block] ?? 0
    const isInBlock = count > 0 && this.#nextPage >= 0 && this.#nextPage + count <= blockPages
    const isCovered = !isCarried || this.#usedPages + count <= this.#carriedPages
    if (!isInBlock || !isCovered || this.#zeroPages > limits.zeroPages || this.#pages > limits.pages)
      throw badMessage(`${count} pages at ${this.#nextPage} of a block of ${blockPages}`)
  }

  #page(of: number, block: number, page: number, named: boolean): void {
    const sink = this.#sink
    if (of === record.zero) sink.zero(block, page, named)
    else if (of === record.same) sink.same(block, page, named)
    else if (of === record.held) sink.held(block, page, named, this.#ref())
    else {
      const at = this.#usedPages * pageBytes
      this.#usedPages += 1
      if (of === record.fresh) sink.fresh(block, page, named, at)
      else sink.delta(block, page, named, at)
    }
  }

  #ref(): number {
    const from = this.#nextRef + this.#reader.sv()
    if (from < 0 || from >= this.#scope.end) throw badMessage(`a page held at ${from}`)
    this.#nextRef = from + 1
    return from
  }
}

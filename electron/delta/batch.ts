/**
 * One batch on its way to be written: records, the contents that they carry, and the check. Pages stand in the check as
 * their ids, everything else as it is, so that it covers the whole stretch of the stream. Promises the shortest
 * records: a run of pages in order costs two or three bytes. Relies on its owner to flush before it is full.
 */
import { hash } from 'node:crypto'
import { zstdFrameOf } from '../pages/zstd-frame.ts'
import { ByteWriter } from '../platform/bytes.ts'
import {
  checkBytes,
  coding,
  forward,
  limits,
  mostBatchStreamBytes,
  pageBytes,
  pageIdBytes,
  record,
} from './grammar.ts'
import { type Message, message } from './messages.ts'

/** A page of a batch that the receiver may yet ask for. */
export interface OpenPage {
  piece: Buffer
  at: number
}

export interface OpenBatch {
  number: number
  /** Of its pages that are not zeros, in order. */
  ids: Buffer
  pages: readonly OpenPage[]
}

/** What the check is computed over: as long as the stretch of the stream, with ids in place of pages. */
export const mostSkeletonBytes = mostBatchStreamBytes - limits.pages * (pageBytes - pageIdBytes)

/** Below this, compressing gains nothing. */
const worthCompressingBytes = 64

export class BatchWriter {
  readonly ids = Buffer.alloc(limits.pages * pageIdBytes)
  readonly #carried = Buffer.alloc(limits.carriedPages * pageBytes)
  readonly #skeleton = Buffer.allocUnsafe(mostSkeletonBytes)
  #records = new ByteWriter(4096)
  #pages: OpenPage[] = []
  #skeletonBytes = 0
  #carriedPages = 0
  #zeroPages = 0
  #namedPages = 0
  /** The run that goes on: its record, its length, and what is said of each page. */
  #run: { of: number; count: number; refs: number[] } = { of: record.bytes, count: 0, refs: [] }
  /** Where the next page is without a word about it. */
  #nextPage = 0
  #nextRef = 0

  get isEmpty(): boolean {
    return this.#skeletonBytes === 0
  }

  /** Where the id of the next page goes. */
  get idAt(): number {
    return this.#pages.length * pageIdBytes
  }

  /** How long the stretch of the stream is. */
  get streamBytes(): number {
    return this.#skeletonBytes + this.#pages.length * (pageBytes - pageIdBytes)
  }

  /** Whether one more page, whatever it is, would be too much. @param carriedPages how many contents it may carry */
  isFull(carriedPages: number): boolean {
    return (
      this.#pages.length === limits.pages ||
      this.#carriedPages >= carriedPages ||
      this.#zeroPages === limits.zeroPages ||
      this.#namedPages === limits.namedPages ||
      this.#records.length + this.#run.refs.length * 8 > limits.recordBytes / 2
    )
  }

  /** Bytes of the stream as they are; at most 64 KiB at once. */
  bytes(piece: Buffer, from: number, to: number): void {
    this.#endRun()
    this.#records.u8(record.bytes)
    this.#records.uv(to - from)
    this.#records.bytes(piece.subarray(from, to))
    this.#remember(piece, from, to)
  }

  zero(block: number, page: number, named: boolean, piece: Buffer, from: number, to: number): void {
    this.#goTo(block, page, named)
    this.#inRun(record.zero)
    this.#zeroPages += 1
    this.#remember(piece, from, to)
  }

  /** A page whose id has been put at `idAt`; its piece must stay as it is until the batch is done. */
  page(block: number, page: number, named: boolean, piece: Buffer, from: number, at: number): void {
    this.#goTo(block, page, named)
    this.#remember(piece, from, at)
    const { idAt } = this
    this.#skeletonBytes += this.ids.copy(this.#skeleton, this.#skeletonBytes, idAt, idAt + pageIdBytes)
    this.#pages.push({ piece, at })
  }

  /** What the page that was put last is. */
  same(): void {
    this.#inRun(record.same)
  }

  held(ref: number): void {
    this.#inRun(record.held)
    this.#run.refs.push(ref)
  }

  /** @param content 4096 bytes of `bytes`: of the page, or of its difference to what the receiver has there */
  carried(of: typeof record.fresh | typeof record.delta, bytes: Uint8Array, at: number): void {
    this.#inRun(of)
    this.#carried.set(bytes.subarray(at, at + pageBytes), this.#carriedPages * pageBytes)
    this.#carriedPages += 1
  }

  /** @param level of zstd. The writer is empty afterwards. */
  finish(number: number, level: number): { message: Message; open: OpenBatch } {
    this.#endRun()
    const records = this.#records.finish()
    const body = Buffer.concat([records, this.#carried.subarray(0, this.#carriedPages * pageBytes)])
    const packed = pack(body, level)
    const head = new ByteWriter(64)
    head.uv(number)
    head.uv(records.length)
    head.uv(this.#carriedPages)
    head.bytes(checkOf(this.#skeleton.subarray(0, this.#skeletonBytes)))
    head.u8(packed === null ? coding.raw : coding.zstd)
    const ids = Buffer.from(this.ids.subarray(0, this.idAt))
    const open = { number, ids, pages: this.#pages }
    this.#reset()
    return { message: message(forward.batch, head.finish(), packed ?? body), open }
  }

  #reset(): void {
    this.#records = new ByteWriter(4096)
    this.#pages = []
    this.#skeletonBytes = 0
    this.#carriedPages = 0
    this.#zeroPages = 0
    this.#namedPages = 0
    this.#nextPage = 0
    this.#nextRef = 0
  }

  #remember(piece: Buffer, from: number, to: number): void {
    this.#skeletonBytes += piece.copy(this.#skeleton, this.#skeletonBytes, from, to)
  }

  #goTo(block: number, page: number, named: boolean): void {
    if (named) {
      this.#endRun()
      this.#records.u8(record.name)
      this.#records.uv(block)
      this.#namedPages += 1
      this.#nextPage = 0
    }
    if (page !== this.#nextPage) {
      this.#endRun()
      this.#records.u8(record.seek)
      this.#records.sv(page - this.#nextPage)
    }
    this.#nextPage = page + 1
  }

  #inRun(of: number): void {
    if (this.#run.of !== of) this.#endRun()
    this.#run.of = of
    this.#run.count += 1
  }

  #endRun(): void {
    const { of, count, refs } = this.#run
    if (count === 0) return
    this.#records.u8(of)
    this.#records.uv(count)
    for (const ref of refs) {
      this.#records.sv(ref - this.#nextRef)
      this.#nextRef = ref + 1
    }
    this.#run.count = 0
    this.#run.refs = []
  }
}

/** @returns null where it does not get smaller */
function pack(body: Buffer, level: number): Buffer | null {
  if (body.length < worthCompressingBytes) return null
  const packed = zstdFrameOf(body, level)
  return packed.length < body.length ? packed : null
}

export function checkOf(skeleton: Buffer): Buffer {
  const check = hash('sha256', skeleton, 'buffer')
  if (check.length !== checkBytes) throw new RangeError('SHA-256 of another length')
  return check
}

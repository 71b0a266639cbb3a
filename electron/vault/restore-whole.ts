/**
 * All of a checkpoint's memory, from the start of each block to its end, read ahead in parallel. Promises an error instead
 * of an end for a block that is not what its hash says. Relies on whoever takes a run being done with it when it asks
 * for the next.
 */
import { fail } from '../../shared/errors/index.ts'
import { PageHasher, pageBytes, pageIdBytes } from '../pages/page-id.ts'
import type { Clock } from '../platform/clock.ts'
import type { PageRun } from '../qemu/stream/builder.ts'
import { RegionHasher } from './codec/region-hash.ts'
import { inOrder } from './parallel.ts'
import type { RegionReader } from './region-reader.ts'

export interface MemoryBlock {
  /** Its number in the manifest. */
  region: number
  reader: RegionReader
  idsSha256: string | null
  /** Of its pages, those that are in the checkpoint. */
  dataPages: number
}

export interface WholeOptions {
  /** For checking memory against its hash; null behind a link, where there are no page ids. */
  pageIdKey: Buffer | null
  clock: Pick<Clock, 'monotonicMs'>
  onProgress: (doneBytes: number, totalBytes: number) => void
}

const piecePages = 256
const piecesAhead = 12
const tellEveryMs = 250

/** @throws vault.damaged, what reading throws */
export async function* wholeMemory(
  blocks: readonly MemoryBlock[],
  { pageIdKey, clock, onProgress }: WholeOptions,
): AsyncGenerator<PageRun> {
  const totalBytes = dataBytesOf(blocks)
  let doneBytes = 0
  let toldMs = Number.NEGATIVE_INFINITY
  for (const [block, { reader, idsSha256 }] of blocks.entries()) {
    const check = new RegionCheck(pageIdKey, idsSha256)
    const pieces = inOrder(piecesOf(reader), piecesAhead, (piece) => readPiece(reader, piece))
    for await (const piece of pieces) {
      check.take(piece)
      if (piece.kind === 'data') doneBytes += piece.count * pageBytes
      if (clock.monotonicMs() - toldMs >= tellEveryMs) {
        toldMs = clock.monotonicMs()
        onProgress(doneBytes, totalBytes)
      }
      const { page, count } = piece
      if (piece.kind === 'zero') yield { kind: 'zero', block, page, count }
      else if (piece.kind === 'data') yield { kind: 'bytes', block, page, bytes: piece.bytes }
    }
    check.finish()
  }
  onProgress(totalBytes, totalBytes)
}

/** What of them is in the checkpoint. */
export function dataBytesOf(blocks: readonly MemoryBlock[]): number {
  return blocks.reduce((sum, { dataPages }) => sum + dataPages, 0) * pageBytes
}

type Piece =
  | { kind: 'zero' | 'hole'; page: number; count: number }
  | { kind: 'data'; page: number; count: number; bytes: Buffer }

function* piecesOf(reader: RegionReader): Generator<{ kind: Piece['kind']; page: number; count: number }> {
  for (const { kind, page, count } of reader.spans(0, reader.pages)) {
    const longest = kind === 'data' ? piecePages : count
    for (let done = 0; done < count; done += longest) {
      yield { kind, page: page + done, count: Math.min(longest, count - done) }
    }
  }
}

async function readPiece(
  reader: RegionReader,
  { kind, page, count }: { kind: Piece['kind']; page: number; count: number },
): Promise<Piece> {
  if (kind !== 'data') return { kind, page, count }
  return { kind, page, count, bytes: await reader.read(page, count, true) }
}

/** Compares a region with its hash while it goes by. */
class RegionCheck {
  readonly #pages: PageHasher | null
  readonly #expected: string | null
  readonly #hasher = new RegionHasher()
  readonly #ids = Buffer.alloc(piecePages * pageIdBytes)

  constructor(pageIdKey: Buffer | null, expected: string | null) {
    this.#pages = pageIdKey === null || expected === null ? null : new PageHasher(pageIdKey)
    this.#expected = expected
  }

  take(piece: Piece): void {
    if (this.#pages === null) return
    if (piece.kind === 'zero') this.#hasher.zeros(piece.count)
    else if (piece.kind === 'hole') this.#hasher.holes(piece.count)
    else if (piece.kind === 'data') {
      const count = this.#pages.idsOf(piece.bytes, this.#ids)
      for (let page = 0; page < count; page += 1) this.#hasher.page(this.#ids, page * pageIdBytes)
    }
  }

  /** @throws vault.damaged */
  finish(): void {
    if (this.#pages === null || this.#hasher.finish() === this.#expected) return
    throw fail('vault.damaged', {}, { detail: 'memory is not what its hash says' })
  }
}

/** One region of a checkpoint that is being read: what it consists of, and its pages, in any order, many at once. */
import { inOrder } from './parallel.ts'
import type { CheckpointReader } from './reader.ts'

/** Neighbouring pages of one kind. */
export interface PageSpan {
  kind: 'zero' | 'hole' | 'data'
  page: number
  count: number
}

const piecePages = 256
const piecesAtOnce = 4

export class RegionReader {
  readonly pages: number
  readonly #reader: CheckpointReader
  readonly #region: number

  /** @param region its number in the manifest */
  constructor(reader: CheckpointReader, region: number) {
    this.pages = reader.manifest.head.regions[region]?.pages ?? 0
    this.#reader = reader
    this.#region = region
  }

  /** What a range consists of, in order. What is beyond the region is left out. */
  *spans(page: number, count: number): Generator<PageSpan> {
    const end = Math.min(page + count, this.pages)
    if (page >= end) return
    for (const { kind, from, count: pages } of this.#reader.extents(this.#region, page, end - page)) {
      yield { kind, page: from, count: pages }
    }
  }

  /**
   * All of its pages in order, in pieces, for somebody who waits for them: some pieces are asked for at once, so that a
   * link with a long round trip is used. @throws as `read`
   */
  inOrder(): AsyncGenerator<Buffer> {
    return inOrder(this.#firstPages(), piecesAtOnce, async (page) =>
      this.read(page, Math.min(piecePages, this.pages - page), false),
    )
  }

  *#firstPages(): Generator<number> {
    for (let page = 0; page < this.pages; page += piecePages) yield page
  }

  /**
   * Whole pages, one after the other; zeros where there are none. @param ahead nobody waits for them yet
   * @throws what `CheckpointReader.read` throws; RangeError beyond the region
   */
  async read(page: number, count: number, ahead: boolean): Promise<Buffer> {
    if (page + count > this.pages) throw new RangeError(`pages ${page} + ${count} of ${this.pages}`)
    return await this.#reader.read(this.#region, page, count, { urgent: !ahead })
  }
}

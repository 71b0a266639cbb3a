/**
 * Content that never changes, on its way into the vault: the first time it is read and what it consists of is written
 * down; later only those of its pages are read that the vault has not. Promises the same table of pages either way.
 * Relies on being given a content from its start to its end, and on `end` or `discard` being called, once, last.
 */
import { pageBytes } from '../pages/page-id.ts'
import type { CaptureFeed } from './capture-feed.ts'
import { type ContentIds, chunkPages, type FoundIds, type MadeIds, zeroPageId } from './content-ids.ts'
import type { RegionTable } from './region-table.ts'

/** Reads a part of the content; what it returns is good until it is called again. */
export type ReadContent = (offset: number, lengthBytes: number) => Promise<Buffer>

/** The most that is read at once: QEMU may be waiting while it is packed. */
export const contentPieceBytes = 256 * 1024

export class KnownContent {
  readonly #feed: CaptureFeed
  readonly #table: RegionTable
  readonly #found: FoundIds | null
  readonly #made: MadeIds | null
  #misses = 0

  private constructor(feed: CaptureFeed, table: RegionTable, found: FoundIds | null, made: MadeIds | null) {
    this.#feed = feed
    this.#table = table
    this.#found = found
    this.#made = made
  }

  /** @param name of the content: see `ContentIds` @param table of the region that it lies in */
  static async open(
    contents: ContentIds,
    name: string,
    feed: CaptureFeed,
    table: RegionTable,
  ): Promise<KnownContent> {
    const found = await contents.find(name)
    return new KnownContent(feed, table, found, found === null ? await contents.make(name) : null)
  }

  /** Whether its pages are known, so that it need not be read before it is taken. */
  get isKnown(): boolean {
    return this.#found !== null
  }

  /** Takes a part that was read. @throws what the sink threw */
  async add(firstPage: number, bytes: Buffer): Promise<void> {
    this.#table.recorder = this.#made
    try {
      await this.#feed.addRun(this.#table, firstPage, bytes)
    } finally {
      this.#table.recorder = null
    }
  }

  /**
   * Takes a part of the content, reading only what has to be read. @param offset from the start of a page
   * @throws what `read` and the sink threw
   */
  async take(offset: number, lengthBytes: number, read: ReadContent): Promise<void> {
    const end = Math.ceil((offset + lengthBytes) / pageBytes)
    for (let page = offset / pageBytes; page < end; ) {
      const loading = this.#found?.reach(page)
      if (loading !== undefined) await loading
      if (this.#takeKnown(page)) {
        page += 1
        continue
      }
      const count = this.#gapFrom(page, end)
      const from = page * pageBytes
      await this.add(page, await read(from, Math.min(count * pageBytes, offset + lengthBytes - from)))
      page += count
    }
  }

  /** All of it was taken. */
  async end(): Promise<void> {
    await this.#made?.commit()
    if (this.#misses > 0) await this.#found?.forget()
    await this.#found?.close()
  }

  async discard(): Promise<void> {
    await this.#made?.discard()
    await this.#found?.close()
  }

  #takeKnown(page: number): boolean {
    const id = this.#found?.idOf(page) ?? null
    if (id === null) {
      this.#misses += 1
      return false
    }
    if (id !== zeroPageId) return this.#feed.addKnown(this.#table, page, id)
    this.#table.zeros(page, 1)
    return true
  }

  /** How many pages have to be read together from one on that has to be. */
  #gapFrom(page: number, end: number): number {
    const most = Math.min(end - page, contentPieceBytes / pageBytes, chunkPages - (page % chunkPages))
    let count = 1
    while (count < most && !this.#isInVault(page + count)) count += 1
    return count
  }

  #isInVault(page: number): boolean {
    const id = this.#found?.idOf(page) ?? null
    return id === zeroPageId || (id !== null && this.#feed.knows(id))
  }
}

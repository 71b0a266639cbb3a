/**
 * A guest's memory on its way from QEMU's stream to the packer. Promises that the last version of each page counts,
 * whatever the stream repeats; that reading goes before packing, for QEMU may be holding the guest until it is rid of a
 * page; and memory bounded by making QEMU wait. Relies on `end` being called, last, or the signal firing.
 *
 * Where most of a guest is known already, pages that are new are likely to change again before the stream ends: some
 * are held back, as many as were known and 32 MiB at most, and packed in the end. Everything else is packed as it comes.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { fail } from '../../shared/errors/index.ts'
import { pageBytes, pageIdBytes } from '../pages/page-id.ts'
import type { RamBlock, StreamHead, StreamTail } from '../qemu/stream/grammar.ts'
import type { StreamSink } from '../qemu/stream/parser.ts'
import type { CaptureFeed } from './capture-feed.ts'
import { HeldPages } from './held-pages.ts'
import { RegionTable } from './region-table.ts'

export interface CapturedMemory {
  head: StreamHead
  tail: StreamTail
  /** One for each block of the head, in its order. */
  tables: readonly RegionTable[]
}

export interface MemorySinkOptions {
  feed: CaptureFeed
  /** Of memory, so far: each page once for each time that it came. */
  onBytes: (bytes: number) => void
  signal: AbortSignal
}

/** 32 MiB. */
const mostHeldBack = 8_192
/** That are not held back and wait all the same: QEMU has something to say. */
const mostWaiting = 2_048
/** So many are packed all the same. */
const muchWaiting = 1_024
/** Between two looks at what QEMU has to say: about a millisecond. */
const turnPages = 64

export class MemorySink implements StreamSink {
  readonly #options: MemorySinkOptions
  #tables: RegionTable[] = []
  readonly #held = new HeldPages()
  #head: StreamHead | null = null
  #tail: StreamTail | null = null
  #bytes = 0
  readonly #id = Buffer.alloc(pageIdBytes)
  #packing: Promise<void> | null = null
  #failure: unknown = null
  /** Of the stream, while there is no room for another page. */
  #room: PromiseWithResolvers<void> | null = null

  constructor(options: MemorySinkOptions) {
    this.#options = options
  }

  head(head: StreamHead): undefined {
    this.#head = head
    this.#tables = head.blocks.map(({ pages }: RamBlock) => new RegionTable(pages, 'any'))
  }

  page(block: number, page: number, bytes: Buffer): Promise<void> | undefined {
    this.#read()
    if (this.#options.feed.recognise(this.#table(block), page, bytes, this.#id)) {
      this.#held.drop(block, page)
      return undefined
    }
    this.#held.hold(block, page, bytes, this.#id)
    if (this.#waiting > 0) void this.#pack()
    if (this.#waiting < mostWaiting) return undefined
    this.#room ??= Promise.withResolvers()
    return this.#room.promise
  }

  zeroPage(block: number, page: number): undefined {
    this.#read()
    this.#held.drop(block, page)
    this.#table(block).zeros(page, 1)
  }

  async end(tail: StreamTail): Promise<void> {
    this.#tail = tail
    while (this.#failure === null && this.#held.size > 0) await this.#pack()
    this.#assertSound()
  }

  /** @throws qemu.bad_stream when it has not ended */
  result(): CapturedMemory {
    if (this.#head === null || this.#tail === null) throw fail('qemu.bad_stream', {}, { detail: 'no end' })
    return { head: this.#head, tail: this.#tail, tables: this.#tables }
  }

  #read(): void {
    this.#assertSound()
    this.#bytes += pageBytes
    this.#options.onBytes(this.#bytes)
  }

  /** Pages that are to be packed now. */
  get #waiting(): number {
    const heldBack = this.#tail === null ? Math.min(mostHeldBack, this.#options.feed.knownPages) : 0
    return Math.max(0, this.#held.size - heldBack)
  }

  #pack(): Promise<void> {
    this.#packing ??= this.#packAll()
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#packing = null
      })
    return this.#packing
  }

  async #packAll(): Promise<void> {
    let readBytes = -1
    while (this.#waiting > 0) {
      const isReading = this.#tail === null && this.#bytes !== readBytes
      readBytes = this.#bytes
      if (!isReading || this.#waiting >= muchWaiting) await this.#packSome()
      this.#makeRoom()
      await turn()
    }
  }

  async #packSome(): Promise<void> {
    const { feed, signal } = this.#options
    for (let count = 0; count < turnPages && this.#waiting > 0; count += 1) {
      while (feed.busy !== null) await feed.busy
      signal.throwIfAborted()
      // Taken and kept in one go: another version of the page that comes in between would be forgotten.
      const held = this.#held.take()
      if (held === null) return
      feed.keep(this.#table(held.block), held)
    }
  }

  #makeRoom(): void {
    // While the packer was waited for, others may have come.
    if (this.#waiting >= mostWaiting) return
    this.#room?.resolve()
    this.#room = null
  }

  #fail(error: unknown): void {
    this.#failure ??= error
    this.#room?.reject(this.#failure)
    this.#room = null
  }

  #assertSound(): void {
    if (this.#failure !== null) throw this.#failure
  }

  #table(block: number): RegionTable {
    const table = this.#tables[block]
    if (table === undefined) throw new RangeError(`no block ${block}`)
    return table
  }
}

/**
 * Takes a guest's memory from a unix socket to which QEMU connects once: of a background snapshot, whose pages come once
 * and go straight on, or of a pre-copy, whose pages are gathered first. Promises that nobody can connect a second
 * time, that the socket file is gone afterwards, and an error for a stream that was not whole. Relies on a private
 * folder: whoever can connect could bring a guest.
 */
import { rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { fail } from '../../shared/errors/index.ts'
import { fsFailure } from '../platform/atomic-file.ts'
import type { RamBlock, StreamHead, StreamTail } from '../qemu/stream/grammar.ts'
import { parseFrom, type StreamSink } from '../qemu/stream/parser.ts'
import type { CaptureFeed } from './capture-feed.ts'
import { LatestPages } from './latest-pages.ts'
import { RegionTable } from './region-table.ts'

export interface CapturedMemory {
  head: StreamHead
  tail: StreamTail
  /** One for each block of the head, in its order. */
  tables: readonly RegionTable[]
}

export interface MemoryCaptureOptions {
  socketPath: string
  feed: CaptureFeed
  /** A page may come several times: then they are gathered in a file in this folder, which nobody else sees. */
  scratchFolder: string | null
  onFirstPart: () => void
  /** Of memory, so far: each page once for each time that it came. */
  onBytes: (bytes: number) => void
  signal: AbortSignal
}

export class MemoryCapture {
  readonly #options: MemoryCaptureOptions
  readonly #server: Server
  readonly #done = Promise.withResolvers<CapturedMemory>()

  private constructor(options: MemoryCaptureOptions) {
    this.#options = options
    this.#server = createServer((socket) => this.#take(socket))
    this.#server.maxConnections = 1
    this.#done.promise.catch(() => {})
  }

  /** @returns once QEMU may connect @throws host.no_permission, host.disk_full, host.cancelled */
  static async listen(options: MemoryCaptureOptions): Promise<MemoryCapture> {
    const capture = new MemoryCapture(options)
    const { socketPath, signal } = options
    try {
      await rm(socketPath, { force: true })
      await new Promise<void>((resolve, reject) => {
        capture.#server.once('error', reject)
        capture.#server.listen(socketPath, resolve)
      })
    } catch (error) {
      throw fsFailure(error, socketPath)
    }
    const onAbort = (): void => {
      capture.#server.close()
      capture.#done.reject(fail('host.cancelled'))
    }
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    capture.#done.promise.then(
      () => signal.removeEventListener('abort', onAbort),
      () => {},
    )
    return capture
  }

  /** Resolves when all of it has been read and every page has its place. @throws qemu.bad_stream, … */
  get done(): Promise<CapturedMemory> {
    return this.#done.promise
  }

  #take(socket: Socket): void {
    this.#server.close()
    const { signal, onFirstPart, scratchFolder } = this.#options
    const sink = scratchFolder === null ? new OnceSink(this.#options) : new AgainSink(this.#options)
    parseFrom(socket, sink, { onFirstPart, signal })
      .then(() => this.#done.resolve(sink.result()), this.#done.reject)
      .finally(() => sink.close())
  }
}

/** What both kinds of stream have in common. */
abstract class Sink implements StreamSink {
  protected readonly options: MemoryCaptureOptions
  protected tables: RegionTable[] = []
  #head: StreamHead | null = null
  #tail: StreamTail | null = null

  constructor(options: MemoryCaptureOptions) {
    this.options = options
  }

  head(head: StreamHead): Promise<void> | undefined {
    this.#head = head
    this.tables = head.blocks.map(({ pages }) => new RegionTable(pages, 'any'))
    return this.begin(head.blocks)
  }

  async end(tail: StreamTail): Promise<void> {
    this.#tail = tail
    await this.finish()
  }

  result(): CapturedMemory {
    if (this.#head === null || this.#tail === null) throw fail('qemu.bad_stream', {}, { detail: 'no end' })
    return { head: this.#head, tail: this.#tail, tables: this.tables }
  }

  protected table(block: number): RegionTable {
    const table = this.tables[block]
    if (table === undefined) throw new RangeError(`no block ${block}`)
    return table
  }

  abstract page(block: number, page: number, bytes: Buffer): Promise<void> | undefined
  abstract zeroPage(block: number, page: number): Promise<void> | undefined
  abstract close(): void
  protected abstract begin(blocks: readonly RamBlock[]): Promise<void> | undefined
  protected abstract finish(): Promise<void>
}

const pageBytes = 4096

class OnceSink extends Sink {
  #bytes = 0

  page(block: number, page: number, bytes: Buffer): Promise<void> | undefined {
    this.#bytes += pageBytes
    this.options.onBytes(this.#bytes)
    return this.options.feed.add(this.table(block), page, bytes)
  }

  zeroPage(block: number, page: number): undefined {
    this.#bytes += pageBytes
    this.options.onBytes(this.#bytes)
    this.table(block).zeros(page, 1)
  }

  close(): void {}

  protected begin(): undefined {}

  protected async finish(): Promise<void> {}
}

class AgainSink extends Sink {
  #pages: LatestPages | null = null
  #bytes = 0

  protected begin(blocks: readonly RamBlock[]): undefined {
    this.#pages = new LatestPages(this.options.scratchFolder ?? '', blocks)
  }

  page(block: number, page: number, bytes: Buffer): undefined {
    this.#told()
    this.#pages?.set(block, page, bytes)
  }

  zeroPage(block: number, page: number): undefined {
    this.#told()
    this.#pages?.setZero(block, page)
  }

  #told(): void {
    this.#bytes += pageBytes
    this.options.onBytes(this.#bytes)
  }

  protected async finish(): Promise<void> {
    const pages = this.#pages
    if (pages === null) return
    for (const run of pages.runs()) {
      this.options.signal.throwIfAborted()
      if (run.kind === 'zero') this.table(run.block).zeros(run.page, run.count)
      else await this.options.feed.addRun(this.table(run.block), run.page, run.bytes)
    }
  }

  close(): void {
    this.#pages?.close()
  }
}

/**
 * Plays the source of a post-copy migration: a guest that was kept runs at once in a QEMU that has none of its memory yet,
 * and gets the pages it touches when it touches them, and all others behind them.
 *
 * Promises: a page that the guest waits for goes before all others; no page is sent twice, on which QEMU would
 * fail; what is not there yet takes at most `pagesInFlight` pages of memory; a source of pages that is slow, or
 * silent for hours, holds up only those pages. Relies on QEMU at the other end with the capability
 * postcopy-ram, waiting in `migrate-incoming`, and on a `PageProvider` that does not give up: from the moment at
 * which the guest runs, its memory is here and nowhere else, so a page that cannot be had is the end of the
 * guest. That is why errors of the network are tried again by the provider, for as long as it takes, and why
 * this ends early only by `stop`, by a provider that fails nevertheless, or when QEMU goes.
 */
import type { Duplex } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { fail } from '../../../shared/errors/index.ts'
import { type Clock, systemClock } from '../../platform/clock.ts'
import { type PageContent, pageBytes, type StreamHead, type StreamTail, sectionType } from './grammar.ts'
import { PageSet } from './page-set.ts'
import { postcopyPreamble } from './postcopy-preamble.ts'
import { closingBytes, openingBytes, putClosing, putOpening, putPage } from './ram-section.ts'
import { type ReturnMessage, ReturnPath } from './return-path.ts'

/** Neighbouring pages of one block. */
export interface PageSpan {
  /** Its index in `StreamHead.blocks`. */
  block: number
  page: number
  count: number
}

/**
 * Where the pages come from. Both may take as long as they like, and are asked for many at once; a rejection
 * is the end of the guest. Contents must stay as they are until they have been sent.
 */
export interface PageProvider {
  /** A page that the guest waits for. */
  page(block: number, page: number): Promise<PageContent>
  /** `count` pages, in order, for which nobody waits yet. */
  read(block: number, page: number, count: number): Promise<readonly PageContent[]>
}

export interface PostcopyOptions {
  head: StreamHead
  tail: StreamTail
  provider: PageProvider
  /**
   * Pages that are not there and never sent, as memory that is not plugged in: millions, of which nobody need ask.
   * What the provider calls absent besides is as good.
   */
  absent?: Iterable<PageSpan>
  /**
   * `all`: pages are sent behind the guest's back, those of `first` first, until it has every one. `on-request`:
   * only what it asks for, until `stop`; to find out what it asks for.
   */
  push: 'all' | 'on-request'
  /** What is likely to be touched first, in that order: what was recorded. A hint: what does not fit is passed over. */
  first?: Iterable<PageSpan>
  /**
   * How many pages around one that the guest asked for are sent behind it, aligned; 1 for none. Default 16: what
   * a guest touches next is mostly beside it, and a fetch costs a round trip.
   */
  neighbourPages?: number
  /**
   * How many pages, besides those asked for and those around them, the provider may be fetching at once. Default 1024;
   * no more than 64 as long as the guest asks for pages that nobody expected, which would wait behind the others.
   */
  pagesInFlight?: number
  /** Told of each page that is asked for, in order, once each, for the first `forMs` milliseconds. */
  record?: { forMs: number; onPage: (block: number, page: number) => void }
  clock?: Clock
}

export interface PostcopyProgress {
  /** Sent, or not plugged in and not to be sent. */
  donePages: number
  totalPages: number
  /** Of `donePages`, those that were sent with their contents: what is nothing but zeros is not among them. */
  dataPages: number
  /** Of `donePages`, those that the guest asked for. */
  requestedPages: number
}

/** One read; also what is sent as one section. */
const batchPages = 64
/** A guest that has asked for nothing for so long is not held up by what is sent behind its back. */
const calmMs = 500

export class PostcopySource {
  readonly #socket: Duplex
  readonly #options: PostcopyOptions
  readonly #clock: Clock
  readonly #blockOf: ReadonlyMap<string, number>
  readonly #totalPages: number
  readonly #returnPath = new ReturnPath()
  readonly #outcome = Promise.withResolvers<void>()
  /** Handed to the socket. */
  readonly #sent: PageSet
  /** Known not to be there. */
  readonly #absent: PageSet
  #donePages = 0
  #dataPages = 0
  /** Sent, absent, or being read. */
  readonly #claimed: PageSet
  /** Asked for and not served yet, as `block:page`. */
  readonly #urgent = new Set<string>()
  #requestedPages = 0
  #requestedBlock = -1
  /** When the guest last asked for a page that was not on its way. */
  #surprisedMs = Number.NEGATIVE_INFINITY
  #readingPages = 0
  #startedMs = 0
  #state: 'new' | 'running' | 'all-sent' | 'over' = 'new'
  #wakers: (() => void)[] = []

  /** @param socket connected to QEMU; from here on it belongs to this */
  constructor(socket: Duplex, options: PostcopyOptions) {
    const { blocks } = options.head
    this.#socket = socket
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#blockOf = new Map(blocks.map(({ name }, index) => [name, index]))
    this.#totalPages = blocks.reduce((sum, { pages }) => sum + pages, 0)
    this.#sent = new PageSet(blocks)
    this.#absent = new PageSet(blocks)
    this.#claimed = new PageSet(blocks)
    for (const { block, page, count } of options.absent ?? []) {
      this.#claimed.addRange(block, page, count)
      this.#donePages += this.#absent.addRange(block, page, count)
    }
    // It may be stopped before anybody runs it.
    this.#outcome.promise.catch(() => {})
  }

  get progress(): PostcopyProgress {
    return {
      donePages: this.#donePages,
      totalPages: this.#totalPages,
      dataPages: this.#dataPages,
      requestedPages: this.#requestedPages,
    }
  }

  /**
   * Sends the guest. @returns once QEMU says that it has all of it; the socket is closed then.
   * @throws qemu.load_failed when QEMU refuses or goes; what `stop` was given; what the provider threw. In each
   * case the guest cannot go on, and its QEMU has to be killed.
   */
  async run(): Promise<void> {
    if (this.#state === 'new') this.#start()
    await this.#outcome.promise
  }

  #start(): void {
    this.#state = 'running'
    this.#startedMs = this.#clock.monotonicMs()
    const socket = this.#socket
    socket.on('data', (piece: Buffer) => this.#hear(piece))
    socket.on('drain', () => this.#wake())
    socket.on('error', (error) => this.#gone(error))
    socket.on('end', () => this.#gone(null))
    socket.on('close', () => this.#gone(null))
    if (socket.destroyed) {
      this.#gone(null)
      return
    }
    socket.write(postcopyPreamble(this.#options.head, this.#options.tail))
    if (this.#options.push === 'all') void this.#pushAll().catch((error) => this.stop(error))
  }

  /** Ends it: the guest dies. Nothing happens when it is over. */
  stop(reason: unknown = fail('host.cancelled')): void {
    this.#end(() => this.#outcome.reject(reason))
  }

  #end(settle: () => void): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    this.#socket.destroy()
    settle()
    this.#wake()
  }

  /** A method, so that the compiler does not take the state for unchanged over an await. */
  #isOver(): boolean {
    return this.#state === 'over'
  }

  #gone(error: Error | null): void {
    this.stop(
      fail('qemu.load_failed', {}, { detail: error?.message ?? 'QEMU closed the connection', cause: error }),
    )
  }

  // ---- what QEMU asks for

  #hear(piece: Buffer): void {
    try {
      for (const message of this.#returnPath.push(piece)) {
        if (this.#isOver()) return
        if (message.kind === 'page') this.#onRequest(message)
        else this.#onShut(message.value)
      }
    } catch (error) {
      this.stop(error)
    }
  }

  #onShut(value: number): void {
    if (value === 0 && this.#state === 'all-sent') {
      this.#end(() => this.#outcome.resolve())
      return
    }
    const detail = value === 0 ? 'QEMU ended before it had everything' : `QEMU ended with ${value}`
    this.stop(fail('qemu.load_failed', {}, { detail }))
  }

  #onRequest({ name, page }: ReturnMessage & { kind: 'page' }): void {
    if (name !== null) this.#requestedBlock = this.#blockOf.get(name) ?? -1
    const block = this.#requestedBlock
    if (page < (this.#options.head.blocks[block]?.pages ?? 0)) this.#onNeeded(block, page)
    else
      throw fail('qemu.load_failed', {}, { detail: `QEMU asked for page ${page} of block ${name ?? block}` })
  }

  #onNeeded(block: number, page: number): void {
    const key = `${block}:${page}`
    // It crossed the request on its way, or is asked for again.
    if (this.#sent.has(block, page) || this.#urgent.has(key)) return
    this.#urgent.add(key)
    this.#requestedPages += 1
    if (!this.#claimed.has(block, page)) this.#surprisedMs = this.#clock.monotonicMs()
    const { record } = this.#options
    if (record !== undefined && this.#clock.monotonicMs() - this.#startedMs <= record.forMs)
      record.onPage(block, page)
    void this.#serve(block, page)
      .catch((error) => this.stop(error))
      .finally(() => {
        this.#urgent.delete(key)
        this.#wake()
      })
  }

  async #serve(block: number, page: number): Promise<void> {
    this.#claimed.add(block, page)
    const asked = this.#options.provider.page(block, page)
    // Behind it, but not only when it has come: the round trip is theirs as well.
    const around = Promise.all(this.#around(block, page).map((span) => this.#fetch(span)))
    around.catch(() => {})
    const content = await asked
    // Memory that is not plugged in is nothing but zeros to who reads it.
    this.#send(block, page, [content === 'absent' ? 'zero' : content])
    await around
  }

  /** What comes after a page, then what comes before it. */
  #around(block: number, page: number): PageSpan[] {
    const size = this.#options.neighbourPages ?? 16
    const from = page - (page % size)
    const after = { block, page: page + 1, count: from + size - page - 1 }
    return [...this.#claim(after), ...this.#claim({ block, page: from, count: page - from })]
  }

  // ---- what is sent without being asked for

  async #pushAll(): Promise<void> {
    for (const wide of this.#order()) {
      for (const span of this.#claim(wide)) {
        await this.#until(() => this.#readingPages === 0 || this.#readingPages + span.count <= this.#most())
        if (this.#isOver()) return
        this.#readingPages += span.count
        void this.#fetch(span)
          .catch((error) => this.stop(error))
          .finally(() => {
            this.#readingPages -= span.count
            this.#wake()
          })
        // A provider that answers at once, and a socket that takes all, would never let a request in.
        await turn()
      }
    }
    await this.#until(() => this.#readingPages === 0 && this.#urgent.size === 0)
    if (this.#isOver()) return
    this.#sendEnd()
  }

  /** Of pages that nobody asked for, at once. */
  #most(): number {
    const limit = this.#options.pagesInFlight ?? 1024
    const isCalm = this.#clock.monotonicMs() - this.#surprisedMs >= calmMs
    return isCalm ? limit : Math.min(limit, batchPages)
  }

  *#order(): Generator<PageSpan> {
    const { head, first } = this.#options
    yield* first ?? []
    for (const [block, { pages }] of head.blocks.entries()) yield { block, page: 0, count: pages }
  }

  /** What of `wide` nobody has claimed, in spans of at most a batch, each claimed when it is handed out. */
  *#claim({ block, page, count }: PageSpan): Generator<PageSpan> {
    const end = Math.min(page + count, this.#options.head.blocks[block]?.pages ?? 0)
    if (!(Number.isSafeInteger(page) && page >= 0)) return
    for (let at = page; ; ) {
      at = this.#claimed.nextAbsent(block, at, end)
      if (!(at < end)) return
      let length = 0
      while (length < batchPages && at + length < end && this.#claimed.add(block, at + length)) length += 1
      yield { block, page: at, count: length }
      at += length
    }
  }

  async #fetch({ block, page, count }: PageSpan): Promise<void> {
    const contents = await this.#options.provider.read(block, page, count)
    if (contents.length !== count) throw new Error(`${contents.length} pages instead of ${count}`)
    // Whoever was woken together with this one may have filled the socket again.
    do await this.#until(() => !this.#socket.writableNeedDrain)
    while (this.#socket.writableNeedDrain && !this.#isOver())
    this.#send(block, page, contents)
  }

  /** Sends what of `contents` has not been sent meanwhile, as one section. */
  #send(block: number, page: number, contents: readonly PageContent[]): void {
    if (this.#isOver()) return
    const due: { page: number; content: Buffer | 'zero' }[] = []
    for (const [index, content] of contents.entries()) {
      if (this.#isDue(block, page + index, content)) due.push({ page: page + index, content })
    }
    if (due.length > 0) this.#socket.write(encodePart(this.#options.head, block, due))
  }

  /** Notes that a page is sent now, or never. @returns whether it is to be sent */
  #isDue(block: number, page: number, content: PageContent): content is Buffer | 'zero' {
    this.#claimed.add(block, page)
    if (this.#sent.has(block, page)) return false
    const isNew = content === 'absent' ? this.#absent.add(block, page) : !this.#absent.has(block, page)
    if (isNew) this.#donePages += 1
    if (isNew && Buffer.isBuffer(content)) this.#dataPages += 1
    return content !== 'absent' && this.#sent.add(block, page)
  }

  /** END of ram and EOF. */
  #sendEnd(): void {
    const { head } = this.#options
    const bytes = Buffer.alloc(openingBytes + closingBytes + 1)
    const at = putClosing(bytes, putOpening(bytes, 0, sectionType.end, head), head)
    bytes[at] = sectionType.eof
    this.#state = 'all-sent'
    this.#socket.write(bytes)
  }

  // ---- waiting

  /** Waits until `holds`, or until it is over. */
  async #until(holds: () => boolean): Promise<void> {
    while (!this.#isOver() && !holds()) {
      await new Promise<void>((resolve) => {
        this.#wakers.push(resolve)
      })
    }
  }

  #wake(): void {
    const wakers = this.#wakers
    this.#wakers = []
    for (const wake of wakers) wake()
  }
}

/** A whole section of ram with pages of one block. */
function encodePart(
  head: StreamHead,
  block: number,
  pages: readonly { page: number; content: Buffer | 'zero' }[],
): Buffer {
  const name = head.blocks[block]?.name ?? ''
  const contentBytes = pages.reduce((sum, { content }) => sum + 8 + (content === 'zero' ? 1 : pageBytes), 0)
  const bytes = Buffer.allocUnsafe(openingBytes + 1 + name.length + contentBytes + closingBytes)
  let at = putOpening(bytes, 0, sectionType.part, head)
  for (const [index, { page, content }] of pages.entries()) {
    at = putPage(bytes, at, page, content, index === 0 ? name : null)
  }
  putClosing(bytes, at, head)
  return bytes
}

/**
 * Reads a migration stream as it arrives, in pieces of any size, and hands its memory on page by page: of a background
 * snapshot, or of a pre-copy with as many rounds as it took. Promises no copy of a page that lies in one piece,
 * memory bounded by `streamLimits` whatever the stream says, and that a stream which is not whole and right ends
 * in a named error and never in `end`. Relies on its caller to write one piece after the other.
 */
import {
  command,
  pageBytes,
  type RamBlock,
  ramFlag,
  type StreamHead,
  type StreamTail,
  sectionType,
  streamLimits,
} from './grammar.ts'
import { badStream, besideMemory, readHead, unsupportedStream } from './head.ts'
import { GrowingBytes, ItemReader } from './item-reader.ts'
import { parseTail } from './tail.ts'

/**
 * Where a stream goes. Each may return a promise: nothing more is read until it is fulfilled, and a rejection
 * ends the reading with the same error.
 */
export interface StreamSink {
  /** Once, first. */
  head(head: StreamHead): Promise<void> | undefined
  /**
   * One page; pages come in no promised order, and one that comes again replaces what came before.
   * @param block its index in `StreamHead.blocks`
   * @param bytes 4096; the memory is used again once this has returned, or its promise is fulfilled
   */
  page(block: number, page: number, bytes: Buffer): Promise<void> | undefined
  zeroPage(block: number, page: number): Promise<void> | undefined
  /** Once, last: the stream was whole. */
  end(tail: StreamTail): Promise<void> | undefined
}

export interface ParserOptions {
  /** When the first pages arrive: the instant at which QEMU 10 lets the guest of a background snapshot go on. */
  onFirstPart?: () => void
}

type State =
  | 'section'
  | 'ram-id'
  | 'command'
  | 'record'
  | 'name-length'
  | 'name'
  | 'page'
  | 'fill'
  | 'footer'
  | 'tail'

/** The fixed lengths of what each state waits for; a name's is in the stream. */
const itemBytes = {
  section: 1,
  'ram-id': 4,
  command: 4,
  record: 8,
  'name-length': 1,
  page: pageBytes,
  fill: 1,
  footer: 5,
  tail: 1,
} as const

const nothing = Buffer.alloc(0)

export class StreamParser {
  readonly #sink: StreamSink
  readonly #onFirstPart: () => void
  /** What has come of the head, until it is whole. */
  #head: GrowingBytes | null = new GrowingBytes()
  #headWantedBytes = 1
  #blocks: readonly RamBlock[] = []
  readonly #blockOf = new Map<string, number>()
  #ramSectionId = 0
  #partsBegun = 0
  #ended = false

  #state: State = 'section'
  #wantedBytes = 1
  readonly #reader = new ItemReader(pageBytes)
  /** Of the current record. */
  #block = -1
  #page = 0
  #isZero = false

  readonly #tail = new GrowingBytes()
  /** Of the stream, before the piece that is read now. */
  #readBytes = 0
  #busy = false
  #failure: unknown = null

  constructor(sink: StreamSink, options: ParserOptions = {}) {
    this.#sink = sink
    this.#onFirstPart = options.onFirstPart ?? (() => {})
  }

  /**
   * Reads the next piece. Its memory must stay as it is until the promise, if there is one, is fulfilled.
   * @throws (also as a rejection) qemu.bad_stream, stream.unsupported, what the sink threw
   */
  write(chunk: Buffer): Promise<void> | undefined {
    this.#claim()
    try {
      const wait = this.#head === null ? this.#feed(chunk) : this.#gatherHead(chunk, false)
      if (wait !== undefined) return this.#finish(wait)
    } catch (error) {
      this.#failure = error
      throw error
    }
    this.#busy = false
    return undefined
  }

  /** The stream has ended. @returns once the sink has got its end. @throws as `write` */
  async end(): Promise<void> {
    this.#claim()
    await this.#finish(this.#endAll())
    this.#failure = new Error('the stream has been ended')
  }

  /** One piece at a time, and none after an error: what follows it would be read as something else. */
  #claim(): void {
    if (this.#failure !== null) throw this.#failure
    if (this.#busy) throw new Error('a piece was written before the one before it was read')
    this.#busy = true
  }

  async #finish(wait: Promise<void>): Promise<void> {
    try {
      await wait
      this.#busy = false
    } catch (error) {
      this.#failure = error
      throw error
    }
  }

  async #endAll(): Promise<void> {
    if (this.#head !== null) await this.#gatherHead(Buffer.alloc(0), true)
    if (this.#head !== null) throw badStream('the stream ends before its memory', this.#head.length)
    if (this.#state !== 'tail') throw this.#bad('the stream ends in its memory')
    await this.#sink.end(parseTail(this.#tail.view()))
  }

  /** Collects pieces until the head is whole, then reads what came with its last piece. */
  #gatherHead(chunk: Buffer, isLast: boolean): Promise<void> | undefined {
    const collected = this.#head ?? new GrowingBytes()
    collected.append(chunk)
    if (collected.length < this.#headWantedBytes && !isLast) return undefined
    const progress = readHead(collected.view())
    if (progress.kind === 'more') {
      this.#headWantedBytes = progress.wantedBytes
      return undefined
    }
    this.#head = null
    this.#readBytes = progress.bytesRead
    this.#ramSectionId = progress.head.ramSectionId
    this.#blocks = progress.head.blocks
    for (const [index, { name }] of this.#blocks.entries()) this.#blockOf.set(name, index)
    const rest = collected.view().subarray(progress.bytesRead)
    const wait = this.#sink.head(progress.head)
    return wait === undefined ? this.#feed(rest) : wait.then(() => this.#feed(rest))
  }

  #feed(chunk: Buffer): Promise<void> | undefined {
    this.#reader.feed(chunk)
    const wait = this.#run()
    if (wait !== undefined) return this.#goOn(wait)
    this.#usedUp()
    return undefined
  }

  async #goOn(first: Promise<void>): Promise<void> {
    for (let wait: Promise<void> | undefined = first; wait !== undefined; wait = this.#run()) await wait
    this.#usedUp()
  }

  #usedUp(): void {
    this.#readBytes += this.#reader.usedBytes
    this.#reader.feed(nothing)
  }

  /** Handles items until the piece is used up, or one has to be waited for. */
  #run(): Promise<void> | undefined {
    while (this.#reader.take(this.#wantedBytes)) {
      const wait = this.#handle()
      if (wait !== undefined) return wait
    }
    return undefined
  }

  #handle(): Promise<void> | undefined {
    switch (this.#state) {
      case 'page':
        return this.#onPage()
      case 'record':
        this.#onRecord()
        return undefined
      case 'fill':
        return this.#onFill()
      case 'name-length':
        this.#onNameLength()
        return undefined
      case 'name':
        this.#onName()
        return undefined
      case 'footer':
        this.#onFooter()
        return undefined
      case 'section':
        this.#onSection()
        return undefined
      case 'ram-id':
        this.#onRamId()
        return undefined
      case 'command':
        this.#onCommand()
        return undefined
      case 'tail':
        this.#onTail()
        return undefined
    }
  }

  #expect(state: Exclude<State, 'name'>): void {
    this.#state = state
    this.#wantedBytes = itemBytes[state]
  }

  #onRecord(): void {
    const { item, itemAt } = this.#reader
    const low = item.readUInt32BE(itemAt + 4)
    const page = item.readUInt32BE(itemAt) * 2 ** 20 + (low >>> 12)
    const flags = low & 0xfff
    const kind = flags & ~ramFlag.continue
    if (kind === ramFlag.page || kind === ramFlag.zero) {
      this.#page = page
      this.#isZero = kind === ramFlag.zero
      if (kind === flags) this.#expect('name-length')
      else this.#expectContent()
    } else if (flags === ramFlag.eos && page === 0) {
      this.#expect('footer')
    } else if (flags !== ramFlag.multifdFlush || page !== 0) {
      throw this.#badRecord(flags)
    }
  }

  /** Of the page in the current block. */
  #expectContent(): void {
    const pages = this.#blocks[this.#block]?.pages ?? 0
    if (this.#page >= pages) throw this.#bad(`page ${this.#page} of a block of ${pages}`)
    this.#expect(this.#isZero ? 'fill' : 'page')
  }

  #badRecord(flags: number): Error {
    if ((flags & ramFlag.xbzrle) !== 0) return unsupportedStream('pages compressed by XBZRLE')
    if ((flags & ramFlag.compressPage) !== 0) return unsupportedStream('compressed pages')
    if ((flags & ramFlag.hook) !== 0) return unsupportedStream('RDMA')
    return this.#bad(`a record with flags 0x${flags.toString(16)}`)
  }

  #onNameLength(): void {
    const { item, itemAt } = this.#reader
    const length = item.readUInt8(itemAt)
    if (length === 0) throw this.#bad('a block without a name')
    this.#state = 'name'
    this.#wantedBytes = length
  }

  #onName(): void {
    const { item, itemAt } = this.#reader
    const name = item.toString('latin1', itemAt, itemAt + this.#wantedBytes)
    const block = this.#blockOf.get(name)
    if (block === undefined) throw this.#bad(`a page of the unknown block “${name}”`)
    this.#block = block
    this.#expectContent()
  }

  #onPage(): Promise<void> | undefined {
    const { item, itemAt } = this.#reader
    this.#expect('record')
    return this.#sink.page(this.#block, this.#page, item.subarray(itemAt, itemAt + pageBytes))
  }

  #onFill(): Promise<void> | undefined {
    const { item, itemAt } = this.#reader
    const fill = item.readUInt8(itemAt)
    if (fill !== 0) throw this.#bad(`a page filled with ${fill}`)
    this.#expect('record')
    return this.#sink.zeroPage(this.#block, this.#page)
  }

  #onFooter(): void {
    const { item, itemAt } = this.#reader
    const type = item.readUInt8(itemAt)
    const id = item.readUInt32BE(itemAt + 1)
    if (type !== sectionType.footer || id !== this.#ramSectionId) throw this.#bad('no footer after memory')
    this.#expect('section')
  }

  #onSection(): void {
    const { item, itemAt } = this.#reader
    const type = item.readUInt8(itemAt)
    const inMemory = !this.#ended
    if ((type === sectionType.part || type === sectionType.end) && inMemory) {
      this.#ended = type === sectionType.end
      this.#expect('ram-id')
    } else if (type === sectionType.command && inMemory) {
      this.#expect('command')
    } else if (type === sectionType.full && (this.#ended || this.#partsBegun > 0)) {
      this.#keepTail(Buffer.of(type))
      this.#expect('tail')
    } else if (type === sectionType.start) {
      throw besideMemory()
    } else {
      throw this.#bad(`a section of type ${type} in memory`)
    }
  }

  #onRamId(): void {
    const { item, itemAt } = this.#reader
    const id = item.readUInt32BE(itemAt)
    if (id !== this.#ramSectionId) throw this.#bad(`a part of section ${id}`)
    this.#partsBegun += 1
    this.#expect('record')
    if (this.#partsBegun === 1) this.#onFirstPart()
  }

  #onCommand(): void {
    const { item, itemAt } = this.#reader
    const which = item.readUInt16BE(itemAt)
    const length = item.readUInt16BE(itemAt + 2)
    if (which !== command.switchoverStart || length !== 0) {
      throw unsupportedStream('a return path, or post-copy')
    }
    this.#expect('section')
  }

  /** The item is one byte; the rest of the piece goes with it. */
  #onTail(): void {
    const { item, itemAt } = this.#reader
    this.#keepTail(item.subarray(itemAt, itemAt + 1))
    this.#keepTail(this.#reader.takeRest())
  }

  #keepTail(bytes: Buffer): void {
    if (this.#tail.length + bytes.length > streamLimits.tailBytes) throw this.#bad('too much after memory')
    this.#tail.append(bytes)
  }

  #bad(why: string): Error {
    return badStream(why, this.#readBytes + this.#reader.usedBytes)
  }
}

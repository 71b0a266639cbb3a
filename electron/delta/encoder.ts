/**
 * The sender's half of the codec: what QEMU writes goes in piece by piece, messages for the receiver come out, in memory
 * that stays bounded because nothing is taken while too much is open. Promises that whatever it sends is rebuilt as the
 * same stream, or repaired; and that what it keeps says the same as what the receiver keeps. Relies on its owner for
 * sockets and time, and on pieces staying as they are until they are released. Nothing here waits.
 */
import { type KeptBlock, sameBlocks } from '../pages/kept/kept-block.ts'
import { PageHasher } from '../pages/page-id.ts'
import type { StreamHead } from '../qemu/stream/grammar.ts'
import { RawReader, type RawSink } from '../qemu/stream/raw-reader.ts'
import { BatchWriter, type OpenBatch } from './batch.ts'
import { Difference } from './difference.ts'
import { type Base, backward, base, forward, limits, pageBytes, pageIdBytes, record } from './grammar.ts'
import type { KeptMemory } from './kept-memory.ts'
import type { KnownFiles } from './known-files.ts'
import {
  type Answer,
  asideMessage,
  badMessage,
  endMessage,
  helloMessage,
  type Message,
  plainMessages,
  readAnswer,
  readDone,
  readKnown,
  readLacks,
  repairMessage,
} from './messages.ts'

export interface EncoderOptions {
  kept: KeptMemory
  files: KnownFiles
  /** The visit to come, 16 random bytes. */
  visit: Buffer
  /** For a guest of which nothing is known: the key of its page ids from now on, 32 random bytes. */
  newIdKey: Buffer
  /** The stream may stop in the middle of memory: what has come by then is all of the visit. Default: no. */
  mayStop?: boolean
  send: (message: Message) => void
  /** Bytes of QEMU's return path. */
  plain: (bytes: Buffer) => void
  /** Pages of this piece are needed until `release`, which follows once for each time this is called. */
  hold: (piece: Buffer) => void
  release: (piece: Buffer) => void
}

/** How the pages of the stream were sent, and what it came to. */
export interface EncoderStats {
  /** What the receiver had of the guest; null until it has said so. */
  base: Base | null
  zeroPages: number
  samePages: number
  heldPages: number
  /** Found in files that both docks have. */
  filePages: number
  freshPages: number
  deltaPages: number
  repairedPages: number
  /** Bytes taken from QEMU. */
  streamBytes: number
  /** Of these, what is in batches that were sent. */
  framedBytes: number
  /** Bytes of messages. */
  sentBytes: number
}

const literalBytes = 64 * 1024
/** Of files, read before the first page is sent: boot files, mostly. The rest is read while the link is busy. */
const firstFilePieces = 48

export class Encoder implements RawSink {
  readonly #options: EncoderOptions
  readonly #reader = new RawReader(this)
  readonly #batch = new BatchWriter()
  readonly #difference = new Difference()
  /** Batches that the receiver has not confirmed, oldest first. */
  readonly #open: (OpenBatch & { pieces: readonly Buffer[]; isRepaired: boolean })[] = []
  #openPages = 0
  #hasher = new PageHasher(Buffer.alloc(32))
  #blocks: readonly KeptBlock[] = []
  #idKey: Buffer = Buffer.alloc(0)
  /** Null until the receiver has answered. */
  #base: Base | null = null
  #number = 0
  #state: 'head' | 'asked' | 'memory' | 'ended' | 'aside' = 'head'
  /** Pieces of which pages are in the batch that is being written. */
  #pieces: Buffer[] = []
  /** Of zstd; and how much a batch may carry. */
  level = 3
  carriedPages: number = limits.carriedPages
  readonly stats: EncoderStats = {
    base: null,
    zeroPages: 0,
    samePages: 0,
    heldPages: 0,
    filePages: 0,
    freshPages: 0,
    deltaPages: 0,
    repairedPages: 0,
    streamBytes: 0,
    framedBytes: 0,
    sentBytes: 0,
  }

  constructor(options: EncoderOptions) {
    this.#options = options
  }

  /** Whether nothing may be taken now: the answer is not here, or too much is open. */
  get mustWait(): boolean {
    if (this.#state === 'asked') return true
    return this.#openPages >= limits.openPages || this.#open.length >= limits.openBatches
  }

  get isAside(): boolean {
    return this.#state === 'aside'
  }

  /** Whether a batch is being written that could be sent. */
  get isGathering(): boolean {
    return !this.#batch.isEmpty
  }

  /** Whether everything that was sent has arrived as it should. */
  get isSettled(): boolean {
    return this.#open.length === 0 && this.#batch.isEmpty
  }

  /** Whether all of memory went through here, so that what is kept is what the receiver keeps. */
  get isWhole(): boolean {
    return this.#state === 'ended'
  }

  /**
   * Takes what is between two offsets of a piece of the stream.
   * @returns up to where; what is behind comes again, in front of what follows, when `mustWait` is over
   */
  take(piece: Buffer, from: number, to: number): number {
    let end = to
    if (this.#state === 'aside') this.bytes(piece, from, to)
    else end = this.#reader.read(piece, from, to)
    this.stats.streamBytes += end - from
    return end
  }

  /** The stream has ended; what was not taken so far is between these offsets. */
  end(piece: Buffer, from: number, to: number): void {
    this.stats.streamBytes += to - from
    if (this.#options.mayStop && this.#state === 'memory') this.#state = 'ended'
    else if (this.#state === 'aside') this.bytes(piece, from, to)
    else this.#reader.end(piece, from, to)
    this.flush()
    this.#send(endMessage())
  }

  /** Sends what has been gathered: when nothing more comes for a moment, or the batch is full. */
  flush(): void {
    if (this.#batch.isEmpty) return
    this.#number += 1
    this.stats.framedBytes += this.#batch.streamBytes
    const { message, open } = this.#batch.finish(this.#number, this.level)
    this.#open.push({ ...open, pieces: this.#pieces, isRepaired: false })
    this.#openPages += open.pages.length
    this.#pieces = []
    this.#send(message)
  }

  /** From here on the stream passes as it is, and nothing is kept of this visit. */
  stepAside(): void {
    if (this.#state === 'aside') return
    this.flush()
    this.#state = 'aside'
    this.#send(asideMessage())
  }

  /** Takes a message of the receiver. @throws delta.bad_message */
  hear(type: number, payload: Buffer): void {
    switch (type) {
      case backward.plain:
        this.#options.plain(payload)
        return
      case backward.known:
        this.#hearKnown(payload)
        return
      case backward.answer:
        this.#hearAnswer(readAnswer(payload))
        return
      case backward.done:
        this.#hearDone(readDone(payload))
        return
      default:
        this.#hearLacks(payload)
    }
  }

  head({ blocks }: StreamHead): void {
    const { kept, visit, newIdKey } = this.#options
    const { known } = kept
    const fits = known !== null && sameBlocks(known.blocks, blocks)
    this.#idKey = known?.idKey ?? newIdKey
    this.#hasher = new PageHasher(this.#idKey)
    this.#blocks = blocks
    this.#state = 'asked'
    const offered = fits ? known.visit : null
    const files = this.#options.files.names
    this.#send(helloMessage({ visit, known: offered, idKey: this.#idKey, blocks, files }))
  }

  bytes(piece: Buffer, from: number, to: number): void {
    if (this.#state === 'aside') {
      for (const plain of plainMessages(forward.plain, Buffer.from(piece.subarray(from, to))))
        this.#send(plain)
      return
    }
    for (let at = from; at < to; at += literalBytes) {
      if (this.#batch.isFull(limits.carriedPages)) this.flush()
      this.#batch.bytes(piece, at, Math.min(to, at + literalBytes))
    }
  }

  page(block: number, page: number, named: boolean, piece: Buffer, from: number, at: number): void {
    const batch = this.#batch
    if (batch.isFull(this.carriedPages)) this.flush()
    const { ids, idAt } = batch
    this.#hasher.idOf(piece, at, ids, idAt)
    batch.page(block, page, named, piece, from, at)
    this.#hold(piece)
    this.#classify(this.#options.kept.base(block) + page, ids, idAt, piece, at)
  }

  zeroPage(block: number, page: number, named: boolean, piece: Buffer, from: number, to: number): void {
    if (this.#batch.isFull(this.carriedPages)) this.flush()
    this.#batch.zero(block, page, named, piece, from, to)
    this.#options.kept.putZero(this.#options.kept.base(block) + page, 1)
    this.stats.zeroPages += 1
  }

  rest(why: 'ended' | 'unknown'): void {
    if (why === 'unknown') this.stepAside()
    else if (this.#state === 'memory') this.#state = 'ended'
  }

  /** What the receiver has, and which of it serves best. Afterwards both sides know the page at this address. */
  #classify(address: number, ids: Buffer, idAt: number, piece: Buffer, at: number): void {
    const { kept } = this.#options
    const batch = this.#batch
    if (kept.idEquals(address, ids, idAt)) {
      batch.same()
      this.stats.samePages += 1
      // What only the receiver has so far is kept here as well, for the way back.
      if (this.#base === base.told) kept.putPage(address, ids, idAt, piece, at)
      return
    }
    const from = kept.find(ids, idAt)
    if (from >= 0) {
      batch.held(from)
      this.stats.heldPages += 1
      if (this.#base === base.told) kept.putPage(address, ids, idAt, piece, at)
      else kept.putCopy(address, from)
      return
    }
    if (this.#isInFile(ids, idAt)) {
      kept.putPage(address, ids, idAt, piece, at)
      return
    }
    if (kept.readInto(address, this.#difference.bytes, 0) && this.#difference.take(piece, at)) {
      batch.carried(record.delta, this.#difference.bytes, 0)
      this.stats.deltaPages += 1
    } else {
      batch.carried(record.fresh, piece, at)
      this.stats.freshPages += 1
    }
    kept.putPage(address, ids, idAt, piece, at)
  }

  /** What the guest has read from a file need not cross. @returns whether it was found, and told */
  #isInFile(ids: Buffer, idAt: number): boolean {
    const { files, kept } = this.#options
    const page = files.find(ids, idAt)
    if (page < 0) return false
    this.#batch.held(kept.end + page)
    this.stats.filePages += 1
    return true
  }

  #hold(piece: Buffer): void {
    if (this.#pieces.at(-1) === piece) return
    this.#pieces.push(piece)
    this.#options.hold(piece)
  }

  #hearKnown(payload: Buffer): void {
    if (this.#state !== 'asked') throw badMessage('ids nobody waits for')
    const { kept } = this.#options
    if (this.#base === null) {
      this.#base = base.told
      kept.begin({ idKey: this.#idKey, blocks: this.#blocks, from: 'nothing' })
    }
    const { address, ids } = readKnown(payload, kept.end)
    for (let at = 0; at < ids.length; at += pageIdBytes) kept.putForeign(address + at / pageIdBytes, ids, at)
  }

  #hearAnswer({ base: answer, files }: Answer): void {
    if (this.#state !== 'asked') throw badMessage('an answer nobody waits for')
    if (this.#base !== null && answer !== base.told) throw badMessage('ids, and yet no base')
    if (answer === base.shared && this.#options.kept.known === null)
      throw badMessage('a visit that was not offered')
    if (this.#base === null) {
      const from = answer === base.shared ? 'known' : 'nothing'
      this.#options.kept.begin({ idKey: this.#idKey, blocks: this.#blocks, from })
    }
    this.#base = answer
    this.stats.base = answer
    this.#state = 'memory'
    // Where the receiver has been told everything before, files have nothing to add.
    if (answer === base.shared) return
    this.#options.files.share(files, this.#idKey)
    for (let pieces = 0; pieces < firstFilePieces && this.#options.files.indexSome(); pieces += 1);
  }

  #hearDone(number: number): void {
    for (let [first] = this.#open; first !== undefined && first.number <= number; [first] = this.#open) {
      this.#open.shift()
      this.#openPages -= first.pages.length
      for (const piece of first.pieces) this.#options.release(piece)
    }
  }

  #hearLacks(payload: Buffer): void {
    const { number, ids } = readLacks(payload)
    const open = this.#open.find((each) => each.number === number)
    if (open === undefined || ids.length !== open.ids.length) throw badMessage('it lacks what was not sent')
    if (open.isRepaired) throw badMessage('it lacks what was sent again')
    const positions: number[] = []
    for (let at = 0; at < ids.length; at += pageIdBytes) {
      if (ids.compare(open.ids, at, at + pageIdBytes, at, at + pageIdBytes) !== 0)
        positions.push(at / pageIdBytes)
    }
    const pages = positions.map((position) => {
      const found = open.pages[position]
      if (found === undefined) throw badMessage('a page of another batch')
      return found.piece.subarray(found.at, found.at + pageBytes)
    })
    this.stats.repairedPages += positions.length
    open.isRepaired = true
    // One that says nothing leaves the receiver with a batch that it cannot mend: its own error then.
    this.#send(repairMessage({ number, positions, pages: Buffer.concat(pages) }))
  }

  #send(message: Message): void {
    for (const part of message) this.stats.sentBytes += part.length
    this.#options.send(message)
  }
}

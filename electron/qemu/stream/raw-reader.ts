/**
 * Takes the stream of a move apart into pages of memory and everything else, byte for byte: what is told to the sink,
 * written again in the same order, is the stream. Where `parser.ts` reads a stream for what it says, and refuses what
 * it does not know, this one passes on what it does not know: from there to the end of the stream everything is
 * `bytes`. Promises no copies and no waiting. Relies on its caller to bring what was not used up again, in front of
 * what follows it.
 */
import { isCode } from '../../../shared/errors/index.ts'
import { command, pageBytes, ramFlag, type StreamHead, sectionType } from './grammar.ts'
import { readHead } from './head.ts'

export interface RawSink {
  /** Once, before anything else, unless the head was not understood. Its bytes follow as `bytes`. */
  head(head: StreamHead): void
  /** What stands between pages: offsets in what is being read. */
  bytes(piece: Buffer, from: number, to: number): void
  /**
   * A page of `block`, an index of `head.blocks`. @param named whether its record names the block
   * @param from where its record begins in `piece` @param at where its 4096 bytes are
   */
  page(block: number, page: number, named: boolean, piece: Buffer, from: number, at: number): void
  /** @param from where its record begins in `piece` @param to where it ends */
  zeroPage(block: number, page: number, named: boolean, piece: Buffer, from: number, to: number): void
  /** Memory has ended, or was not understood: only `bytes` follow. */
  rest(why: 'ended' | 'unknown'): void
}

type State = 'head' | 'section' | 'records' | 'rest'

const wordBytes = 8
/** Type and section id; also a footer. */
const openingBytes = 5
const commandBytes = 5
const packagedBytes = commandBytes + 4

/** What of a head is waited for; one that is longer is not read. */
const headBytes = 512 * 1024

export class RawReader {
  readonly #sink: RawSink
  #state: State = 'head'
  #ramSectionId = 0
  #blocks: StreamHead['blocks'] = []
  readonly #blockOf = new Map<string, number>()
  /** Of the record before. */
  #block = -1
  /** Of something long that passes as it is. */
  #passBytes = 0
  #headWantedBytes = 1

  constructor(sink: RawSink) {
    this.#sink = sink
  }

  /**
   * Reads what is between two offsets of `piece`. After the head it stops, so that what it says can be seen to first.
   * @returns the offset up to which everything was told; the rest is to come again
   */
  read(piece: Buffer, from: number, to: number): number {
    if (this.#state === 'head') return this.#readHead(piece, from, to)
    let at = from
    for (;;) {
      const state: State = this.#state
      const next = this.#step(piece, at, to)
      if (next === at && state === this.#state) return at
      at = next
    }
  }

  /** The stream has ended: what was not used up is told as bytes. */
  end(piece: Buffer, from: number, to: number): void {
    if (this.#state !== 'rest') this.#toRest(to > from || this.#state === 'records' ? 'unknown' : 'ended')
    if (to > from) this.#sink.bytes(piece, from, to)
  }

  #step(piece: Buffer, at: number, to: number): number {
    if (at === to) return at
    if (this.#passBytes > 0) return this.#pass(piece, at, to)
    switch (this.#state) {
      case 'section':
        return this.#section(piece, at, to)
      case 'records':
        return this.#records(piece, at, to)
      default:
        this.#sink.bytes(piece, at, to)
        return to
    }
  }

  #pass(piece: Buffer, at: number, to: number): number {
    const end = Math.min(to, at + this.#passBytes)
    this.#passBytes -= end - at
    this.#sink.bytes(piece, at, end)
    return end
  }

  #readHead(piece: Buffer, from: number, to: number): number {
    if (to - from < this.#headWantedBytes) return from
    const progress = this.#tryHead(piece.subarray(from, to))
    if (progress === null || (progress.kind === 'more' && progress.wantedBytes > headBytes)) {
      this.#toRest('unknown')
      return this.#step(piece, from, to)
    }
    if (progress.kind === 'more') {
      this.#headWantedBytes = progress.wantedBytes
      return from
    }
    const { head, bytesRead } = progress
    this.#state = 'section'
    this.#ramSectionId = head.ramSectionId
    this.#blocks = head.blocks
    for (const [index, { name }] of head.blocks.entries()) this.#blockOf.set(name, index)
    this.#sink.head(head)
    this.#sink.bytes(piece, from, from + bytesRead)
    return from + bytesRead
  }

  #tryHead(bytes: Buffer) {
    try {
      return readHead(bytes, { commands: 'skipped' })
    } catch (error) {
      if (isCode(error, 'qemu.bad_stream') || isCode(error, 'stream.unsupported')) return null
      throw error
    }
  }

  #section(piece: Buffer, at: number, to: number): number {
    const type = piece[at]
    if (type === sectionType.command) return this.#command(piece, at, to)
    if (type === sectionType.footer) return to - at < openingBytes ? at : this.#tell(piece, at, openingBytes)
    const isRam = type === sectionType.part || type === sectionType.end
    if (!isRam) return this.#unknown(at, type)
    if (to - at < openingBytes) return at
    if (piece.readUInt32BE(at + 1) !== this.#ramSectionId) return this.#unknown(at, type)
    this.#state = 'records'
    return this.#tell(piece, at, openingBytes)
  }

  /** Sections of devices come when memory has ended, and say no length. */
  #unknown(at: number, type: number | undefined): number {
    this.#toRest(type === sectionType.full || type === sectionType.eof ? 'ended' : 'unknown')
    return at
  }

  #command(piece: Buffer, at: number, to: number): number {
    if (to - at < commandBytes) return at
    const isPackaged = piece.readUInt16BE(at + 1) === command.packaged
    if (!isPackaged) {
      this.#passBytes = piece.readUInt16BE(at + 3)
      return this.#tell(piece, at, commandBytes)
    }
    if (to - at < packagedBytes) return at
    this.#passBytes = piece.readUInt32BE(at + commandBytes)
    return this.#tell(piece, at, packagedBytes)
  }

  #tell(piece: Buffer, at: number, count: number): number {
    this.#sink.bytes(piece, at, at + count)
    return at + count
  }

  /** Where time is spent: as many records as there are, in one loop. */
  #records(piece: Buffer, from: number, to: number): number {
    let at = from
    while (to - at >= wordBytes) {
      const low = piece.readUInt32BE(at + 4)
      const page = piece.readUInt32BE(at) * 2 ** 20 + (low >>> 12)
      const flags = low & 0xfff
      const kind = flags & ~ramFlag.continue
      if (kind !== ramFlag.page && kind !== ramFlag.zero) return this.#otherRecord(piece, at, page, flags)
      const named = kind === flags
      const contentAt = named ? this.#readName(piece, at + wordBytes, to) : at + wordBytes
      const end = contentAt + (kind === ramFlag.page ? pageBytes : 1)
      if (end > to) return at
      if (page >= (this.#blocks[this.#block]?.pages ?? 0)) return this.#notUnderstood(at)
      if (kind === ramFlag.page) this.#sink.page(this.#block, page, named, piece, at, contentAt)
      else if (piece[contentAt] === 0) this.#sink.zeroPage(this.#block, page, named, piece, at, end)
      else return this.#notUnderstood(at)
      at = end
    }
    return at
  }

  /** Goes to the block that is named. @returns where the name ends, which may be behind what is there */
  #readName(piece: Buffer, at: number, to: number): number {
    const end = at + 1 + (piece[at] ?? 0)
    // What lies behind `to` is of an older piece.
    if (at < to && end <= to) this.#block = this.#blockOf.get(piece.toString('latin1', at + 1, end)) ?? -1
    return at < to ? end : to
  }

  #notUnderstood(at: number): number {
    this.#toRest('unknown')
    return at
  }

  #otherRecord(piece: Buffer, at: number, page: number, flags: number): number {
    if (page === 0 && flags === ramFlag.multifdFlush) return this.#tell(piece, at, wordBytes)
    if (page === 0 && flags === ramFlag.eos) {
      this.#state = 'section'
      return this.#tell(piece, at, wordBytes)
    }
    return this.#notUnderstood(at)
  }

  #toRest(why: 'ended' | 'unknown'): void {
    this.#state = 'rest'
    this.#sink.rest(why)
  }
}

/**
 * The encoder between two sockets: QEMU's, on which it connects and sends the guest, and that of the relay to the other
 * dock. Promises that no more is read than can be sent, that what QEMU has written is on its way a moment later, and
 * that both sockets are closed when it is over. Relies on nobody else reading them.
 */
import { connect, type Socket } from 'node:net'
import { readIntoOwnBuffers } from '../platform/own-buffers.ts'
import { Encoder, type EncoderStats } from './encoder.ts'
import { Ends, stopped } from './ends.ts'
import { Garbage } from './garbage.ts'
import { backward, limits, pageBytes } from './grammar.ts'
import type { KeptMemory } from './kept-memory.ts'
import type { KnownFiles } from './known-files.ts'
import { type Message, MessageReader } from './messages.ts'
import { Pieces } from './pieces.ts'

export interface SenderOptions {
  /** Where the relay listens. */
  relayPath: string
  kept: KeptMemory
  files: KnownFiles
  visit: Buffer
  newIdKey: Buffer
  /** What the link carries, in bytes a second; null where it is not known. */
  linkBytesPerS: number | null
  /** QEMU may stop in the middle: what has come by then is all of the visit. */
  mayStop: boolean
}

/** What QEMU writes is sent on at the latest after so long without more. */
const idleMs = 2
const idleAtMostMs = 8
/** A batch is on the link for about so long: the last one is part of the downtime. */
const batchMs = 20
/** Where the link is so much faster, compressing well is not worth its time. */
const fastBytesPerS = 40e6
/** What a batch carries at least. */
const fewestPages = 16

export class Sender {
  readonly #ends: Ends
  readonly #encoder: Encoder
  readonly #pieces: Pieces
  readonly #files: KnownFiles
  readonly #garbage = new Garbage()
  readonly #reader: MessageReader
  #qemu: Socket | null = null
  #relay: Socket | null = null
  /** How long the link could not take more; and since when that is so. */
  #linkWaitMs = 0
  #linkWaitSinceMs: number | null = null
  #qemuHasEnded = false
  #isIndexing = false
  #endSent = false
  #flushTimer: NodeJS.Timeout | null = null
  #gatheringSinceMs = 0
  #readAtMs = 0
  readonly #relayPath: string

  constructor(options: SenderOptions) {
    this.#relayPath = options.relayPath
    this.#pieces = new Pieces()
    this.#encoder = new Encoder({
      ...options,
      send: (message) => this.#send(message),
      plain: (bytes) => {
        if (this.#qemu?.write(bytes) === false) this.#relay?.pause()
      },
      hold: (piece) => this.#pieces.hold(piece),
      release: (piece) => this.#pieces.release(piece),
    })
    this.#files = options.files
    this.#tune(options.linkBytesPerS)
    this.#reader = new MessageReader(Object.keys(backward).length, (type, payload) =>
      this.#encoder.hear(type, payload),
    )
    this.#ends = new Ends((socket) => this.#join(socket))
    const stopTimer = (): void => this.#stopTimer()
    this.ended.then(stopTimer, stopTimer)
  }

  /** Resolves when both sockets have ended; rejects with what broke. */
  get ended(): Promise<void> {
    return this.#ends.ended
  }

  get stats(): EncoderStats & { linkWaitMs: number } {
    return { ...this.#encoder.stats, linkWaitMs: this.#linkWaitMs }
  }

  /** Whether what is kept is what the receiver keeps. */
  get isWhole(): boolean {
    return this.#encoder.isWhole && this.#encoder.isSettled
  }

  get isAside(): boolean {
    return this.#encoder.isAside
  }

  /** @param path where QEMU connects */
  async listen(path: string): Promise<void> {
    await this.#ends.listen(path)
  }

  stepAside(): void {
    this.#encoder.stepAside()
  }

  #tune(linkBytesPerS: number | null): void {
    if (linkBytesPerS === null) return
    const pages = Math.round((linkBytesPerS * batchMs) / 1000 / pageBytes)
    this.#encoder.carriedPages = Math.min(limits.carriedPages, Math.max(fewestPages, pages))
    if (linkBytesPerS > fastBytesPerS) this.#encoder.level = 1
  }

  #join(socket: Socket): void {
    const qemu = readIntoOwnBuffers(socket, {
      buffer: () => this.#pieces.room(),
      callback: (count) => this.#onRead(count),
    })
    this.#qemu = qemu
    const relay = connect({ path: this.#relayPath, allowHalfOpen: true })
    this.#relay = relay
    relay.on('connect', () => qemu.resume())
    relay.on('drain', () => {
      if (this.#linkWaitSinceMs !== null) this.#linkWaitMs += performance.now() - this.#linkWaitSinceMs
      this.#linkWaitSinceMs = null
      this.#goOn()
    })
    relay.on('data', (chunk: Buffer) => this.#ends.try(() => this.#hear(chunk)))
    relay.on('end', () => this.#ends.try(() => this.#onRelayEnd(qemu)))
    qemu.on('drain', () => relay.resume())
    qemu.on('end', () => {
      this.#qemuHasEnded = true
      this.#goOn()
    })
    this.#ends.watch([qemu, relay], () => this.#endWhenDone())
  }

  /** What is waited for will never be said. */
  #onRelayEnd(qemu: Socket): void {
    this.#reader.end()
    if (this.#encoder.mustWait) throw stopped('the link ended before the stream')
    qemu.end()
    this.#endWhenDone()
  }

  /** @returns whether to read on */
  #onRead(count: number): boolean {
    this.#pieces.filled(count)
    this.#readAtMs = performance.now()
    this.#ends.try(() => this.#takeAll())
    this.#garbage.made(count)
    this.#flushSoon()
    this.#indexMeanwhile()
    return this.#mayRead
  }

  /** While the link is busy, files that both docks have are read on. */
  #indexMeanwhile(): void {
    if (this.#isIndexing || this.#mayRead) return
    this.#isIndexing = true
    setImmediate(() => {
      this.#isIndexing = false
      const isBusy = this.#relay?.writableNeedDrain === true && !this.#relay.destroyed
      if (isBusy && this.#files.indexSome()) this.#indexMeanwhile()
    })
  }

  get #mayRead(): boolean {
    return this.#relay !== null && !this.#relay.writableNeedDrain && !this.#encoder.mustWait
  }

  /** What waited for the receiver or the link may go on. */
  #goOn(): void {
    this.#ends.try(() => this.#takeAll())
    if (this.#qemuHasEnded) this.#ends.try(() => this.#endStream())
    else if (this.#mayRead) this.#qemu?.resume()
  }

  #takeAll(): void {
    const pieces = this.#pieces
    while (!this.#encoder.mustWait && pieces.from < pieces.to) {
      const end = this.#encoder.take(pieces.piece, pieces.from, pieces.to)
      if (end === pieces.from) return
      pieces.taken(end)
    }
  }

  #endStream(): void {
    if (this.#endSent || this.#encoder.mustWait) return
    this.#endSent = true
    const { piece, from, to } = this.#pieces
    this.#encoder.end(piece, from, to)
    this.#relay?.end()
  }

  #hear(chunk: Buffer): void {
    this.#reader.push(chunk)
    this.#goOn()
    this.#endWhenDone()
  }

  #flushSoon(): void {
    if (this.#flushTimer !== null || !this.#encoder.isGathering) return
    this.#gatheringSinceMs = performance.now()
    this.#flushTimer = setTimeout(() => this.#onFlushTime(), idleMs)
  }

  /** QEMU may be in the middle of writing: then a moment more, but not for long. */
  #onFlushTime(): void {
    this.#flushTimer = null
    const nowMs = performance.now()
    const isBusy = nowMs - this.#readAtMs < idleMs && nowMs - this.#gatheringSinceMs < idleAtMostMs
    if (isBusy) this.#flushTimer = setTimeout(() => this.#onFlushTime(), idleMs)
    else if (this.#relay?.writableNeedDrain === false) this.#ends.try(() => this.#encoder.flush())
    else this.#flushTimer = setTimeout(() => this.#onFlushTime(), idleMs)
  }

  #send(message: Message): void {
    const relay = this.#relay
    if (relay === null || relay.destroyed) return
    relay.cork()
    for (const part of message) relay.write(part)
    relay.uncork()
    if (relay.writableNeedDrain) this.#linkWaitSinceMs ??= performance.now()
  }

  #endWhenDone(): void {
    if (this.#endSent && this.#relay?.readableEnded) this.#ends.done()
  }

  #stopTimer(): void {
    if (this.#flushTimer !== null) clearTimeout(this.#flushTimer)
    this.#flushTimer = null
  }
}

/**
 * The encoder between two sockets: QEMU's, on which it connects and sends the guest, and that of the relay to the other
 * dock. Promises that no more is read than can be sent, that what QEMU has written is on its way a moment later, and
 * that both sockets are closed when it is over. Relies on nobody else reading them.
 */
import { connect, createServer, type Server, type Socket } from 'node:net'
import { fail } from '../../shared/errors/index.ts'
import { readIntoOwnBuffers } from '../platform/own-buffers.ts'
import { Encoder, type EncoderStats } from './encoder.ts'
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
}

/** What QEMU writes is sent on at the latest after so long without more. */
const idleMs = 2
const idleAtMostMs = 8
/** A batch is on the link for about so long: the last one is part of the downtime. */
const batchMs = 20
/** Where the link is so much faster, compressing well is not worth its time. */
const fastBytesPerS = 40e6

export class Sender {
  /** Resolves when both sockets have ended; rejects with what broke. */
  readonly ended: Promise<void>
  readonly #settle: { resolve: () => void; reject: (error: unknown) => void }
  readonly #encoder: Encoder
  readonly #pieces: Pieces
  readonly #files: KnownFiles
  readonly #garbage = new Garbage()
  readonly #server: Server
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
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.ended = promise
    promise.catch(() => undefined)
    this.#settle = { resolve, reject }
    this.#relayPath = options.relayPath
    this.#pieces = new Pieces()
    this.#encoder = new Encoder({
      ...options,
      send: (message) => this.#send(message),
      plain: (bytes) => this.#qemu?.write(bytes),
      hold: (piece) => this.#pieces.hold(piece),
      release: (piece) => this.#pieces.release(piece),
    })
    this.#files = options.files
    this.#tune(options.linkBytesPerS)
    this.#reader = new MessageReader(Object.keys(backward).length, (type, payload) =>
      this.#encoder.hear(type, payload),
    )
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true })
    this.#server.once('connection', (socket) => this.#join(socket))
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
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(path, resolve)
    })
  }

  stepAside(): void {
    this.#encoder.stepAside()
  }

  #tune(linkBytesPerS: number | null): void {
    if (linkBytesPerS === null) return
    const pages = Math.round((linkBytesPerS * batchMs) / 1000 / pageBytes)
    this.#encoder.carriedPages = Math.min(limits.carriedPages, Math.max(16, pages))
    if (linkBytesPerS > fastBytesPerS) this.#encoder.level = 1
  }

  #join(socket: Socket): void {
    this.#server.close()
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
    relay.on('data', (chunk: Buffer) => this.#try(() => this.#hear(chunk)))
    relay.on('end', () => {
      this.#try(() => this.#reader.end())
      qemu.end()
      this.#endWhenDone()
    })
    qemu.on('end', () => {
      this.#qemuHasEnded = true
      this.#goOn()
    })
    for (const each of [qemu, relay]) {
      each.on('error', (error: Error) => this.#fail(error))
      each.on('close', () => this.#onClose(each))
    }
  }

  /** @returns whether to read on */
  #onRead(count: number): boolean {
    this.#pieces.filled(count)
    this.#readAtMs = performance.now()
    this.#try(() => this.#takeAll())
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
    this.#try(() => this.#takeAll())
    if (this.#qemuHasEnded) this.#try(() => this.#endStream())
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
    else if (this.#relay?.writableNeedDrain === false) this.#try(() => this.#encoder.flush())
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

  #try(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#fail(error)
    }
  }

  #endWhenDone(): void {
    if (!this.#endSent || !this.#relay?.readableEnded) return
    this.#stopTimer()
    this.#settle.resolve()
  }

  #onClose(socket: Socket): void {
    if (socket.readableEnded) this.#endWhenDone()
    else this.#fail(fail('delta.stopped', {}, { detail: 'a socket was closed without an end' }))
  }

  #fail(error: unknown): void {
    this.#stopTimer()
    this.#settle.reject(error)
    this.#server.close()
    this.#qemu?.destroy()
    this.#relay?.destroy()
  }

  #stopTimer(): void {
    if (this.#flushTimer !== null) clearTimeout(this.#flushTimer)
    this.#flushTimer = null
  }
}

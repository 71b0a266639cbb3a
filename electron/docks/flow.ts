/**
 * A stream whose sender never runs ahead of the far *reader* by more than a window: what waits in buffers
 * between two docks is bounded, so that a cancel takes effect at once and a rate is what really arrives.
 * Promises that bytes come out as they went in, that END is told apart from a lost channel, and that
 * `ackedBytes` have been read by the far consumer. Relies on both ends wrapping the same channel.
 */
import { Duplex } from 'node:stream'
import { fail, toWdockError } from '../../shared/errors/index.ts'
import {
  dataHeader,
  endFrame,
  FlowParser,
  flowKind,
  maxDataBytes,
  type NumberKind,
  numberFrame,
} from './flow-frames.ts'

export interface FlowOptions {
  /** How far this side may run ahead of the far reader. */
  windowBytes: number
  /** For sentences to people. */
  dock?: string
}

export interface FlowStats {
  /** DATA bytes handed to the channel. */
  sentBytes: number
  /** Of these, what the far consumer has read. */
  ackedBytes: number
  /** DATA bytes that have arrived here, read or not. */
  receivedBytes: number
  /** When the last credit came, on the clock of `performance.now()`; null before the first. */
  lastAckAtMs: number | null
  /** Round trip of the channel, its queues included; null until measured. */
  rttMs: number | null
}

export { pipeDuplex } from './pipe.ts'

/** More than this in the channel's own queue waits for it to drain. */
const queueBytes = 256 * 1024
const creditStepBytes = 128 * 1024
/** Rather wait for credit than send scraps. */
const minDataBytes = 16 * 1024
const pingEveryMs = 250
const closeGraceMs = 5000
/** Arrived and unread beyond this, the channel is paused: a far end that ignores its window costs no memory. */
const unreadLimitBytes = 64 * 1024 * 1024

export type WindowedStream = Windowed

/** Wraps a channel (see above). Destroying the result destroys the channel. */
export function windowed(channel: Duplex, options: FlowOptions): WindowedStream {
  return new Windowed(channel, options)
}

interface Outgoing {
  chunk: Buffer
  done: () => void
}

class Windowed extends Duplex {
  readonly #channel: Duplex
  readonly #dock: string
  readonly #parser: FlowParser
  readonly #arrived: Buffer[] = []
  #windowBytes: number
  #outgoing: Outgoing | null = null
  #channelFull = false
  #corked = false
  #endSent = false
  #endArrived = false
  #wanted = false
  #deliveredBytes = 0
  #creditedBytes = 0
  #creditDue: NodeJS.Immediate | null = null
  #sentBytes = 0
  #ackedBytes = 0
  #receivedBytes = 0
  #lastAckAtMs: number | null = null
  #rttMs: number | null = null
  #pingNumber = 0
  #pingSentAtMs: number | null = null

  constructor(channel: Duplex, options: FlowOptions) {
    super({ allowHalfOpen: true, readableHighWaterMark: maxDataBytes, writableHighWaterMark: maxDataBytes })
    this.#channel = channel
    this.#dock = options.dock ?? 'The other dock'
    this.#windowBytes = Math.max(1, options.windowBytes)
    this.#parser = new FlowParser({
      data: (piece) => this.#onPiece(piece),
      number: (kind, value) => this.#onNumber(kind, value),
      end: () => {
        this.#endArrived = true
        this.#deliver()
      },
    })
    // As with channels: failing while nobody listens must not end the process.
    this.on('error', () => {})
    channel.on('data', (chunk: Buffer) => this.#onChunk(chunk))
    channel.on('drain', () => this.#onDrain())
    channel.on('end', () => this.#onChannelEnd('ended without END'))
    channel.on('error', (error: Error) => this.#onChannelEnd(error.message))
    channel.on('close', () => this.#onChannelEnd('closed'))
  }

  stats(): FlowStats {
    return {
      sentBytes: this.#sentBytes,
      ackedBytes: this.#ackedBytes,
      receivedBytes: this.#receivedBytes,
      lastAckAtMs: this.#lastAckAtMs,
      rttMs: this.#rttMs,
    }
  }

  /** A smaller window takes effect as credit comes in; what was sent stays sent. */
  setWindow(windowBytes: number): void {
    this.#windowBytes = Math.max(1, windowBytes)
    this.#send()
  }

  override read(sizeBytes?: number): unknown {
    const chunk: unknown = super.read(sizeBytes)
    this.#credit()
    return chunk
  }

  override _read(): void {
    this.#wanted = true
    this.#deliver()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (chunk.length === 0) {
      done()
      return
    }
    this.#outgoing = { chunk, done }
    this.#send()
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#put(endFrame())
    this.#endSent = true
    this.#closeWhenDone()
    done()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (this.#creditDue !== null) clearImmediate(this.#creditDue)
    this.#creditDue = null
    if (error === null && this.readableEnded && this.writableFinished) this.#endChannel()
    else this.#channel.destroy()
    done(error)
  }

  #send(): void {
    while (this.#outgoing !== null && !this.#channelFull && !this.destroyed) {
      const { chunk, done } = this.#outgoing
      const budgetBytes = this.#windowBytes - (this.#sentBytes - this.#ackedBytes)
      const wantedBytes = Math.min(chunk.length, minDataBytes, Math.ceil(this.#windowBytes / 2))
      if (budgetBytes < wantedBytes) return
      const sizeBytes = Math.min(chunk.length, maxDataBytes, budgetBytes)
      this.#outgoing = sizeBytes === chunk.length ? null : { chunk: chunk.subarray(sizeBytes), done }
      this.#sentBytes += sizeBytes
      this.#put(dataHeader(sizeBytes))
      this.#put(sizeBytes === chunk.length ? chunk : chunk.subarray(0, sizeBytes))
      this.#measure()
      if (this.#outgoing === null) done()
    }
  }

  /** Frames written in one turn of the event loop leave as one write. */
  #put(bytes: Buffer): void {
    if (!this.#channel.writable) return
    if (!this.#corked) {
      this.#corked = true
      this.#channel.cork()
      process.nextTick(() => {
        this.#corked = false
        this.#channel.uncork()
      })
    }
    this.#channel.write(bytes)
    if (this.#channel.writableLength > queueBytes && this.#channel.writableNeedDrain) this.#channelFull = true
  }

  #onDrain(): void {
    this.#channelFull = false
    this.#send()
  }

  #measure(): void {
    const nowMs = performance.now()
    if (this.#pingSentAtMs !== null && nowMs - this.#pingSentAtMs < pingEveryMs) return
    this.#pingNumber = (this.#pingNumber + 1) >>> 0
    this.#pingSentAtMs = nowMs
    this.#put(numberFrame(flowKind.ping, this.#pingNumber))
  }

  #onChunk(chunk: Buffer): void {
    try {
      this.#parser.push(chunk)
    } catch (error) {
      this.destroy(toWdockError(error))
      return
    }
    this.#deliver()
    if (this.#receivedBytes - this.#deliveredBytes > unreadLimitBytes) this.#channel.pause()
  }

  #onPiece(piece: Buffer): void {
    this.#receivedBytes += piece.length
    this.#arrived.push(piece)
  }

  #onNumber(kind: NumberKind, value: number): void {
    if (kind === flowKind.credit) {
      if (value > this.#sentBytes - this.#ackedBytes) {
        throw fail('dock.bad_message', {}, { detail: 'credit for more than was sent' })
      }
      this.#ackedBytes += value
      this.#lastAckAtMs = performance.now()
      this.#send()
    } else if (kind === flowKind.ping) {
      // Not for a far end that asks without reading the answers.
      if (this.#channel.writableLength < queueBytes) this.#put(numberFrame(flowKind.pong, value))
    } else if (value === this.#pingNumber && this.#pingSentAtMs !== null) {
      this.#rttMs = performance.now() - this.#pingSentAtMs
    }
  }

  #deliver(): void {
    while (this.#wanted && this.#arrived.length > 0) {
      const piece = this.#arrived.shift()
      if (piece === undefined) break
      this.#deliveredBytes += piece.length
      this.#wanted = this.push(piece)
    }
    if (this.#channel.isPaused() && this.#receivedBytes - this.#deliveredBytes < unreadLimitBytes / 2) {
      this.#channel.resume()
    }
    if (this.#endArrived && this.#arrived.length === 0 && this.#wanted) {
      this.#wanted = false
      this.push(null)
    }
    this.#credit()
  }

  /** What has left our buffers has been read; the far side is told in steps, at the latest after this turn. */
  #credit(): void {
    const dueBytes = this.#deliveredBytes - this.readableLength - this.#creditedBytes
    if (dueBytes >= creditStepBytes) this.#sendCredit()
    else if (dueBytes > 0 && !this.destroyed) this.#creditDue ??= setImmediate(() => this.#sendCredit())
  }

  #sendCredit(): void {
    if (this.#creditDue !== null) clearImmediate(this.#creditDue)
    this.#creditDue = null
    const dueBytes = this.#deliveredBytes - this.readableLength - this.#creditedBytes
    if (dueBytes > 0) {
      this.#creditedBytes += dueBytes
      this.#put(numberFrame(flowKind.credit, dueBytes))
    }
    this.#closeWhenDone()
  }

  #closeWhenDone(): void {
    const allRead = this.#endArrived && this.#creditedBytes === this.#receivedBytes
    if (this.#endSent && allRead) this.#channel.end()
  }

  #endChannel(): void {
    this.#sendCredit()
    this.#channel.end()
    this.#channel.resume()
    const timer = setTimeout(() => this.#channel.destroy(), closeGraceMs)
    timer.unref()
    this.#channel.once('close', () => clearTimeout(timer))
  }

  #onChannelEnd(detail: string): void {
    const complete = this.#endArrived && this.#endSent
    if (complete || this.destroyed) return
    if (this.#endArrived && detail === 'ended without END') return
    this.destroy(fail('dock.link_lost', { dock: this.#dock }, { detail }))
  }
}

/**
 * A joint whose sender never runs ahead of the far *consumer* by more than a window: what waits in buffers between
 * two docks is bounded, so that a cancel takes effect at once and a rate is what really arrives. Promises that
 * bytes come out as they went in, that END is told apart from a lost channel, and that `ackedBytes` have been
 * handed to the far consumer. Relies on joints at both ends of the channel (PROTOCOL.md, "Windowed streams").
 *
 * This is the hot path of a migration: each byte is read once into a buffer that has room for the frame's header,
 * encrypted from there, and on the other side copied once into large writes. Its own buffers are used again and
 * again. Node's TLS still makes one for every record of 16 KiB that arrives, which the `Stager` has collected.
 */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { fail, toWdockError } from '../../shared/errors/index.ts'
import { readIntoOwnBuffers } from '../platform/own-buffers.ts'
import {
  endFrame,
  FlowParser,
  flowKind,
  headerBytes,
  maxDataBytes,
  type NumberKind,
  numberFrame,
  writeDataHeader,
} from './flow-frames.ts'
import type { Joint } from './joint.ts'
import { closeSoon } from './pipe.ts'
import { Stager } from './stager.ts'

export interface FlowOptions {
  window: Window
  /** For sentences to people. */
  dock?: string
  /** What is read, and apart from that received, in one turn of the event loop: 512 KiB unless told. */
  turnBytes?: number
  /** A channel that fails leaves the local socket open, until `destroy`: QEMU is not to hear of it yet. */
  keepsLocal?: boolean
}

/** How far a side may run ahead of the far consumer: what it takes in `durationMs`, within bounds. */
export interface Window {
  durationMs: number
  minBytes: number
  maxBytes: number
}

export interface FlowStats {
  /** DATA bytes handed to the channel. */
  sentBytes: number
  /** Of these, what the far consumer has taken. */
  ackedBytes: number
  /** DATA bytes that have arrived here, taken or not. */
  receivedBytes: number
  /** When the last credit came, on the clock of `performance.now()`; null before the first. */
  lastAckAtMs: number | null
  /** Round trip of the channel, its queues included; null until measured. */
  rttMs: number | null
}

const pingEveryMs = 250
const rateEveryMs = 100
/** The event loop must stay free for others: libuv alone reads a socket up to 32 times before it is their turn. */
const defaultTurnBytes = 512 * 1024
/** Credit is given in steps, and at the latest after a moment: a frame for each small write costs both sides. */
const creditStepBytes = 128 * 1024
const creditWithinMs = 2
/** A question is not answered while this much waits to be sent: the far end asks without reading. */
const queueBytes = 256 * 1024
/** Arrived and not taken beyond this, the channel is paused: a far end that ignores its window costs no memory. */
const untakenLimitBytes = 64 * 1024 * 1024

export class WindowedJoint implements Joint {
  readonly ended: Promise<void>
  readonly #settle: { resolve: () => void; reject: (error: unknown) => void }
  readonly #channel: Duplex
  readonly #dock: string
  readonly #window: Window
  #windowBytes: number
  readonly #turnBytes: number
  readonly #keepsLocal: boolean
  /** What is read at once: several reads fill the window or the turn, so that neither is taken as a whole. */
  readonly #readBytes: number
  readonly #free: Buffer[] = []
  #reading: Buffer | null = null
  /** Held back by the window. */
  #held = false
  /** What this turn has brought so far; null while it has brought nothing. */
  #turn: { readBytes: number; receivedBytes: number; end: NodeJS.Immediate } | null = null
  #local: Socket | null = null
  #stager: Stager | null = null
  /** More waits to be taken than a far end that keeps to its window could have sent. */
  #flooded = false
  #over = false
  #endSent = false
  #endArrived = false
  #stats: FlowStats = { sentBytes: 0, ackedBytes: 0, receivedBytes: 0, lastAckAtMs: null, rttMs: null }
  #takenBytes = 0
  #creditedBytes = 0
  #creditDue: NodeJS.Timeout | null = null
  /** The far consumer's rate is measured from here. */
  #rate = { sinceMs: 0, ackedBytes: 0 }
  #ping = { number: 0, sentAtMs: Number.NEGATIVE_INFINITY }

  constructor(channel: Duplex, options: FlowOptions) {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.ended = promise
    this.ended.catch(() => undefined)
    this.#settle = { resolve, reject }
    this.#channel = channel
    this.#dock = options.dock ?? 'The other dock'
    this.#window = options.window
    this.#windowBytes = Math.max(1, options.window.minBytes)
    this.#turnBytes = options.turnBytes ?? defaultTurnBytes
    this.#keepsLocal = options.keepsLocal ?? false
    this.#readBytes = Math.min(maxDataBytes, Math.ceil(Math.min(this.#windowBytes, this.#turnBytes) / 4))
    channel.on('error', (error: Error) => this.#onChannelEnd(error.message))
    channel.on('close', () => this.#onChannelEnd('closed'))
    if (channel.destroyed) this.#onChannelEnd('closed')
  }

  join(socket: Socket): void {
    if (this.#over) {
      socket.destroy()
      return
    }
    const local = readIntoOwnBuffers(socket, {
      buffer: () => this.#nextBuffer(),
      callback: (sizeBytes) => this.#onRead(sizeBytes),
    })
    this.#local = local
    this.#stager = new Stager(local, (sizeBytes) => this.#onTaken(sizeBytes))
    local.on('end', () => this.#onLocalEnd())
    local.on('error', (error: Error) => this.#fail(error))
    local.on('close', () => this.#onLocalClose())
    const parser = new FlowParser({
      data: (piece) => this.#onPiece(piece),
      number: (kind, value) => this.#onNumber(kind, value),
      end: () => this.#onEnd(),
    })
    this.#channel.on('data', (chunk: Buffer) => this.#onChunk(parser, chunk))
    this.#channel.on('end', () => this.#onChannelEnd('ended without END'))
    local.resume()
  }

  stats(): FlowStats {
    return { ...this.#stats }
  }

  bytes(): number {
    return this.#local === null ? 0 : this.#local.bytesRead + this.#local.bytesWritten
  }

  destroy(): void {
    this.#fail(fail('dock.link_lost', { dock: this.#dock }, { detail: 'cut here' }))
    this.#local?.destroy()
  }

  /** Room for a header before each read. */
  #nextBuffer(): Buffer {
    this.#reading = this.#free.pop() ?? Buffer.allocUnsafeSlow(headerBytes + this.#readBytes)
    return this.#reading.subarray(headerBytes)
  }

  /** @returns false to stop reading */
  #onRead(sizeBytes: number): boolean {
    const buffer = this.#reading
    if (buffer === null || !this.#channel.writable) return false
    writeDataHeader(buffer, sizeBytes)
    this.#stats.sentBytes += sizeBytes
    this.#channel.write(buffer.subarray(0, headerBytes + sizeBytes), (error) => {
      if (!error && !this.#over) this.#free.push(buffer)
    })
    this.#measure()
    this.#held = !this.#mayRead()
    const turn = this.#thisTurn()
    turn.readBytes += sizeBytes
    return !this.#held && turn.readBytes < this.#turnBytes
  }

  #thisTurn(): { readBytes: number; receivedBytes: number } {
    this.#turn ??= { readBytes: 0, receivedBytes: 0, end: setImmediate(() => this.#onTurnEnd()) }
    return this.#turn
  }

  #onTurnEnd(): void {
    this.#turn = null
    this.#readOn()
    this.#receiveOn()
  }

  /** Reads on from the local socket, unless the window or this turn forbids it. */
  #readOn(): void {
    if (!this.#held && (this.#turn?.readBytes ?? 0) < this.#turnBytes) this.#local?.resume()
  }

  /** Receives on from the channel, unless this turn or what waits to be taken forbids it. */
  #receiveOn(): void {
    if (!this.#flooded && (this.#turn?.receivedBytes ?? 0) < this.#turnBytes) this.#channel.resume()
  }

  #mayRead(): boolean {
    return this.#stats.sentBytes - this.#stats.ackedBytes + this.#readBytes <= this.#windowBytes
  }

  /** While the window is what holds this side back, it follows the rate. */
  #follow(nowMs: number): void {
    const { sinceMs, ackedBytes } = this.#rate
    const tookMs = nowMs - sinceMs
    if (tookMs < rateEveryMs) return
    this.#rate = { sinceMs: nowMs, ackedBytes: this.#stats.ackedBytes }
    if (tookMs > 2 * rateEveryMs) return
    const { durationMs, minBytes, maxBytes } = this.#window
    const wantedBytes = ((this.#stats.ackedBytes - ackedBytes) / tookMs) * durationMs
    this.#windowBytes = Math.min(maxBytes, Math.max(minBytes, wantedBytes))
  }

  #measure(): void {
    const nowMs = performance.now()
    if (nowMs - this.#ping.sentAtMs < pingEveryMs) return
    this.#ping = { number: (this.#ping.number + 1) >>> 0, sentAtMs: nowMs }
    this.#put(numberFrame(flowKind.ping, this.#ping.number))
  }

  #put(frame: Buffer): void {
    if (this.#channel.writable) this.#channel.write(frame)
  }

  #onLocalEnd(): void {
    this.#endSent = true
    this.#put(endFrame())
    this.#endWhenDone()
  }

  /**
   * After both ends this is as it should be: the socket closes once it has taken everything, and what this side
   * still waits for is the far consumer's credit. Before, nothing that arrives could be handed over any more.
   */
  #onLocalClose(): void {
    if (this.#endSent && this.#endArrived) return
    this.#fail(fail('dock.link_lost', { dock: 'The other side' }, { detail: 'closed without an end' }))
  }

  #onChunk(parser: FlowParser, chunk: Buffer): void {
    if (this.#over) return
    try {
      parser.push(chunk)
    } catch (error) {
      this.#fail(toWdockError(error))
      return
    }
    if (this.#over) return
    const turn = this.#thisTurn()
    turn.receivedBytes += chunk.length
    this.#flooded ||= this.#stats.receivedBytes - this.#takenBytes > untakenLimitBytes
    if (this.#flooded || turn.receivedBytes >= this.#turnBytes) this.#channel.pause()
  }

  #onPiece(piece: Buffer): void {
    this.#stats.receivedBytes += piece.length
    this.#stager?.put(piece)
  }

  #onTaken(sizeBytes: number): void {
    this.#takenBytes += sizeBytes
    if (this.#takenBytes - this.#creditedBytes >= creditStepBytes) this.#credit()
    else this.#creditDue ??= setTimeout(() => this.#credit(), creditWithinMs)
    if (this.#flooded && this.#stats.receivedBytes - this.#takenBytes < untakenLimitBytes / 2) {
      this.#flooded = false
      this.#receiveOn()
    }
    this.#endWhenDone()
  }

  #credit(): void {
    if (this.#creditDue !== null) clearTimeout(this.#creditDue)
    this.#creditDue = null
    if (this.#over || this.#takenBytes === this.#creditedBytes) return
    this.#put(numberFrame(flowKind.credit, this.#takenBytes - this.#creditedBytes))
    this.#creditedBytes = this.#takenBytes
  }

  #onNumber(kind: NumberKind, value: number): void {
    const stats = this.#stats
    if (kind === flowKind.credit) {
      if (value > stats.sentBytes - stats.ackedBytes) {
        throw fail('dock.bad_message', {}, { detail: 'credit for more than was sent' })
      }
      stats.ackedBytes += value
      stats.lastAckAtMs = performance.now()
      if (this.#held) this.#follow(stats.lastAckAtMs)
      if (this.#held && this.#mayRead()) {
        this.#held = false
        this.#readOn()
      }
      this.#endWhenDone()
    } else if (kind === flowKind.ping) {
      if (this.#channel.writableLength < queueBytes) this.#put(numberFrame(flowKind.pong, value))
    } else if (value === this.#ping.number) {
      stats.rttMs = performance.now() - this.#ping.sentAtMs
    }
  }

  #onEnd(): void {
    this.#endArrived = true
    this.#stager?.flush()
    this.#local?.end()
    this.#endWhenDone()
  }

  #endWhenDone(): void {
    const { sentBytes, ackedBytes, receivedBytes } = this.#stats
    if (this.#over || !this.#endSent || !this.#endArrived || this.#takenBytes !== receivedBytes) return
    this.#credit()
    if (ackedBytes !== sentBytes) return
    this.#end()
    this.#channel.end()
    closeSoon(this.#channel)
    if (this.#local !== null) closeSoon(this.#local)
    this.#settle.resolve()
  }

  #onChannelEnd(detail: string): void {
    if (this.#endArrived && detail === 'ended without END') return
    this.#fail(fail('dock.link_lost', { dock: this.#dock }, { detail }))
  }

  #fail(error: unknown): void {
    if (this.#over) return
    this.#end()
    if (!this.#keepsLocal) this.#local?.destroy()
    this.#channel.destroy()
    this.#settle.reject(error)
  }

  /** The sockets may live a moment longer; the buffers need not. */
  #end(): void {
    this.#over = true
    if (this.#creditDue !== null) clearTimeout(this.#creditDue)
    this.#creditDue = null
    if (this.#turn !== null) clearImmediate(this.#turn.end)
    this.#turn = null
    this.#stager = null
    this.#reading = null
    this.#free.length = 0
  }
}

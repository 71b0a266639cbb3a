/**
 * Reads a disk that QEMU exports over NBD on a unix socket (doc/proto.md of github.com/NetworkBlockDevice/nbd), as
 * `block-export-add` and qemu-nbd do. Promises several requests in flight, memory bounded by what the caller asks
 * for, a coded error for whatever a server does wrong, and that nothing waits for ever: a connection on which
 * nothing comes while something is asked is given up. Relies on structured replies.
 */
import { fail } from '../../shared/errors/index.ts'
import { type Negotiated, negotiate } from './nbd-client-handshake.ts'
import { Coverage, ExtentJoiner, intersectStatus, type StatusExtent } from './nbd-extents.ts'
import { command } from './nbd-protocol.ts'
import { type DiskPiece, type ReadAllocatedOptions, readAllocated } from './nbd-read-allocated.ts'
import { type PendingRequest, Replies, type StatusAnswer } from './nbd-replies.ts'
import { NbdSocket, nbdFailure } from './nbd-socket.ts'
import { encodeRequest } from './nbd-transfer-codec.ts'

export interface NbdClientOptions {
  /** Up to 107 bytes. */
  socketPath: string
  /** Default: the server's default export, the empty name. */
  exportName?: string
  /** Metadata contexts that `blockStatus` is to tell of, in this order; each must be there. Default: none. */
  contexts?: readonly string[]
  /** How long the handshake may take. Default 10 s. */
  handshakeMs?: number
  /** How long nothing may come while something is asked. Default 60 s: a disk may be slow to wake. */
  silenceMs?: number
  /** Ends connecting; a connected client is ended by `close`. */
  signal?: AbortSignal
}

export interface ReadOptions {
  /** Where to read to, `length` bytes. It belongs to the client until the read is over. */
  into?: Uint8Array
  signal?: AbortSignal
}

export interface StatusOptions {
  /** Default: from the start. */
  offset?: number
  /** Default: to the end. */
  lengthBytes?: number
  signal?: AbortSignal
}

/** One request reads at most this: larger ones only keep the others waiting. */
const maxPieceBytes = 1024 * 1024
/** QEMU works on as many of a connection at once (MAX_NBD_REQUESTS of nbd/server.c). */
const maxInFlight = 16
/** Lengths are 32 bits; QEMU may answer for less. */
const maxStatusBytes = 1024 * 1024 * 1024

export class NbdClient {
  readonly sizeBytes: number
  /** What the server may refuse: offsets and lengths that are no multiples of this. */
  readonly alignBytes: number
  readonly contexts: readonly string[]
  readonly #socket: NbdSocket
  readonly #replies: Replies
  readonly #maxPieceBytes: number
  readonly #contextIds: readonly number[]
  #inFlight = 0
  readonly #waiting: (() => void)[] = []

  private constructor(socket: NbdSocket, agreed: Negotiated, contexts: readonly string[], silenceMs: number) {
    this.#socket = socket
    this.sizeBytes = agreed.sizeBytes
    this.alignBytes = agreed.alignBytes
    this.contexts = contexts
    this.#contextIds = agreed.contextIds
    this.#maxPieceBytes = Math.min(maxPieceBytes, agreed.maxReadBytes)
    this.#replies = new Replies(socket)
    socket.limitSilence(silenceMs, () => this.#replies.pendingCount > 0)
  }

  /** @throws disk.nbd_failed, host.cancelled */
  static async connect(options: NbdClientOptions): Promise<NbdClient> {
    const { socketPath, exportName = '', contexts = [], handshakeMs = 10_000, silenceMs = 60_000 } = options
    const socket = await NbdSocket.connect(socketPath, options.signal)
    const onAbort = (): void => socket.destroy(fail('host.cancelled'))
    options.signal?.addEventListener('abort', onAbort)
    if (options.signal?.aborted) onAbort()
    try {
      const agreed = await negotiate(socket, { exportName, contexts, timeoutMs: handshakeMs })
      return new NbdClient(socket, agreed, contexts, silenceMs)
    } finally {
      options.signal?.removeEventListener('abort', onAbort)
    }
  }

  /**
   * Reads a range, whatever is in it, by several requests at once. @returns `into` as a buffer, or a new one
   * @throws disk.nbd_failed; host.cancelled; host.bad_input for a range that is not in the disk or not aligned.
   * Nothing is written to `into` after that
   */
  async read(offset: number, lengthBytes: number, options: ReadOptions = {}): Promise<Buffer> {
    this.#checkRange(offset, lengthBytes)
    const target = options.into ? viewOf(options.into) : Buffer.allocUnsafeSlow(lengthBytes)
    if (target.length !== lengthBytes)
      throw fail('host.bad_input', { why: 'there is no room for what is read' })
    const pieces: Promise<void>[] = []
    for (let at = 0; at < lengthBytes; at += this.#maxPieceBytes) {
      const piece = target.subarray(at, Math.min(lengthBytes, at + this.#maxPieceBytes))
      pieces.push(this.#readPiece(offset + at, piece, options.signal))
    }
    // All are waited for, so that none writes into the target of a caller who was told of the failure of another.
    const outcomes = await Promise.allSettled(pieces)
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
    return target
  }

  /**
   * What the metadata contexts say of a range, from its start to its end without gaps; neighbours with the same
   * flags are one. @throws disk.nbd_failed, host.cancelled; host.bad_input without contexts or for a bad range
   */
  async *blockStatus(options: StatusOptions = {}): AsyncGenerator<StatusExtent, void, undefined> {
    const offset = options.offset ?? 0
    const end = offset + (options.lengthBytes ?? this.sizeBytes - offset)
    if (this.#contextIds.length === 0)
      throw fail('host.bad_input', { why: 'no metadata context was asked for' })
    this.#checkRange(offset, end - offset)
    const joiner = new ExtentJoiner()
    for (let at = offset; at < end; ) {
      const lengthBytes = Math.min(end - at, maxStatusBytes)
      const answer = await this.#askStatus(at, lengthBytes, options.signal)
      const lists = this.#contextIds.map((id) => answer.get(id) ?? [])
      for (const extent of intersectStatus(at, lengthBytes, lists)) {
        at = extent.offset + extent.lengthBytes
        const complete = joiner.push(extent)
        if (complete !== null) yield complete
      }
    }
    const last = joiner.finish()
    if (last !== null) yield last
  }

  /** The disk in order, only its data read: see `nbd-read-allocated.ts`. */
  readAllocated(options: ReadAllocatedOptions = {}): AsyncGenerator<DiskPiece, void, undefined> {
    return readAllocated(this, options)
  }

  /** Says goodbye; what is still asked fails. @returns once the connection is closed. May be called again. */
  async close(): Promise<void> {
    const goodbye = encodeRequest({ flags: 0, command: command.disconnect, cookie: 0n, offset: 0, length: 0 })
    await this.#socket.close(goodbye, nbdFailure('the client was closed'))
  }

  #checkRange(offset: number, lengthBytes: number): void {
    const { sizeBytes, alignBytes } = this
    const isInside =
      Number.isSafeInteger(offset) &&
      Number.isSafeInteger(lengthBytes) &&
      offset >= 0 &&
      lengthBytes >= 0 &&
      offset + lengthBytes <= sizeBytes
    if (!isInside) {
      throw fail('host.bad_input', {
        why: `${lengthBytes} bytes at ${offset} are not in a disk of ${sizeBytes}`,
      })
    }
    if (offset % alignBytes !== 0 || lengthBytes % alignBytes !== 0) {
      throw fail('host.bad_input', {
        why: `${lengthBytes} bytes at ${offset} are no multiples of ${alignBytes}`,
      })
    }
  }

  #readPiece(offset: number, target: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    const words = `read of ${target.length} bytes at ${offset}`
    return this.#ask<void>(signal, command.read, offset, target.length, (resolve, reject) => ({
      ...{ kind: 'read', words, failure: null, errorCount: 0, abandoned: null, resolve, reject },
      offset,
      target,
      coverage: new Coverage(target.length),
    }))
  }

  #askStatus(offset: number, lengthBytes: number, signal: AbortSignal | undefined): Promise<StatusAnswer> {
    const words = `status of ${lengthBytes} bytes at ${offset}`
    return this.#ask<StatusAnswer>(signal, command.blockStatus, offset, lengthBytes, (resolve, reject) => ({
      ...{ kind: 'status', words, failure: null, errorCount: 0, abandoned: null, resolve, reject },
      lengthBytes,
      contextIds: this.#contextIds,
      answer: new Map(),
    }))
  }

  /** Waits for its turn, asks, and waits for the answer. */
  async #ask<Answer>(
    signal: AbortSignal | undefined,
    kind: number,
    offset: number,
    length: number,
    make: (resolve: (answer: Answer) => void, reject: (error: Error) => void) => PendingRequest,
  ): Promise<Answer> {
    await this.#turn()
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    const request = make(resolve, reject)
    const onAbort = (): void => this.#replies.abandon(request, fail('host.cancelled'))
    try {
      if (signal?.aborted) throw fail('host.cancelled')
      if (this.#socket.failure !== null) throw this.#socket.failure
      signal?.addEventListener('abort', onAbort)
      const cookie = this.#replies.add(request)
      this.#socket.write(encodeRequest({ flags: 0, command: kind, cookie, offset, length }))
      return await promise
    } finally {
      signal?.removeEventListener('abort', onAbort)
      this.#endTurn()
    }
  }

  async #turn(): Promise<void> {
    if (this.#inFlight < maxInFlight) {
      this.#inFlight += 1
      return
    }
    await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  #endTurn(): void {
    const next = this.#waiting.shift()
    // A turn is handed on, not given back: nobody overtakes.
    if (next !== undefined) next()
    else this.#inFlight -= 1
  }
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength)
}

/**
 * Takes a server's answers apart and hands them to the requests they belong to, in whatever order they come
 * ("Simple reply message", "Structured reply chunk message"). Promises that a read is fulfilled only when each of
 * its bytes has come exactly once, that nothing is written into memory of a request that is over, and that a
 * server which breaks the rules ends the connection, and with it all requests, instead of being guessed at.
 */
import type { WdockError } from '../../shared/errors/index.ts'
import type { Coverage } from './nbd-extents.ts'
import { chunkKind, chunkLengthBytes, readU64, replyHeaderBytes } from './nbd-protocol.ts'
import { type NbdSocket, nbdFailure } from './nbd-socket.ts'
import {
  decodeBlockStatus,
  decodeError,
  decodeReplyHeader,
  type ErrorChunk,
  type ReplyHeader,
  type StatusDescriptor,
} from './nbd-transfer-codec.ts'

/** Of each context's number, what was said. */
export type StatusAnswer = Map<number, StatusDescriptor[]>

interface Pending {
  /** What was asked, for errors: "read of 4096 bytes at 0". */
  words: string
  /** The server's first error; the request goes on until its last chunk. */
  failure: WdockError | null
  /** How many errors it said. */
  errorCount: number
  /** Nobody waits any more: what still comes is thrown away. */
  abandoned: WdockError | null
  reject: (error: WdockError) => void
}

export interface PendingRead extends Pending {
  kind: 'read'
  offset: number
  target: Uint8Array
  coverage: Coverage
  resolve: () => void
}

export interface PendingStatus extends Pending {
  kind: 'status'
  lengthBytes: number
  contextIds: readonly number[]
  answer: StatusAnswer
  resolve: (answer: StatusAnswer) => void
}

export type PendingRequest = PendingRead | PendingStatus

interface Chunk {
  type: number
  length: number
  cookie: bigint
  request: PendingRequest
  done: boolean
}

/** QEMU says at most 1 MiB of descriptors at once. */
const maxStatusBytes = 2 * 1024 * 1024
const maxErrorBytes = 16 * 1024
/** Errors without an end are no answer. */
const maxErrors = 256

export class Replies {
  readonly #socket: NbdSocket
  readonly #requests = new Map<bigint, PendingRequest>()
  /** Whose memory the socket is filling. */
  #filling: PendingRequest | null = null
  #lastCookie = 0n

  /** Takes over what the socket receives from here on. */
  constructor(socket: NbdSocket) {
    this.#socket = socket
    socket.onOver((failure) => this.#rejectAll(failure))
    this.#expectReply()
  }

  get pendingCount(): number {
    return this.#requests.size
  }

  /** @returns the cookie under which to ask */
  add(request: PendingRequest): bigint {
    this.#lastCookie += 1n
    this.#requests.set(this.#lastCookie, request)
    return this.#lastCookie
  }

  /**
   * Rejects a request although its answer has not come. If its memory is being filled just now, it is rejected when
   * that chunk is over: by then nothing more is written there.
   */
  abandon(request: PendingRequest, reason: WdockError): void {
    request.abandoned = reason
    if (this.#filling !== request) request.reject(reason)
  }

  #rejectAll(failure: WdockError): void {
    const requests = [...this.#requests.values()]
    this.#requests.clear()
    for (const request of requests) request.reject(request.abandoned ?? failure)
  }

  #expectReply(): void {
    this.#socket.take(replyHeaderBytes, (bytes) => {
      const header = decodeReplyHeader(bytes)
      if (header === null) throw nbdFailure('an answer with a wrong magic number')
      const request = this.#requests.get(header.cookie)
      if (request === undefined) throw nbdFailure('an answer to a question that was not asked')
      if (header.kind === 'simple') this.#onSimpleReply(header, request)
      else this.#expectChunk(header, request)
    })
  }

  /** Structured replies are in force: a simple one may only refuse, or answer what has no payload. */
  #onSimpleReply(header: ReplyHeader & { kind: 'simple' }, request: PendingRequest): void {
    if (header.error === 0) throw nbdFailure(`${request.words}: answered without a payload`)
    request.failure ??= refusal(request, { error: header.error, message: '', offset: null })
    this.#finish(header.cookie, request)
  }

  #expectChunk(header: ReplyHeader & { kind: 'chunk' }, request: PendingRequest): void {
    const { type, cookie, done } = header
    this.#socket.take(chunkLengthBytes, (bytes) => {
      this.#onChunk({ type, length: bytes.readUInt32BE(0), cookie, request, done })
    })
  }

  #onChunk(chunk: Chunk): void {
    const { request, length } = chunk
    if ((chunk.type & 0x8000) !== 0) this.#onError(chunk)
    else if (chunk.type === chunkKind.none && chunk.done && length === 0) this.#endOf(chunk)
    else if (request.kind === 'status' && chunk.type === chunkKind.blockStatus) this.#onStatus(chunk, request)
    else if (request.kind === 'read' && chunk.type === chunkKind.offsetData) this.#onData(chunk, request)
    else if (request.kind === 'read' && chunk.type === chunkKind.offsetHole) this.#onHole(chunk, request)
    else
      throw nbdFailure(`${request.words}: a chunk of type ${chunk.type} and ${length} bytes does not belong`)
  }

  #onData(chunk: Chunk, request: PendingRead): void {
    const sizeBytes = chunk.length - 8
    if (sizeBytes < 1 || sizeBytes > request.target.length) {
      throw nbdFailure(`${request.words}: a piece of ${sizeBytes} bytes`)
    }
    this.#socket.take(8, (bytes) => {
      const target = part(request, readU64(bytes, 0), sizeBytes)
      if (request.abandoned !== null) {
        this.#socket.skip(sizeBytes, () => this.#endOf(chunk))
        return
      }
      this.#filling = request
      this.#socket.fill(target, () => {
        this.#filling = null
        if (request.abandoned !== null) request.reject(request.abandoned)
        this.#endOf(chunk)
      })
    })
  }

  #onHole(chunk: Chunk, request: PendingRead): void {
    if (chunk.length !== 12) throw nbdFailure(`${request.words}: a hole told in ${chunk.length} bytes`)
    this.#socket.take(12, (bytes) => {
      const target = part(request, readU64(bytes, 0), bytes.readUInt32BE(8))
      if (request.abandoned === null) target.fill(0)
      this.#endOf(chunk)
    })
  }

  #onStatus(chunk: Chunk, request: PendingStatus): void {
    if (chunk.length > maxStatusBytes) throw nbdFailure(`${request.words}: ${chunk.length} bytes of extents`)
    if (chunk.length === 0) throw nbdFailure(`${request.words}: no extents`)
    const payload = Buffer.allocUnsafe(chunk.length)
    this.#socket.fill(payload, () => {
      const status = decodeBlockStatus(payload)
      if (status === null) throw nbdFailure(`${request.words}: extents out of form`)
      const { contextId, descriptors } = status
      if (!request.contextIds.includes(contextId) || request.answer.has(contextId)) {
        throw nbdFailure(`${request.words}: extents of context ${contextId} out of turn`)
      }
      request.answer.set(contextId, descriptors)
      this.#endOf(chunk)
    })
  }

  #onError(chunk: Chunk): void {
    const { request, length } = chunk
    if (length > maxErrorBytes) throw nbdFailure(`${request.words}: an error of ${length} bytes`)
    request.errorCount += 1
    if (request.errorCount > maxErrors) throw nbdFailure(`${request.words}: errors without an end`)
    this.#socket.take(length, (bytes) => {
      const error = decodeError(chunk.type, bytes)
      if (error === null) throw nbdFailure(`${request.words}: an error out of form`)
      request.failure ??= refusal(request, error)
      this.#endOf(chunk)
    })
  }

  #endOf({ cookie, request, done }: Chunk): void {
    if (done) this.#finish(cookie, request)
    else this.#expectReply()
  }

  #finish(cookie: bigint, request: PendingRequest): void {
    if (request.failure === null && request.abandoned === null) checkWhole(request)
    this.#requests.delete(cookie)
    if (request.failure !== null) request.reject(request.failure)
    else if (request.kind === 'read') request.resolve()
    else request.resolve(request.answer)
    this.#expectReply()
  }
}

/** The piece of a read's memory that a chunk fills. */
function part(request: PendingRead, offset: number, sizeBytes: number): Uint8Array {
  const startBytes = offset - request.offset
  if (startBytes < 0 || !request.coverage.add(startBytes, sizeBytes)) {
    throw nbdFailure(`${request.words}: a piece of ${sizeBytes} bytes at ${offset} does not belong`)
  }
  return request.target.subarray(startBytes, startBytes + sizeBytes)
}

function checkWhole(request: PendingRequest): void {
  const isWhole =
    request.kind === 'read'
      ? request.coverage.isComplete
      : request.contextIds.every((id) => request.answer.has(id))
  if (!isWhole) throw nbdFailure(`${request.words}: the answer ended before it was whole`)
}

function refusal(request: PendingRequest, { error, message, offset }: ErrorChunk): WdockError {
  const where = offset === null ? '' : ` at ${offset}`
  return nbdFailure(`${request.words}: error ${error}${where}${message === '' ? '' : `: ${message}`}`)
}

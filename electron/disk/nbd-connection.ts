/**
 * One client of the server, from its handshake to its end ("Transmission phase"). Promises that requests are
 * answered as their data come, in any order, so that one that waits for a network holds up no other; that memory is
 * bounded whatever the client does; and that whoever breaks the protocol is let go without harm to others. Relies on
 * the provider to take no longer than it must once its signal is aborted.
 */
import type { Socket } from 'node:net'
import { ByteReader } from './byte-stream.ts'
import { allocationFlagsOf, type BlockExtent, coverExtents } from './nbd-extents.ts'
import {
  allocationFlag,
  command,
  errorNumber,
  maxRequestBytes,
  requestBytes,
  requestOneFlag,
} from './nbd-protocol.ts'
import { type Agreed, allocationContextId, serveHandshake } from './nbd-server-handshake.ts'
import {
  decodeRequest,
  encodeBlockStatus,
  encodeDataHeader,
  encodeError,
  encodeHole,
  encodeSimpleReply,
  type NbdRequest,
  type StatusDescriptor,
} from './nbd-transfer-codec.ts'

/** A disk as the server sees it. */
export interface BlockProvider {
  /** Does not change. */
  readonly sizeBytes: number
  /**
   * Exactly `lengthBytes` of data, which nobody changes until they are sent. It may take as long as it must; other
   * reads go on meanwhile. Ranges that `extents` called zero or hole are never asked for. A failure is told to the
   * client as an input/output error, unless the server closes: then the client is cut off, so that it asks the next
   * server. @param signal aborted when nobody waits for it any more
   */
  read(offset: number, lengthBytes: number, signal: AbortSignal): Promise<Buffer>
  /** What a range consists of, in order; taken only as far as it is needed. */
  extents(offset: number, lengthBytes: number): Iterable<BlockExtent>
}

export interface ConnectionOptions {
  provider: BlockProvider
  exportName: string
  /** See `NbdServerOptions`. */
  skipHoles: boolean
  /** Told of each read that failed, for the log. */
  onReadError: (error: unknown, offset: number, lengthBytes: number) => void
  handshakeMs: number
  /** Fires when the server closes: what was asked is still answered, nothing more is taken. */
  closing: AbortSignal
}

/**
 * What a connection takes of memory: as many requests, of each so many pieces, of that size: 64 MiB. QEMU has 16
 * requests under way at most (MAX_NBD_REQUESTS of block/nbd.c).
 */
const maxRequests = 32
const maxPieces = 4
const pieceBytes = 512 * 1024
/** Descriptors of one block status. */
const maxDescriptors = 1024

/** Serves one client. @returns once it is gone; never rejects */
export async function serveConnection(socket: Socket, options: ConnectionOptions): Promise<void> {
  await new Connection(socket, options).serve()
}

class Connection {
  readonly #socket: Socket
  readonly #options: ConnectionOptions
  readonly #reader: ByteReader
  /** Aborted when the client is gone. */
  readonly #gone = new AbortController()
  readonly #closed: Promise<void>
  #agreed: Agreed = { structuredReplies: false, allocationContext: false }
  #running = 0
  /** The reading loop, waiting for a request to be over. */
  #wake: (() => void) | null = null

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket
    this.#options = options
    this.#reader = new ByteReader(socket, options.closing)
    socket.on('error', () => {})
    this.#closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#gone.abort()
        this.#wake?.()
        resolve()
      })
    })
  }

  async serve(): Promise<void> {
    try {
      if (await this.#shakeHands()) await this.#takeRequests()
    } catch {
      // It went away, broke the protocol or is told to go: there is nobody to tell.
    }
    await this.#idle(0)
    this.#socket.destroy()
    this.#reader.release()
    await this.#closed
  }

  async #shakeHands(): Promise<boolean> {
    const late = setTimeout(() => this.#socket.destroy(), this.#options.handshakeMs)
    const { exportName, provider } = this.#options
    const served = { name: exportName, sizeBytes: provider.sizeBytes }
    try {
      const agreed = await serveHandshake(this.#reader, (...parts) => this.#send(...parts), served)
      if (agreed !== null) this.#agreed = agreed
      return agreed !== null
    } finally {
      clearTimeout(late)
    }
  }

  async #takeRequests(): Promise<void> {
    // Without structured replies an answer is one piece and cannot fail halfway: it is read as a whole, alone.
    const limit = this.#agreed.structuredReplies ? maxRequests : 1
    for (;;) {
      await this.#idle(limit - 1)
      const request = decodeRequest(await this.#reader.readExactly(requestBytes))
      if (request?.command === command.disconnect) return
      if (request === null || !(await this.#skipPayload(request))) {
        this.#socket.destroy()
        return
      }
      this.#running += 1
      void this.#answer(request)
        .catch(() => this.#socket.destroy())
        .finally(() => {
          this.#running -= 1
          this.#wake?.()
        })
    }
  }

  /** Waits until at most `count` requests are under way, or the client is gone. */
  async #idle(count: number): Promise<void> {
    while (this.#running > count && !this.#gone.signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      this.#wake = null
    }
  }

  /** Throws away what a write brings along. @returns false when that is more than a request may bring */
  async #skipPayload({ command: kind, length }: NbdRequest): Promise<boolean> {
    if (kind !== command.write) return true
    if (length > maxRequestBytes) return false
    for (let left = length; left > 0; ) left -= (await this.#reader.readSome(left)).length
    return true
  }

  async #answer(request: NbdRequest): Promise<void> {
    const refusal = this.#refusal(request)
    if (refusal !== null) await this.#refuse(request, refusal)
    else if (request.command === command.blockStatus) await this.#answerStatus(request)
    else if (this.#agreed.structuredReplies) await this.#answerRead(request)
    else await this.#answerSimpleRead(request)
  }

  /** "Error values". @returns the number of the error; null for what can be answered */
  #refusal({ command: kind, flags, offset, length }: NbdRequest): number | null {
    if (kind === command.write || kind === command.trim || kind === command.writeZeroes) {
      return errorNumber.EPERM
    }
    const isStatus = kind === command.blockStatus && this.#agreed.allocationContext
    if (kind !== command.read && !isStatus) return errorNumber.EINVAL
    const allowedFlags = isStatus ? requestOneFlag : 0
    if ((flags & ~allowedFlags) !== 0) return errorNumber.EINVAL
    if (length === 0 || offset + length > this.#options.provider.sizeBytes) return errorNumber.EINVAL
    return kind === command.read && length > maxRequestBytes ? errorNumber.EINVAL : null
  }

  async #refuse({ cookie }: NbdRequest, error: number): Promise<void> {
    if (!this.#agreed.structuredReplies) await this.#send(encodeSimpleReply(error, cookie))
    else await this.#send(encodeError(cookie, { error, message: '', offset: null }, true))
  }

  async #answerStatus(request: NbdRequest): Promise<void> {
    const limit = (request.flags & requestOneFlag) === 0 ? maxDescriptors : 1
    const descriptors: StatusDescriptor[] = []
    for (const { lengthBytes, kind } of this.#extents(request)) {
      const flags = kind === 'hole' && this.#options.skipHoles ? allocationFlag.hole : allocationFlagsOf[kind]
      descriptors.push({ length: lengthBytes, flags })
      if (descriptors.length === limit) break
    }
    const status = { contextId: allocationContextId, descriptors }
    await this.#send(encodeBlockStatus(request.cookie, status, true))
  }

  /** Where the provider cannot say, the rest counts as data: reading it will tell. */
  *#extents({ offset, length }: NbdRequest): Generator<BlockExtent> {
    let remainingBytes = length
    try {
      for (const extent of coverExtents(this.#options.provider.extents(offset, length), length)) {
        yield extent
        remainingBytes -= extent.lengthBytes
      }
    } catch (error) {
      this.#options.onReadError(error, offset, length)
      if (remainingBytes > 0) yield { lengthBytes: remainingBytes, kind: 'data' }
    }
  }

  /** A few pieces at once, each sent as soon as it is there; the one that is sent last says that it is the last. */
  async #answerRead(request: NbdRequest): Promise<void> {
    const pieces = [...this.#pieces(request)]
    let unsent = pieces.length
    const queue = pieces.values()
    const lane = async (): Promise<void> => {
      for (const piece of queue) {
        const bytes = piece.isData ? await this.#read(piece) : null
        unsent -= 1
        await this.#send(...chunk(request.cookie, piece, bytes, unsent === 0))
      }
    }
    await Promise.all(Array.from({ length: Math.min(maxPieces, pieces.length) }, lane))
  }

  *#pieces(request: NbdRequest): Generator<Piece> {
    let { offset } = request
    for (const { lengthBytes, kind } of this.#extents(request)) {
      const end = offset + lengthBytes
      const stepBytes = kind === 'data' ? pieceBytes : lengthBytes
      for (; offset < end; offset += stepBytes) {
        yield { offset, lengthBytes: Math.min(stepBytes, end - offset), isData: kind === 'data' }
      }
      offset = end
    }
  }

  /** @returns null when it failed, which has been told @throws when the server closes, which is not the disk's fault */
  async #read({ offset, lengthBytes }: Piece): Promise<Buffer | null> {
    const { provider, onReadError, closing } = this.#options
    try {
      const bytes = await provider.read(offset, lengthBytes, this.#gone.signal)
      if (bytes.length === lengthBytes) return bytes
      throw new RangeError(`${bytes.length} bytes were provided instead of ${lengthBytes}`)
    } catch (error) {
      if (closing.aborted) throw error
      if (!this.#gone.signal.aborted) onReadError(error, offset, lengthBytes)
      return null
    }
  }

  async #answerSimpleRead(request: NbdRequest): Promise<void> {
    const target = Buffer.alloc(request.length)
    for (const piece of this.#pieces(request)) {
      if (!piece.isData) continue
      const bytes = await this.#read(piece)
      if (bytes === null) return await this.#refuse(request, errorNumber.EIO)
      bytes.copy(target, piece.offset - request.offset)
    }
    await this.#send(encodeSimpleReply(0, request.cookie), target)
  }

  /** Writes all parts as one. @returns once they have left for the kernel: a client that does not read waits here */
  async #send(...parts: Uint8Array[]): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const last = parts.length - 1
    this.#socket.cork()
    parts.forEach((part, index) => {
      if (index < last) this.#socket.write(part)
      else this.#socket.write(part, (error) => (error ? reject(error) : resolve()))
    })
    this.#socket.uncork()
    await promise
  }
}

interface Piece {
  offset: number
  lengthBytes: number
  isData: boolean
}

/** "Structured reply chunk message" of a piece: a hole, its data, or, where these are missing, an error. */
function chunk(cookie: bigint, piece: Piece, bytes: Buffer | null, isLast: boolean): Uint8Array[] {
  const { offset, lengthBytes, isData } = piece
  if (!isData) return [encodeHole(cookie, offset, lengthBytes, isLast)]
  if (bytes !== null) return [encodeDataHeader(cookie, offset, lengthBytes, isLast), bytes]
  const error = { error: errorNumber.EIO, message: 'this part of the disk could not be read', offset }
  return [encodeError(cookie, error, isLast)]
}

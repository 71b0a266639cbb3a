/**
 * Requests and answers ("Transmission phase" of the NBD protocol). Promises that what is decoded was checked against
 * the length of its message: a decoder of a payload answers null for anything else and never throws. Relies on
 * headers being handed over whole.
 */
import {
  chunkKind,
  chunkLengthBytes,
  chunkMagic,
  doneFlag,
  maxStringBytes,
  readU64,
  replyHeaderBytes,
  requestBytes,
  requestMagic,
  simpleReplyMagic,
  u32,
  writeU64,
} from './nbd-protocol.ts'

/** "Request message". */
export interface NbdRequest {
  flags: number
  command: number
  cookie: bigint
  offset: number
  length: number
}

export function encodeRequest(request: NbdRequest): Buffer {
  const bytes = Buffer.allocUnsafe(requestBytes)
  bytes.writeUInt32BE(requestMagic, 0)
  bytes.writeUInt16BE(request.flags, 4)
  bytes.writeUInt16BE(request.command, 6)
  bytes.writeBigUInt64BE(request.cookie, 8)
  writeU64(bytes, request.offset, 16)
  bytes.writeUInt32BE(request.length, 24)
  return bytes
}

export function decodeRequest(bytes: Buffer): NbdRequest | null {
  if (bytes.readUInt32BE(0) !== requestMagic) return null
  return {
    flags: bytes.readUInt16BE(4),
    command: bytes.readUInt16BE(6),
    cookie: bytes.readBigUInt64BE(8),
    offset: readU64(bytes, 16),
    length: bytes.readUInt32BE(24),
  }
}

/** "Simple reply message", and the start of a "Structured reply chunk message". */
export type ReplyHeader =
  | { kind: 'simple'; error: number; cookie: bigint }
  | { kind: 'chunk'; done: boolean; type: number; cookie: bigint }

export function encodeSimpleReply(error: number, cookie: bigint): Buffer {
  const bytes = Buffer.allocUnsafe(replyHeaderBytes)
  bytes.writeUInt32BE(simpleReplyMagic, 0)
  bytes.writeUInt32BE(error, 4)
  bytes.writeBigUInt64BE(cookie, 8)
  return bytes
}

/** @param extraBytes how much of the payload follows outside of what is returned */
function encodeChunk(type: number, cookie: bigint, done: boolean, payload: Buffer, extraBytes = 0): Buffer {
  const headerBytes = replyHeaderBytes + chunkLengthBytes
  const bytes = Buffer.allocUnsafe(headerBytes + payload.length)
  bytes.writeUInt32BE(chunkMagic, 0)
  bytes.writeUInt16BE(done ? doneFlag : 0, 4)
  bytes.writeUInt16BE(type, 6)
  bytes.writeBigUInt64BE(cookie, 8)
  bytes.writeUInt32BE(payload.length + extraBytes, replyHeaderBytes)
  payload.copy(bytes, headerBytes)
  return bytes
}

/** @param bytes the first 16 of a reply */
export function decodeReplyHeader(bytes: Buffer): ReplyHeader | null {
  const magic = bytes.readUInt32BE(0)
  const cookie = bytes.readBigUInt64BE(8)
  if (magic === simpleReplyMagic) return { kind: 'simple', error: bytes.readUInt32BE(4), cookie }
  if (magic !== chunkMagic) return null
  return {
    kind: 'chunk',
    done: (bytes.readUInt16BE(4) & doneFlag) !== 0,
    type: bytes.readUInt16BE(6),
    cookie,
  }
}

function u64(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(8)
  writeU64(bytes, value, 0)
  return bytes
}

/** The last chunk of an answer that has nothing more to say. */
export function encodeNone(cookie: bigint): Buffer {
  return encodeChunk(chunkKind.none, cookie, true, Buffer.alloc(0))
}

/** What stands in front of `length` bytes of data. */
export function encodeDataHeader(cookie: bigint, offset: number, length: number, done: boolean): Buffer {
  return encodeChunk(chunkKind.offsetData, cookie, done, u64(offset), length)
}

export function encodeHole(cookie: bigint, offset: number, length: number, done: boolean): Buffer {
  return encodeChunk(chunkKind.offsetHole, cookie, done, Buffer.concat([u64(offset), u32(length)]))
}

/** "NBD_REPLY_TYPE_ERROR" or, with an offset, "NBD_REPLY_TYPE_ERROR_OFFSET". */
export interface ErrorChunk {
  error: number
  message: string
  offset: number | null
}

export function encodeError(cookie: bigint, { error, message, offset }: ErrorChunk, done: boolean): Buffer {
  const text = Buffer.from(message, 'utf8').subarray(0, maxStringBytes)
  const head = Buffer.allocUnsafe(6)
  head.writeUInt32BE(error, 0)
  head.writeUInt16BE(text.length, 4)
  const type = offset === null ? chunkKind.error : chunkKind.errorOffset
  return encodeChunk(
    type,
    cookie,
    done,
    Buffer.concat(offset === null ? [head, text] : [head, text, u64(offset)]),
  )
}

/** The payload of any chunk whose type has bit 15: of unknown ones, what all begin with. */
export function decodeError(type: number, payload: Buffer): ErrorChunk | null {
  if (payload.length < 6) return null
  const messageEnd = 6 + payload.readUInt16BE(4)
  const hasOffset = type === chunkKind.errorOffset
  if (messageEnd + (hasOffset ? 8 : 0) > payload.length) return null
  return {
    error: payload.readUInt32BE(0),
    message: payload.toString('utf8', 6, messageEnd),
    offset: hasOffset ? readU64(payload, messageEnd) : null,
  }
}

/** One descriptor of a block status. */
export interface StatusDescriptor {
  length: number
  flags: number
}

export interface BlockStatus {
  contextId: number
  descriptors: StatusDescriptor[]
}

export function encodeBlockStatus(cookie: bigint, status: BlockStatus, done: boolean): Buffer {
  const { contextId, descriptors } = status
  const payload = Buffer.allocUnsafe(4 + 8 * descriptors.length)
  payload.writeUInt32BE(contextId, 0)
  descriptors.forEach(({ length, flags }, index) => {
    payload.writeUInt32BE(length, 4 + 8 * index)
    payload.writeUInt32BE(flags, 8 + 8 * index)
  })
  return encodeChunk(chunkKind.blockStatus, cookie, done, payload)
}

/** @returns null unless there is at least one descriptor and none is empty */
export function decodeBlockStatus(payload: Buffer): BlockStatus | null {
  if (payload.length < 12 || (payload.length - 4) % 8 !== 0) return null
  const descriptors: StatusDescriptor[] = []
  for (let at = 4; at < payload.length; at += 8) {
    const length = payload.readUInt32BE(at)
    if (length === 0) return null
    descriptors.push({ length, flags: payload.readUInt32BE(at + 4) })
  }
  return { contextId: payload.readUInt32BE(0), descriptors }
}

/**
 * What is said before the first request: the handshake, options and their answers ("Handshake phase" of the NBD
 * protocol). Promises that what is decoded was checked against the length of its message: a decoder of data answers
 * null for anything else, takes no memory for a number it has not seen filled, and never throws. Relies on headers
 * being handed over whole.
 */
import {
  handshakeBytes,
  handshakeMagic,
  infoKind,
  maxStringBytes,
  optionHeaderBytes,
  optionMagic,
  optionReplyHeaderBytes,
  optionReplyMagic,
  readU64,
  u32,
  writeU64,
} from './nbd-protocol.ts'

/** Reads fields one after another; once one does not fit, all is null. */
class Fields {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  u16(): number | null {
    const at = this.#step(2)
    return at === null ? null : this.#bytes.readUInt16BE(at)
  }

  u32(): number | null {
    const at = this.#step(4)
    return at === null ? null : this.#bytes.readUInt32BE(at)
  }

  /** A string behind its length. */
  text(): string | null {
    const length = this.u32()
    if (length === null || length > maxStringBytes) return null
    const at = this.#step(length)
    return at === null ? null : this.#bytes.toString('utf8', at, at + length)
  }

  #step(size: number): number | null {
    const at = this.#at
    if (at + size > this.#bytes.length) return null
    this.#at = at + size
    return at
  }
}

function textField(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8')
  return Buffer.concat([u32(bytes.length), bytes])
}

/** What a server says first: "Fixed newstyle negotiation". */
export function encodeHandshake(flags: number): Buffer {
  const bytes = Buffer.allocUnsafe(handshakeBytes)
  bytes.writeBigUInt64BE(handshakeMagic, 0)
  bytes.writeBigUInt64BE(optionMagic, 8)
  bytes.writeUInt16BE(flags, 16)
  return bytes
}

/** @returns the handshake flags; null when this is no newstyle server */
export function decodeHandshake(bytes: Buffer): number | null {
  const fits = bytes.readBigUInt64BE(0) === handshakeMagic && bytes.readBigUInt64BE(8) === optionMagic
  return fits ? bytes.readUInt16BE(16) : null
}

export interface OptionHeader {
  option: number
  length: number
}

export function encodeOption(kind: number, data: Buffer): Buffer {
  const header = Buffer.allocUnsafe(optionHeaderBytes)
  header.writeBigUInt64BE(optionMagic, 0)
  header.writeUInt32BE(kind, 8)
  header.writeUInt32BE(data.length, 12)
  return Buffer.concat([header, data])
}

export function decodeOptionHeader(bytes: Buffer): OptionHeader | null {
  if (bytes.readBigUInt64BE(0) !== optionMagic) return null
  return { option: bytes.readUInt32BE(8), length: bytes.readUInt32BE(12) }
}

export interface OptionReplyHeader extends OptionHeader {
  reply: number
}

export function encodeOptionReply(kind: number, reply: number, data: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.allocUnsafe(optionReplyHeaderBytes)
  header.writeBigUInt64BE(optionReplyMagic, 0)
  header.writeUInt32BE(kind, 8)
  header.writeUInt32BE(reply, 12)
  header.writeUInt32BE(data.length, 16)
  return Buffer.concat([header, data])
}

export function decodeOptionReplyHeader(bytes: Buffer): OptionReplyHeader | null {
  if (bytes.readBigUInt64BE(0) !== optionReplyMagic) return null
  return { option: bytes.readUInt32BE(8), reply: bytes.readUInt32BE(12), length: bytes.readUInt32BE(16) }
}

export function isOptionError(reply: number): boolean {
  return reply >= 0x80000000
}

/** The data of NBD_OPT_GO and NBD_OPT_INFO: an export, and what the client wants to be told of it. */
export interface GoRequest {
  exportName: string
  infoKinds: number[]
}

export function encodeGo({ exportName, infoKinds }: GoRequest): Buffer {
  const tail = Buffer.allocUnsafe(2 + 2 * infoKinds.length)
  tail.writeUInt16BE(infoKinds.length)
  infoKinds.forEach((kind, index) => {
    tail.writeUInt16BE(kind, 2 + 2 * index)
  })
  return Buffer.concat([textField(exportName), tail])
}

export function decodeGo(data: Buffer): GoRequest | null {
  const fields = new Fields(data)
  const exportName = fields.text()
  const count = fields.u16()
  if (exportName === null || count === null) return null
  const infoKinds: number[] = []
  for (let index = 0; index < count; index += 1) {
    const kind = fields.u16()
    if (kind === null) return null
    infoKinds.push(kind)
  }
  return fields.atEnd ? { exportName, infoKinds } : null
}

/** The data of NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT. */
export interface MetaContextRequest {
  exportName: string
  queries: string[]
}

export function encodeMetaContextRequest({ exportName, queries }: MetaContextRequest): Buffer {
  return Buffer.concat([textField(exportName), u32(queries.length), ...queries.map(textField)])
}

export function decodeMetaContextRequest(data: Buffer): MetaContextRequest | null {
  const fields = new Fields(data)
  const exportName = fields.text()
  const count = fields.u32()
  if (exportName === null || count === null) return null
  const queries: string[] = []
  for (let index = 0; index < count; index += 1) {
    const query = fields.text()
    if (query === null) return null
    queries.push(query)
  }
  return fields.atEnd ? { exportName, queries } : null
}

/** The data of NBD_REP_META_CONTEXT: the number by which answers will name a context. */
export function encodeMetaContext(id: number, name: string): Buffer {
  return Buffer.concat([u32(id), Buffer.from(name, 'utf8')])
}

export function decodeMetaContext(data: Buffer): { id: number; name: string } | null {
  return data.length < 4 ? null : { id: data.readUInt32BE(0), name: data.toString('utf8', 4) }
}

/** The data of NBD_REP_SERVER. */
export function encodeServerName(name: string): Buffer {
  return textField(name)
}

/** What NBD_REP_INFO tells of an export; kinds that are not used here are `other`. */
export type ExportInfo =
  | { kind: 'export'; sizeBytes: number; flags: number }
  | { kind: 'name'; name: string }
  | { kind: 'blockSize'; minBytes: number; preferredBytes: number; maxBytes: number }
  | { kind: 'other' }

export function encodeInfo(info: Exclude<ExportInfo, { kind: 'other' }>): Buffer {
  if (info.kind === 'name') {
    const name = Buffer.from(info.name, 'utf8')
    return Buffer.concat([Buffer.from([0, infoKind.name]), name])
  }
  if (info.kind === 'export') {
    const bytes = Buffer.allocUnsafe(12)
    bytes.writeUInt16BE(infoKind.export, 0)
    writeU64(bytes, info.sizeBytes, 2)
    bytes.writeUInt16BE(info.flags, 10)
    return bytes
  }
  const bytes = Buffer.allocUnsafe(14)
  bytes.writeUInt16BE(infoKind.blockSize, 0)
  bytes.writeUInt32BE(info.minBytes, 2)
  bytes.writeUInt32BE(info.preferredBytes, 6)
  bytes.writeUInt32BE(info.maxBytes, 10)
  return bytes
}

export function decodeInfo(data: Buffer): ExportInfo | null {
  if (data.length < 2) return null
  const kind = data.readUInt16BE(0)
  if (kind === infoKind.name) return { kind: 'name', name: data.toString('utf8', 2) }
  if (kind === infoKind.export) {
    if (data.length !== 12) return null
    return { kind: 'export', sizeBytes: readU64(data, 2), flags: data.readUInt16BE(10) }
  }
  if (kind !== infoKind.blockSize) return { kind: 'other' }
  if (data.length !== 14) return null
  const minBytes = data.readUInt32BE(2)
  return {
    kind: 'blockSize',
    minBytes,
    preferredBytes: data.readUInt32BE(6),
    maxBytes: data.readUInt32BE(10),
  }
}

/** The answer to NBD_OPT_EXPORT_NAME; `zeroes` unless both sides agreed to leave them out. */
export function encodeExportNameReply(sizeBytes: number, flags: number, zeroes: boolean): Buffer {
  const bytes = Buffer.alloc(zeroes ? 134 : 10)
  writeU64(bytes, sizeBytes, 0)
  bytes.writeUInt16BE(flags, 8)
  return bytes
}

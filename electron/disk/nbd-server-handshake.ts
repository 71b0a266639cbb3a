/**
 * A server's side of the handshake: fixed newstyle with the options QEMU and qemu-img use. Promises that a client
 * that asks for too much, in too many words or too slowly is let go, and that the export is told exactly. Relies
 * on its caller to bound the time.
 */
import type { ByteReader } from './byte-stream.ts'
import {
  decodeGo,
  decodeMetaContextRequest,
  decodeOptionHeader,
  encodeExportNameReply,
  encodeHandshake,
  encodeInfo,
  encodeMetaContext,
  encodeOptionReply,
  encodeServerName,
} from './nbd-handshake-codec.ts'
import {
  clientFlagsBytes,
  handshakeFlag,
  infoKind,
  maxRequestBytes,
  metaContext,
  option,
  optionHeaderBytes,
  optionReply,
  transmissionFlag,
} from './nbd-protocol.ts'

/** The number of `base:allocation` in answers: the one context there is. */
export const allocationContextId = 1

export interface Export {
  name: string
  sizeBytes: number
}

/** What the client wants of the export. */
export interface Agreed {
  structuredReplies: boolean
  allocationContext: boolean
}

/** Room for a name of the longest kind and some queries. */
const maxOptionBytes = 16 * 1024
const maxOptions = 64

/** "Transmission flags" of what only reads: several connections see the same. */
const exportFlags = transmissionFlag.hasFlags | transmissionFlag.readOnly | transmissionFlag.canMultiConn

export type Send = (...parts: Uint8Array[]) => Promise<void>

/** @returns null when the client ended it, or broke the rules: the connection is to be closed */
export async function serveHandshake(reader: ByteReader, send: Send, served: Export): Promise<Agreed | null> {
  const offered = handshakeFlag.fixedNewstyle | handshakeFlag.noZeroes
  await send(encodeHandshake(offered))
  const clientFlags = (await reader.readExactly(clientFlagsBytes)).readUInt32BE(0)
  if ((clientFlags & ~offered) !== 0) return null
  const handshake = new Handshake(send, served, (clientFlags & handshakeFlag.noZeroes) === 0)
  for (let count = 0; count < maxOptions; count += 1) {
    const header = decodeOptionHeader(await reader.readExactly(optionHeaderBytes))
    if (header === null || header.length > maxOptionBytes) return null
    const outcome = await handshake.answer(header.option, await reader.readExactly(header.length))
    if (outcome === 'transmission') return handshake.agreed
    if (outcome === 'over') return null
  }
  return null
}

type Outcome = 'go on' | 'transmission' | 'over'

class Handshake {
  readonly agreed: Agreed = { structuredReplies: false, allocationContext: false }
  readonly #send: Send
  readonly #export: Export
  readonly #sendsZeroes: boolean

  constructor(send: Send, served: Export, sendsZeroes: boolean) {
    this.#send = send
    this.#export = served
    this.#sendsZeroes = sendsZeroes
  }

  async answer(kind: number, data: Buffer): Promise<Outcome> {
    switch (kind) {
      case option.exportName:
        return await this.#exportName(data)
      case option.abort:
        await this.#reply(kind, optionReply.ack)
        return 'over'
      case option.list:
        return await this.#list(kind, data)
      case option.info:
      case option.go:
        return await this.#go(kind, data)
      case option.structuredReply:
        return await this.#structuredReply(kind, data)
      case option.listMetaContext:
      case option.setMetaContext:
        return await this.#metaContext(kind, data)
      default:
        return await this.#reply(kind, optionReply.unsupported)
    }
  }

  /** The empty name is the default export, and there is only one. */
  #isOurs(name: string): boolean {
    return name === '' || name === this.#export.name
  }

  async #reply(kind: number, reply: number, data?: Buffer): Promise<'go on'> {
    await this.#send(encodeOptionReply(kind, reply, data))
    return 'go on'
  }

  /** It cannot be refused in words: "the server MUST terminate the session". */
  async #exportName(data: Buffer): Promise<Outcome> {
    if (!this.#isOurs(data.toString('utf8'))) return 'over'
    await this.#send(encodeExportNameReply(this.#export.sizeBytes, exportFlags, this.#sendsZeroes))
    return 'transmission'
  }

  async #list(kind: number, data: Buffer): Promise<Outcome> {
    if (data.length > 0) return await this.#reply(kind, optionReply.invalid)
    await this.#reply(kind, optionReply.server, encodeServerName(this.#export.name))
    return await this.#reply(kind, optionReply.ack)
  }

  async #go(kind: number, data: Buffer): Promise<Outcome> {
    const request = decodeGo(data)
    if (request === null) return await this.#reply(kind, optionReply.invalid)
    if (!this.#isOurs(request.exportName)) return await this.#reply(kind, optionReply.unknownExport)
    const { name, sizeBytes } = this.#export
    const info = (data: Buffer): Promise<'go on'> => this.#reply(kind, optionReply.info, data)
    if (request.infoKinds.includes(infoKind.name)) await info(encodeInfo({ kind: 'name', name }))
    await info(encodeInfo({ kind: 'export', sizeBytes, flags: exportFlags }))
    // A guest's disk has sectors of 512 bytes; pages are what is cheap to answer.
    const minBytes = sizeBytes % 512 === 0 ? 512 : 1
    await info(encodeInfo({ kind: 'blockSize', minBytes, preferredBytes: 4096, maxBytes: maxRequestBytes }))
    await this.#reply(kind, optionReply.ack)
    return kind === option.go ? 'transmission' : 'go on'
  }

  async #structuredReply(kind: number, data: Buffer): Promise<Outcome> {
    if (data.length > 0) return await this.#reply(kind, optionReply.invalid)
    this.agreed.structuredReplies = true
    return await this.#reply(kind, optionReply.ack)
  }

  async #metaContext(kind: number, data: Buffer): Promise<Outcome> {
    const request = decodeMetaContextRequest(data)
    if (request === null || !this.agreed.structuredReplies) {
      return await this.#reply(kind, optionReply.invalid)
    }
    if (!this.#isOurs(request.exportName)) return await this.#reply(kind, optionReply.unknownExport)
    const isList = kind === option.listMetaContext
    // A list without queries is of all contexts, and "base:" is of all in that namespace; a choice names its own.
    const wanted =
      request.queries.includes(metaContext.allocation) ||
      (isList && (request.queries.length === 0 || request.queries.includes('base:')))
    if (!isList) this.agreed.allocationContext = wanted
    if (wanted) {
      const context = encodeMetaContext(isList ? 0 : allocationContextId, metaContext.allocation)
      await this.#reply(kind, optionReply.metaContext, context)
    }
    return await this.#reply(kind, optionReply.ack)
  }
}

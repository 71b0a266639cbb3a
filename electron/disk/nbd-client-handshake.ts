/**
 * A client's side of the handshake: fixed newstyle, structured replies, metadata contexts, NBD_OPT_GO. Promises that
 * it settles: the caller's socket is given up when the server does not finish in time. Relies on the server to know
 * structured replies, as QEMU does since 2.11.
 */
import type { WdockError } from '../../shared/errors/index.ts'
import {
  decodeHandshake,
  decodeInfo,
  decodeMetaContext,
  decodeOptionReplyHeader,
  encodeGo,
  encodeMetaContextRequest,
  encodeOption,
  isOptionError,
  type OptionReplyHeader,
} from './nbd-handshake-codec.ts'
import {
  handshakeBytes,
  handshakeFlag,
  infoKind,
  maxRequestBytes,
  maxStringBytes,
  option,
  optionReply,
  optionReplyHeaderBytes,
  transmissionFlag,
  u32,
} from './nbd-protocol.ts'
import { type NbdSocket, nbdFailure } from './nbd-socket.ts'

/** What both sides agreed on. */
export interface Negotiated {
  sizeBytes: number
  readOnly: boolean
  /** Offsets and lengths of requests are multiples of this. */
  alignBytes: number
  /** The longest read the server takes. */
  maxReadBytes: number
  /** The numbers of the contexts that were asked for, in that order. */
  contextIds: number[]
}

export interface HandshakeOptions {
  exportName: string
  /** Metadata contexts, each of which must be there. */
  contexts: readonly string[]
  timeoutMs: number
}

/** No option is answered by more than this many messages, nor by longer ones. */
const maxReplies = 1024
const maxReplyBytes = 2 * maxStringBytes

/** @throws disk.nbd_failed; the socket is given up then */
export async function negotiate(socket: NbdSocket, options: HandshakeOptions): Promise<Negotiated> {
  const late = setTimeout(
    () => socket.destroy(nbdFailure(`no handshake within ${options.timeoutMs} ms`)),
    options.timeoutMs,
  )
  try {
    const flags = decodeHandshake(await socket.next(handshakeBytes))
    if (flags === null) throw nbdFailure('this is no NBD server')
    if ((flags & handshakeFlag.fixedNewstyle) === 0)
      throw nbdFailure('the server does not know fixed newstyle')
    // Every flag that is used is one that the server has set; the bits of both are the same.
    socket.write(u32(flags & (handshakeFlag.fixedNewstyle | handshakeFlag.noZeroes)))
    await ask(socket, option.structuredReply, Buffer.alloc(0))
    const contextIds = options.contexts.length === 0 ? [] : await selectContexts(socket, options)
    return { ...(await go(socket, options.exportName)), contextIds }
  } catch (error) {
    socket.destroy(error as WdockError)
    throw error
  } finally {
    clearTimeout(late)
  }
}

interface OptionReply extends OptionReplyHeader {
  data: Buffer
}

/** Asks for an option. @returns all that was said before it was granted */
async function ask(socket: NbdSocket, kind: number, data: Buffer): Promise<OptionReply[]> {
  socket.write(encodeOption(kind, data))
  const replies: OptionReply[] = []
  while (replies.length <= maxReplies) {
    const header = decodeOptionReplyHeader(await socket.next(optionReplyHeaderBytes))
    if (header === null || header.option !== kind) throw nbdFailure(`answer to option ${kind} out of form`)
    if (header.length > maxReplyBytes) throw nbdFailure(`answer to option ${kind} of ${header.length} bytes`)
    const payload = header.length === 0 ? Buffer.alloc(0) : await socket.next(header.length)
    if (isOptionError(header.reply)) throw refusal(kind, header.reply, payload)
    if (header.reply === optionReply.ack) return replies
    replies.push({ ...header, data: payload })
  }
  throw nbdFailure(`answer to option ${kind} without an end`)
}

function refusal(kind: number, reply: number, payload: Buffer): WdockError {
  const said = payload.length > 0 ? `: ${payload.toString('utf8')}` : ''
  return nbdFailure(`the server refused option ${kind} with 0x${reply.toString(16)}${said}`)
}

async function selectContexts(socket: NbdSocket, options: HandshakeOptions): Promise<number[]> {
  const { exportName, contexts } = options
  const request = encodeMetaContextRequest({ exportName, queries: [...contexts] })
  const ids = new Map<string, number>()
  for (const { reply, data } of await ask(socket, option.setMetaContext, request)) {
    const context = reply === optionReply.metaContext ? decodeMetaContext(data) : null
    if (context === null) throw nbdFailure('a metadata context out of form')
    ids.set(context.name, context.id)
  }
  const found = contexts.map((name) => {
    const id = ids.get(name)
    if (id === undefined) throw nbdFailure(`the server does not offer the metadata context ${name}`)
    return id
  })
  if (new Set(found).size !== found.length) throw nbdFailure('two metadata contexts have one number')
  return found
}

async function go(socket: NbdSocket, exportName: string): Promise<Omit<Negotiated, 'contextIds'>> {
  const request = encodeGo({ exportName, infoKinds: [infoKind.blockSize] })
  let size: { sizeBytes: number; flags: number } | null = null
  let block = { minBytes: 1, maxBytes: maxRequestBytes }
  for (const { reply, data } of await ask(socket, option.go, request)) {
    const info = reply === optionReply.info ? decodeInfo(data) : null
    if (info === null) throw nbdFailure('what the server tells of the export is out of form')
    if (info.kind === 'export') size = info
    if (info.kind === 'blockSize') block = info
  }
  if (size === null || !Number.isSafeInteger(size.sizeBytes)) throw nbdFailure('the export has no size')
  return {
    sizeBytes: size.sizeBytes,
    readOnly: (size.flags & transmissionFlag.readOnly) !== 0,
    alignBytes: checkedAlignment(block.minBytes),
    maxReadBytes: checkedMaximum(block.maxBytes, block.minBytes),
  }
}

/** "Block size constraints": a power of two up to 64 KiB. */
function checkedAlignment(minBytes: number): number {
  const isPowerOfTwo = minBytes > 0 && (minBytes & (minBytes - 1)) === 0
  if (!isPowerOfTwo || minBytes > 65_536) throw nbdFailure(`a smallest block of ${minBytes} bytes`)
  return minBytes
}

/** A multiple of the smallest block; all ones is no limit. */
function checkedMaximum(maxBytes: number, minBytes: number): number {
  const limit = Math.min(maxBytes, maxRequestBytes)
  if (limit < minBytes) throw nbdFailure(`a largest block of ${maxBytes} bytes`)
  return limit - (limit % minBytes)
}

/** For tests: the other ends of the NBD protocol, byte by byte, so that they can do everything wrong. */
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { expect } from 'vitest'
import { ByteReader, writeAll } from './byte-stream.ts'
import {
  decodeGo,
  decodeMetaContextRequest,
  decodeOptionHeader,
  decodeOptionReplyHeader,
  encodeGo,
  encodeHandshake,
  encodeInfo,
  encodeMetaContext,
  encodeMetaContextRequest,
  encodeOption,
  encodeOptionReply,
  isOptionError,
} from './nbd-handshake-codec.ts'
import {
  clientFlagsBytes,
  handshakeBytes,
  handshakeFlag,
  metaContext,
  option,
  optionHeaderBytes,
  optionReply,
  optionReplyHeaderBytes,
  replyHeaderBytes,
  requestBytes,
  transmissionFlag,
  u32,
} from './nbd-protocol.ts'
import {
  decodeError,
  decodeReplyHeader,
  decodeRequest,
  encodeRequest,
  type NbdRequest,
} from './nbd-transfer-codec.ts'

/** A server that says what a test tells it to. */
export interface FakeServer {
  /** Resolves when a client is gone. */
  clientGone: Promise<unknown>
  close(): Promise<void>
}

export type Script = (socket: Socket, reader: ByteReader) => Promise<void>

/** Runs `script` for each client; what it throws ends that client. */
export async function fakeServer(socketPath: string, script: Script): Promise<FakeServer> {
  const sockets = new Set<Socket>()
  const { promise: clientGone, resolve } = Promise.withResolvers<void>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => resolve())
    const reader = new ByteReader(socket)
    script(socket, reader).catch(() => socket.destroy())
  }).listen(socketPath)
  await once(server, 'listening')
  return {
    clientGone,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      if (server.listening) await once(server.close(), 'close')
    },
  }
}

export interface FakeExport {
  sizeBytes: number
  minBytes?: number
  maxBytes?: number
  contexts?: Readonly<Record<string, number>>
}

/** Shakes hands properly. */
export async function shakeHands(socket: Socket, reader: ByteReader, served: FakeExport): Promise<void> {
  const { sizeBytes, minBytes = 1, maxBytes = 32 * 1024 * 1024, contexts = {} } = served
  await writeAll(socket, encodeHandshake(handshakeFlag.fixedNewstyle | handshakeFlag.noZeroes))
  await reader.readExactly(clientFlagsBytes)
  for (;;) {
    const header = decodeOptionHeader(await reader.readExactly(optionHeaderBytes))
    if (header === null) throw new Error('no option')
    const data = await reader.readExactly(header.length)
    const reply = (kind: number, payload?: Buffer): void => {
      socket.write(encodeOptionReply(header.option, kind, payload))
    }
    for (const name of decodeMetaContextRequest(data)?.queries ?? []) {
      const id = contexts[name]
      if (id !== undefined) reply(optionReply.metaContext, encodeMetaContext(id, name))
    }
    if (header.option === option.go && decodeGo(data) !== null) {
      reply(optionReply.info, encodeInfo({ kind: 'export', sizeBytes, flags: transmissionFlag.hasFlags }))
      reply(optionReply.info, encodeInfo({ kind: 'blockSize', minBytes, preferredBytes: 4096, maxBytes }))
    }
    reply(optionReply.ack)
    if (header.option === option.go) return
  }
}

/** The requests of a client, as they come. */
export async function* requestsOf(reader: ByteReader): AsyncGenerator<NbdRequest> {
  for (;;) {
    const request = decodeRequest(await reader.readExactly(requestBytes))
    if (request === null) throw new Error('no request')
    yield request
  }
}

/** What a server said to an option. */
export interface Told {
  reply: number
  data: Buffer
}

/** A client that says what a test tells it to. */
export class RawClient {
  readonly socket: Socket
  readonly reader: ByteReader

  private constructor(socket: Socket) {
    this.socket = socket
    this.reader = new ByteReader(socket)
    socket.on('error', () => {})
  }

  static async connect(socketPath: string): Promise<RawClient> {
    const client = new RawClient(connect(socketPath))
    await once(client.socket, 'connect')
    return client
  }

  /** Says its client flags. */
  async greet(clientFlags: number = handshakeFlag.fixedNewstyle | handshakeFlag.noZeroes): Promise<this> {
    await this.reader.readExactly(handshakeBytes)
    this.socket.write(u32(clientFlags))
    return this
  }

  /** Asks for an option. @returns all answers, the last one being an acknowledgement or an error */
  async ask(kind: number, data: Buffer = Buffer.alloc(0)): Promise<Told[]> {
    this.socket.write(encodeOption(kind, data))
    const told: Told[] = []
    for (;;) {
      const header = decodeOptionReplyHeader(await this.reader.readExactly(optionReplyHeaderBytes))
      if (header === null || header.option !== kind) throw new Error('out of turn')
      told.push({ reply: header.reply, data: await this.reader.readExactly(header.length) })
      if (header.reply === optionReply.ack || isOptionError(header.reply)) return told
    }
  }

  /** Goes on to the transmission phase. */
  async transmit(wants = { structuredReplies: true, contexts: true }): Promise<this> {
    await this.greet()
    if (wants.structuredReplies) await this.ask(option.structuredReply)
    const queries = [metaContext.allocation]
    const chosen = encodeMetaContextRequest({ exportName: '', queries })
    if (wants.contexts) await this.ask(option.setMetaContext, chosen)
    await this.ask(option.go, encodeGo({ exportName: 'disk0', infoKinds: [] }))
    return this
  }

  /** The error of the next answer; 0 for a data chunk. */
  async nextError(): Promise<number> {
    const header = decodeReplyHeader(await this.reader.readExactly(replyHeaderBytes))
    if (header === null) throw new Error('no answer')
    expect(header.cookie).toBe(rawCookie)
    if (header.kind === 'simple') return header.error
    const payload = await this.reader.readExactly((await this.reader.readExactly(4)).readUInt32BE(0))
    return (header.type & 0x8000) === 0 ? 0 : (decodeError(header.type, payload)?.error ?? -1)
  }

  /** Takes whatever comes and fails unless that ends. */
  async expectCutOff(): Promise<void> {
    const drain = async (): Promise<void> => {
      for (;;) await this.reader.readSome(1 << 20)
    }
    await expect(drain()).rejects.toMatchObject({ code: 'disk.transfer_cut' })
  }

  destroy(): void {
    this.socket.destroy()
  }
}

const rawCookie = 5n

/** A request of a raw client. */
export function rawRequest(kind: number, offset: number, length: number, flags = 0): Buffer {
  return encodeRequest({ flags, command: kind, cookie: rawCookie, offset, length })
}

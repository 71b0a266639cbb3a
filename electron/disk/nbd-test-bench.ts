/** For tests: a folder with a socket in it, whatever is connected to that, and a disk to serve. `end` leaves nothing. */
import { mkdtemp, rm } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { NbdClient, type NbdClientOptions } from './nbd-client.ts'
import type { BlockProvider } from './nbd-connection.ts'
import type { BlockExtent } from './nbd-extents.ts'
import { metaContext } from './nbd-protocol.ts'
import { NbdServer, type NbdServerOptions } from './nbd-server.ts'
import {
  type FakeExport,
  type FakeServer,
  fakeServer,
  RawClient,
  requestsOf,
  type Script,
  shakeHands,
} from './nbd-test-peers.ts'
import { encodeDataHeader, type NbdRequest } from './nbd-transfer-codec.ts'

export const mebibyteBytes = 1024 * 1024

export class NbdBench {
  readonly folder: string
  readonly #ends: (() => Promise<void>)[] = []
  #fake: FakeServer | null = null

  private constructor(folder: string) {
    this.folder = folder
  }

  static async make(): Promise<NbdBench> {
    return new NbdBench(await mkdtemp(join(tmpdir(), 'nbd-')))
  }

  get path(): string {
    return join(this.folder, 's')
  }

  /** A server of ours, its export named disk0. */
  async serve(provider: BlockProvider, options: Partial<NbdServerOptions> = {}): Promise<NbdServer> {
    const server = await NbdServer.listen({
      socketPath: this.path,
      exportName: 'disk0',
      provider,
      ...options,
    })
    this.#ends.push(() => server.close())
    return server
  }

  /** A client of ours. */
  async connect(options: Partial<NbdClientOptions> = {}): Promise<NbdClient> {
    const contexts = [metaContext.allocation]
    const client = await NbdClient.connect({ socketPath: this.path, contexts, ...options })
    this.#ends.push(() => client.close())
    return client
  }

  /** A client of a server that says what a test tells it to; it waits for nothing long. */
  async connectTo(script: Script, options: Partial<NbdClientOptions> = {}): Promise<NbdClient> {
    const server = await fakeServer(this.path, script)
    this.#fake = server
    this.#ends.push(server.close)
    return await this.connect({ handshakeMs: 300, silenceMs: 200, contexts: [], ...options })
  }

  /** A client of a server that shakes hands and then answers each request as told. */
  async connectToAnswers(
    answer: (request: NbdRequest, socket: Socket) => void | Promise<void>,
    served: FakeExport = { sizeBytes: 8 * mebibyteBytes },
    options: Partial<NbdClientOptions> = {},
  ): Promise<NbdClient> {
    const script: Script = async (socket, reader) => {
      await shakeHands(socket, reader, served)
      for await (const request of requestsOf(reader)) await answer(request, socket)
    }
    return await this.connectTo(script, options)
  }

  /** Resolves when a client of the newest such server is gone. */
  get clientGone(): Promise<unknown> | undefined {
    return this.#fake?.clientGone
  }

  /** Makes room for another one. */
  async closeFake(): Promise<void> {
    await this.#fake?.close()
  }

  /** A client that says what a test tells it to. */
  async raw(): Promise<RawClient> {
    const client = await RawClient.connect(this.path)
    this.#ends.push(async () => client.destroy())
    return client
  }

  /** Clients first: a server waits for none of them. */
  async end(): Promise<void> {
    for (const end of this.#ends.reverse()) await end()
    await rm(this.folder, { recursive: true, force: true })
  }
}

/** A disk in memory, of which a test can hold reads back or make them fail. */
export class TestDisk implements BlockProvider {
  readonly content: Buffer
  readonly #extents: BlockExtent[]
  readonly reads: { offset: number; lengthBytes: number; signal: AbortSignal }[] = []
  /** Called before a read is answered. */
  before: (offset: number) => void | Promise<void> = () => {}

  constructor(extents: BlockExtent[]) {
    this.#extents = extents
    this.content = Buffer.alloc(extents.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0))
    let at = 0
    for (const { lengthBytes, kind } of extents) {
      if (kind === 'data') this.content.fill(0x41 + (at % 23), at, at + lengthBytes)
      at += lengthBytes
    }
  }

  get sizeBytes(): number {
    return this.content.length
  }

  async read(offset: number, lengthBytes: number, signal: AbortSignal): Promise<Buffer> {
    this.reads.push({ offset, lengthBytes, signal })
    await this.before(offset)
    return this.content.subarray(offset, offset + lengthBytes)
  }

  *extents(offset: number, lengthBytes: number): Generator<BlockExtent> {
    let at = 0
    for (const extent of this.#extents) {
      const start = Math.max(at, offset)
      const end = Math.min(at + extent.lengthBytes, offset + lengthBytes)
      if (end > start) yield { lengthBytes: end - start, kind: extent.kind }
      at += extent.lengthBytes
    }
  }
}

/** A disk with data everywhere. */
export function dataOf(sizeBytes: number): TestDisk {
  return new TestDisk([{ lengthBytes: sizeBytes, kind: 'data' }])
}

/** Content that tells its place. */
export function contentAt(offset: number, lengthBytes: number): Buffer {
  const bytes = Buffer.alloc(lengthBytes)
  for (let index = 0; index < lengthBytes; index += 1) bytes[index] = ((offset + index) * 31) % 251
  return bytes
}

/** An answer with such content. */
export function dataChunk({ cookie, offset, length }: NbdRequest, done = true): Buffer {
  return Buffer.concat([encodeDataHeader(cookie, offset, length, done), contentAt(offset, length)])
}

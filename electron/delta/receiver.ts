/**
 * The decoder between two sockets: that of the relay from the other dock, and QEMU's, which waits for the guest.
 * Promises that no more is taken from the link than QEMU takes, but for what waits behind a repair, and that both
 * sockets are closed when it is over. Relies on nobody else reading them.
 */
import { connect, createServer, type Server, type Socket } from 'node:net'
import { fail } from '../../shared/errors/index.ts'
import { Decoder, type DecoderStats } from './decoder.ts'
import { Garbage } from './garbage.ts'
import { backward, forward, limits } from './grammar.ts'
import type { KeptMemory } from './kept-memory.ts'
import type { KnownFiles } from './known-files.ts'
import { badMessage, type Message, MessageReader, plainMessages } from './messages.ts'

export interface ReceiverOptions {
  /** Where QEMU listens. */
  qemuPath: string
  kept: KeptMemory
  files: KnownFiles
}

/** Beyond this no more is read, unless what is waited for may still come behind it. */
const queueBytes = 2 * 1024 * 1024
/** A sender that keeps to its window has no more on its way than this. */
const mostQueueBytes = limits.openPages * 4096 + 4 * limits.messageBytes

export class Receiver {
  /** Resolves when both sockets have ended; rejects with what broke. */
  readonly ended: Promise<void>
  readonly #settle: { resolve: () => void; reject: (error: unknown) => void }
  readonly #decoder: Decoder
  readonly #reader: MessageReader
  readonly #server: Server
  readonly #queue: { type: number; payload: Buffer }[] = []
  readonly #qemuPath: string
  readonly #garbage = new Garbage()
  #queuedBytes = 0
  #relay: Socket | null = null
  #qemu: Socket | null = null

  constructor({ qemuPath, kept, files }: ReceiverOptions) {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.ended = promise
    promise.catch(() => undefined)
    this.#settle = { resolve, reject }
    this.#qemuPath = qemuPath
    this.#decoder = new Decoder({
      kept,
      files,
      send: (message) => this.#send(message),
      write: (bytes, taken) => this.#write(bytes, taken),
    })
    this.#reader = new MessageReader(Object.keys(forward).length, (type, payload) =>
      this.#arrive(type, payload),
    )
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true })
    this.#server.once('connection', (socket) => this.#join(socket))
  }

  get stats(): DecoderStats {
    return this.#decoder.stats
  }

  /** The visit that is coming; null before the sender has said. */
  get visit(): Buffer | null {
    return this.#decoder.visit
  }

  /** Whether what is kept is what the sender keeps. */
  get isWhole(): boolean {
    return this.#decoder.isWhole
  }

  /** @param path where the relay connects */
  async listen(path: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(path, resolve)
    })
  }

  #join(relay: Socket): void {
    this.#server.close()
    this.#relay = relay
    const qemu = connect({ path: this.#qemuPath, allowHalfOpen: true })
    this.#qemu = qemu
    qemu.on('connect', () => relay.resume())
    qemu.on('data', (chunk: Buffer) => {
      for (const message of plainMessages(backward.plain, chunk)) this.#send(message)
    })
    qemu.on('end', () => {
      relay.end()
      this.#endWhenDone()
    })
    relay.on('data', (chunk: Buffer) => this.#hear(chunk))
    relay.on('end', () => this.#onRelayEnd())
    for (const each of [qemu, relay]) {
      each.on('error', (error: Error) => this.#fail(error))
      each.on('close', () => this.#onClose(each))
    }
  }

  #hear(chunk: Buffer): void {
    try {
      this.#reader.push(chunk)
      if (this.#queuedBytes > mostQueueBytes) throw badMessage('more than was allowed')
    } catch (error) {
      this.#fail(error)
      return
    }
    if (this.#queuedBytes > queueBytes && !this.#decoder.isLacking) this.#relay?.pause()
  }

  #arrive(type: number, payload: Buffer): void {
    if (type === forward.repair) this.#decoder.take(type, payload)
    else {
      this.#queue.push({ type, payload })
      this.#queuedBytes += payload.length
    }
    this.#takeAll()
  }

  #takeAll(): void {
    while (!this.#decoder.mustWait) {
      const next = this.#queue.shift()
      if (next === undefined) break
      this.#queuedBytes -= next.payload.length
      this.#decoder.take(next.type, next.payload)
    }
    if (this.#queuedBytes <= queueBytes || this.#decoder.isLacking) this.#relay?.resume()
    if (this.#decoder.hasEnded) this.#qemu?.end()
  }

  #write(bytes: Buffer, taken: () => void): void {
    this.#garbage.made(bytes.length)
    this.#qemu?.write(bytes, (error) => {
      if (error) return
      taken()
      this.#try(() => this.#takeAll())
    })
  }

  #send(message: Message): void {
    const relay = this.#relay
    if (relay === null || !relay.writable) return
    relay.cork()
    for (const part of message) relay.write(part)
    relay.uncork()
  }

  #try(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#fail(error)
    }
  }

  #onRelayEnd(): void {
    this.#try(() => this.#reader.end())
    this.#endWhenDone()
  }

  #endWhenDone(): void {
    if (this.#relay?.readableEnded && this.#qemu?.readableEnded) this.#settle.resolve()
  }

  #onClose(socket: Socket): void {
    if (socket.readableEnded) this.#endWhenDone()
    else this.#fail(fail('delta.stopped', {}, { detail: 'a socket was closed without an end' }))
  }

  #fail(error: unknown): void {
    this.#settle.reject(error)
    this.#server.close()
    this.#qemu?.destroy()
    this.#relay?.destroy()
  }
}

/**
 * The decoder between two sockets: that of the relay from the other dock, and QEMU's, which waits for the guest; or
 * nobody's, where a guest's memory is only kept. Promises that no more is taken from the link than QEMU takes, but for
 * what waits behind a repair, and that both sockets are closed when it is over. Relies on nobody else reading them.
 */
import { connect, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { Decoder, type DecoderStats } from './decoder.ts'
import { Ends, stopped } from './ends.ts'
import { Garbage } from './garbage.ts'
import { backward, forward, limits, pageBytes } from './grammar.ts'
import type { KeptMemory } from './kept-memory.ts'
import type { KnownFiles } from './known-files.ts'
import { badMessage, type Message, MessageReader, plainMessages } from './messages.ts'

export interface ReceiverOptions {
  /** Where QEMU listens; null where what comes is checked and kept, and nothing else. */
  qemuPath: string | null
  kept: KeptMemory
  files: KnownFiles
}

/** Beyond this no more is read, unless what is waited for may still come behind it. */
const queueBytes = 2 * 1024 * 1024
/** A sender that keeps to its window has no more on its way than this. */
const mostQueueBytes = limits.openPages * pageBytes + 4 * limits.messageBytes

export class Receiver {
  readonly #ends: Ends
  readonly #decoder: Decoder
  readonly #reader: MessageReader
  readonly #queue: { type: number; payload: Buffer }[] = []
  readonly #qemuPath: string | null
  readonly #garbage = new Garbage()
  #queuedBytes = 0
  #relay: Socket | null = null
  #qemu: Duplex | null = null

  constructor({ qemuPath, kept, files }: ReceiverOptions) {
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
    this.#ends = new Ends((socket) => this.#join(socket))
  }

  /** Resolves when both sockets have ended; rejects with what broke. */
  get ended(): Promise<void> {
    return this.#ends.ended
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
    await this.#ends.listen(path)
  }

  #join(relay: Socket): void {
    this.#relay = relay
    const qemu = this.#qemuPath === null ? nobody() : connect({ path: this.#qemuPath, allowHalfOpen: true })
    this.#qemu = qemu
    if (this.#qemuPath === null) relay.resume()
    else qemu.on('connect', () => relay.resume())
    qemu.on('data', (chunk: Buffer) => {
      for (const message of plainMessages(backward.plain, chunk)) this.#send(message)
      if (relay.writableNeedDrain) qemu.pause()
    })
    qemu.on('end', () => {
      relay.end()
      this.#endWhenDone()
    })
    relay.on('drain', () => qemu.resume())
    relay.on('data', (chunk: Buffer) => this.#ends.try(() => this.#hear(chunk)))
    relay.on('end', () => this.#ends.try(() => this.#onRelayEnd()))
    this.#ends.watch([qemu, relay], () => this.#endWhenDone())
  }

  #hear(chunk: Buffer): void {
    this.#reader.push(chunk)
    if (this.#queuedBytes > mostQueueBytes) throw badMessage('more than was allowed')
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
      this.#ends.try(() => this.#takeAll())
    })
  }

  #send(message: Message): void {
    const relay = this.#relay
    if (relay === null || !relay.writable) return
    relay.cork()
    for (const part of message) relay.write(part)
    relay.uncork()
  }

  /** What the sender said last waits for QEMU, perhaps; or it will never be said. */
  #onRelayEnd(): void {
    this.#reader.end()
    const isSaid = this.#decoder.hasEnded || this.#queue.at(-1)?.type === forward.end
    if (!isSaid || this.#decoder.isLacking) throw stopped('the link ended before the stream')
    this.#endWhenDone()
  }

  #endWhenDone(): void {
    if (this.#relay?.readableEnded && this.#qemu?.readableEnded) this.#ends.done()
  }
}

/** Takes everything, says nothing, and ends when it is ended. */
function nobody(): Duplex {
  return new Duplex({
    read: () => undefined,
    write: (_bytes, _encoding, taken) => taken(),
    final(taken) {
      this.push(null)
      taken()
    },
  })
}

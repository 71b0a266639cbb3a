/**
 * The receiver's half of the codec: messages of the sender go in, the stream for QEMU comes out. Promises that not one
 * byte of a batch comes out before its check is right, that batches come out in order, and bounded memory whatever
 * arrives. Relies on its owner for sockets, and on `mustWait` being heeded. Nothing here waits.
 */
import { sameBlocks } from '../pages/kept/kept-block.ts'
import { readBatch } from './batch-reader.ts'
import { type Base, base, forward, limits, mostBatchStreamBytes, pageIdBytes } from './grammar.ts'
import type { KeptMemory } from './kept-memory.ts'
import type { KnownFiles } from './known-files.ts'
import {
  answerMessage,
  badMessage,
  doneMessage,
  type Hello,
  knownMessage,
  lacksMessage,
  type Message,
  readHello,
  readRepair,
} from './messages.ts'
import { Rebuild } from './rebuild.ts'

export interface DecoderOptions {
  kept: KeptMemory
  files: KnownFiles
  send: (message: Message) => void
  /** Bytes for QEMU; their memory is free again when `taken` is called. */
  write: (bytes: Buffer, taken: () => void) => void
}

export interface DecoderStats {
  batches: number
  /** Pages that were not here, or not right, and were sent again. */
  repairedPages: number
  /** Bytes handed to QEMU. */
  streamBytes: number
}

/** Batches that QEMU has not taken yet. */
const mostWrites = 3

/** Where a batch waits for its repair. */
interface Lacking {
  number: number
  check: Buffer
  out: Buffer
  bytes: number
}

export class Decoder {
  readonly #options: DecoderOptions
  readonly #free: Buffer[] = []
  #hello: Hello | null = null
  #rebuild: Rebuild | null = null
  #lacking: Lacking | null = null
  #writes = 0
  #number = 0
  #isAside = false
  #ended = false
  readonly stats: DecoderStats = { batches: 0, repairedPages: 0, streamBytes: 0 }

  constructor(options: DecoderOptions) {
    this.#options = options
  }

  /** The visit that is coming; null before the sender has said. */
  get visit(): Buffer | null {
    return this.#hello?.visit ?? null
  }

  /** Whether all of memory came by batches, so that what is kept is what the sender keeps. */
  get isWhole(): boolean {
    return this.#ended && !this.#isAside && this.#hello !== null
  }

  get hasEnded(): boolean {
    return this.#ended
  }

  /** Whether only a repair may be taken now, or nothing at all until QEMU has taken something. */
  get mustWait(): boolean {
    return this.#lacking !== null || this.#writes >= mostWrites
  }

  get isLacking(): boolean {
    return this.#lacking !== null
  }

  /** Takes a message, in order; a repair as soon as it comes. @throws delta.bad_message */
  take(type: number, payload: Buffer): void {
    if (this.#ended) throw badMessage('something after the end')
    switch (type) {
      case forward.hello:
        this.#takeHello(payload)
        return
      case forward.plain:
        if (!this.#isAside) throw badMessage('plain bytes among batches')
        this.#write(payload, payload.length, () => {})
        return
      case forward.batch:
        this.#takeBatch(payload)
        return
      case forward.repair:
        this.#takeRepair(payload)
        return
      case forward.aside:
        if (payload.length > 0) throw badMessage('an aside that says something')
        this.#isAside = true
        return
      default:
        if (payload.length > 0) throw badMessage('an end that says something')
        this.#ended = true
    }
  }

  #takeHello(payload: Buffer): void {
    if (this.#hello !== null) throw badMessage('a second hello')
    const { kept, files, send } = this.#options
    const hello = readHello(payload)
    const of = this.#baseFor(hello)
    this.#hello = hello
    const { idKey, blocks } = hello
    kept.begin({ idKey, blocks, from: of === base.nothing ? 'nothing' : 'known' })
    if (of === base.told) {
      kept.eachKnown((address, ids, count) => {
        for (let from = 0; from < count; from += limits.toldIds) {
          const to = Math.min(count, from + limits.toldIds)
          send(knownMessage(address + from, ids.subarray(from * pageIdBytes, to * pageIdBytes)))
        }
      })
    }
    const shared = files.matchTo(hello.files)
    this.#rebuild = new Rebuild({ kept, files, idKey, blocks })
    send(answerMessage({ base: of, files: shared }))
  }

  #baseFor(hello: Hello): Base {
    const { known } = this.#options.kept
    if (known === null || !known.idKey.equals(hello.idKey)) return base.nothing
    if (!sameBlocks(known.blocks, hello.blocks)) return base.nothing
    return hello.known?.equals(known.visit) ? base.shared : base.told
  }

  #takeBatch(payload: Buffer): void {
    if (this.#rebuild === null || this.#isAside) throw badMessage('a batch out of place')
    const parts = readBatch(payload)
    if (parts.number !== this.#number + 1) throw badMessage(`batch ${parts.number} after ${this.#number}`)
    this.#number = parts.number
    const out = this.#free.pop() ?? Buffer.allocUnsafeSlow(mostBatchStreamBytes)
    const bytes = this.#rebuild.begin(parts, out)
    if (this.#rebuild.isRight(parts.check)) {
      this.#hand({ number: parts.number, out, bytes })
      return
    }
    this.#lacking = { number: parts.number, check: Buffer.from(parts.check), out, bytes }
    this.#options.send(lacksMessage(parts.number, this.#rebuild.ids))
  }

  #takeRepair(payload: Buffer): void {
    const lacking = this.#lacking
    const { number, positions, pages } = readRepair(payload)
    if (lacking === null || this.#rebuild === null || number !== lacking.number)
      throw badMessage('a repair of what is whole')
    this.#rebuild.repair(positions, pages)
    if (!this.#rebuild.isRight(lacking.check)) throw badMessage(`batch ${number} is wrong after its repair`)
    this.stats.repairedPages += positions.length
    this.#lacking = null
    this.#hand(lacking)
  }

  #hand({ number, out, bytes }: Omit<Lacking, 'check'>): void {
    this.stats.batches += 1
    this.#write(out, bytes, () => {
      this.#free.push(out)
      this.#options.send(doneMessage(number))
    })
  }

  #write(out: Buffer, bytes: number, taken: () => void): void {
    this.#writes += 1
    this.stats.streamBytes += bytes
    this.#options.write(out.subarray(0, bytes), () => {
      this.#writes -= 1
      taken()
    })
  }
}

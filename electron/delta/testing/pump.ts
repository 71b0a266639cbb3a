/**
 * Joins an encoder and a decoder without sockets, step by step, as their owners do: for tests. What crosses forward can
 * be changed on its way. Relies on its caller to compare what comes out.
 */
import { Decoder } from '../decoder.ts'
import { Encoder } from '../encoder.ts'
import { backward, forward } from '../grammar.ts'
import type { KeptMemory } from '../kept-memory.ts'
import { type FilePlace, KnownFiles } from '../known-files.ts'
import { MessageReader } from '../messages.ts'

export interface PumpOptions {
  sender: KeptMemory
  receiver: KeptMemory
  visit: Buffer
  idKey: Buffer
  /** Files of either side. */
  senderFiles?: readonly FilePlace[]
  receiverFiles?: readonly FilePlace[]
  /** Changes what crosses forward. */
  meddle?: (bytes: Buffer) => Buffer
  /** How many pieces of the stream the codec serves before it steps aside. */
  asideAfter?: number
  /** The stream may stop in the middle. */
  mayStop?: boolean
}

export interface Pumped {
  /** What QEMU got: the whole stream, or less where a message was never finished. */
  stream: Buffer
  forwardBytes: number
  encoder: Encoder
  decoder: Decoder
}

/** @throws what either end throws */
export function pump(pieces: readonly Buffer[], options: PumpOptions): Pumped {
  const senderFiles = new KnownFiles(options.senderFiles ?? [])
  const receiverFiles = new KnownFiles(options.receiverFiles ?? [])
  try {
    return new Pump(options, senderFiles, receiverFiles).run(pieces)
  } finally {
    senderFiles.close()
    receiverFiles.close()
  }
}

class Pump {
  readonly #options: PumpOptions
  readonly #out: Buffer[] = []
  readonly #toReceiver: Buffer[] = []
  readonly #toSender: Buffer[] = []
  readonly #waiting: { type: number; payload: Buffer }[] = []
  readonly #held = new Map<Buffer, number>()
  readonly #encoder: Encoder
  readonly #decoder: Decoder
  readonly #atReceiver = new MessageReader(Object.keys(forward).length, (type, payload) =>
    this.#arrive(type, payload),
  )
  readonly #atSender = new MessageReader(Object.keys(backward).length, (type, payload) =>
    this.#encoder.hear(type, payload),
  )
  #forwardBytes = 0

  constructor(options: PumpOptions, senderFiles: KnownFiles, receiverFiles: KnownFiles) {
    this.#options = options
    this.#decoder = new Decoder({
      kept: options.receiver,
      files: receiverFiles,
      send: (message) => this.#toSender.push(Buffer.concat(message)),
      write: (bytes, taken) => {
        this.#out.push(Buffer.from(bytes))
        taken()
      },
    })
    this.#encoder = new Encoder({
      kept: options.sender,
      files: senderFiles,
      visit: options.visit,
      newIdKey: options.idKey,
      mayStop: options.mayStop ?? false,
      send: (message) => this.#toReceiver.push(Buffer.concat(message)),
      plain: () => {},
      hold: (piece) => this.#count(piece, 1),
      release: (piece) => this.#count(piece, -1),
    })
  }

  run(pieces: readonly Buffer[]): Pumped {
    let rest: Buffer = Buffer.alloc(0)
    for (const [index, piece] of pieces.entries()) {
      if (index === this.#options.asideAfter) this.#encoder.stepAside()
      rest = this.#takeAll(Buffer.concat([rest, piece]), index % 2 === 0)
    }
    this.#encoder.end(rest, 0, rest.length)
    this.#carry()
    const isHeld = [...this.#held.values()].some((times) => times > 0)
    if (this.#encoder.isSettled && isHeld) throw new Error('a piece was not released')
    return {
      stream: Buffer.concat(this.#out),
      forwardBytes: this.#forwardBytes,
      encoder: this.#encoder,
      decoder: this.#decoder,
    }
  }

  /** @returns what was not taken */
  #takeAll(piece: Buffer, flushes: boolean): Buffer {
    for (let at = 0; at < piece.length; ) {
      const end = this.#encoder.take(piece, at, piece.length)
      if (flushes) this.#encoder.flush()
      const hasCarried = this.#carry()
      if (end === at && !hasCarried) return piece.subarray(at)
      at = end
    }
    return piece.subarray(piece.length)
  }

  #carry(): boolean {
    let hasCarried = false
    for (;;) {
      const there = this.#toReceiver.shift()
      const back = this.#toSender.shift()
      if (there === undefined && back === undefined) return hasCarried
      hasCarried = true
      if (there !== undefined) {
        const bytes = this.#options.meddle?.(there) ?? there
        this.#forwardBytes += bytes.length
        this.#atReceiver.push(bytes)
      }
      if (back !== undefined) this.#atSender.push(back)
    }
  }

  #arrive(type: number, payload: Buffer): void {
    if (type === forward.repair) this.#decoder.take(type, payload)
    else this.#waiting.push({ type, payload })
    for (let [next] = this.#waiting; next !== undefined && !this.#decoder.mustWait; [next] = this.#waiting) {
      this.#waiting.shift()
      this.#decoder.take(next.type, next.payload)
    }
  }

  #count(piece: Buffer, by: number): void {
    const times = (this.#held.get(piece) ?? 0) + by
    if (times < 0) throw new Error('released more often than held')
    this.#held.set(piece, times)
  }
}

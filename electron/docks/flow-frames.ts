/**
 * The frames of a windowed stream: `u8 kind, u24be length, payload` (PROTOCOL.md, "Windowed streams").
 * Promises to pass DATA on in the pieces in which it arrives, without copies, and to check every length.
 */
import { fail } from '../../shared/errors/index.ts'

export const flowKind = { data: 0, credit: 1, end: 2, ping: 3, pong: 4 } as const

export const maxDataBytes = 256 * 1024
export const headerBytes = 4
const numberBytes = 4

export type NumberKind = typeof flowKind.credit | typeof flowKind.ping | typeof flowKind.pong

/** Writes the header of a DATA frame in front of a payload of `sizeBytes`. */
export function writeDataHeader(frame: Buffer, sizeBytes: number): void {
  frame[0] = flowKind.data
  frame.writeUIntBE(sizeBytes, 1, 3)
}

export function numberFrame(kind: NumberKind, value: number): Buffer {
  const frame = Buffer.allocUnsafe(headerBytes + numberBytes)
  frame[0] = kind
  frame.writeUIntBE(numberBytes, 1, 3)
  frame.writeUInt32BE(value, headerBytes)
  return frame
}

export function endFrame(): Buffer {
  return Buffer.from([flowKind.end, 0, 0, 0])
}

export interface FlowEvents {
  data: (piece: Buffer) => void
  number: (kind: NumberKind, value: number) => void
  end: () => void
}

/** Takes the bytes of one direction apart, however they are cut. */
export class FlowParser {
  readonly #events: FlowEvents
  readonly #small = Buffer.alloc(headerBytes)
  #smallBytes = 0
  /** Null while a header is being read. */
  #kind: number | null = null
  #remainingBytes = 0
  #ended = false

  constructor(events: FlowEvents) {
    this.#events = events
  }

  /** @throws dock.bad_message */
  push(chunk: Buffer): void {
    let offset = 0
    while (offset < chunk.length) {
      if (this.#kind === flowKind.data) offset += this.#takeData(chunk, offset)
      else offset += this.#takeSmall(chunk, offset)
    }
  }

  #takeData(chunk: Buffer, offset: number): number {
    const sizeBytes = Math.min(this.#remainingBytes, chunk.length - offset)
    this.#remainingBytes -= sizeBytes
    if (this.#remainingBytes === 0) this.#kind = null
    this.#events.data(chunk.subarray(offset, offset + sizeBytes))
    return sizeBytes
  }

  /** Headers and numbers are both four bytes. */
  #takeSmall(chunk: Buffer, offset: number): number {
    const sizeBytes = Math.min(headerBytes - this.#smallBytes, chunk.length - offset)
    chunk.copy(this.#small, this.#smallBytes, offset, offset + sizeBytes)
    this.#smallBytes += sizeBytes
    if (this.#smallBytes < headerBytes) return sizeBytes
    this.#smallBytes = 0
    if (this.#kind === null) this.#onHeader(this.#small[0] ?? 0, this.#small.readUIntBE(1, 3))
    else this.#onNumber(this.#kind, this.#small.readUInt32BE(0))
    return sizeBytes
  }

  #onNumber(kind: number, value: number): void {
    this.#kind = null
    if (kind === flowKind.credit || kind === flowKind.ping || kind === flowKind.pong) {
      this.#events.number(kind, value)
    }
  }

  #onHeader(kind: number, sizeBytes: number): void {
    switch (kind) {
      case flowKind.data:
        check(!this.#ended && sizeBytes > 0 && sizeBytes <= maxDataBytes, `DATA of ${sizeBytes} bytes`)
        this.#kind = kind
        this.#remainingBytes = sizeBytes
        break
      case flowKind.end:
        check(!this.#ended && sizeBytes === 0, 'END out of turn')
        this.#ended = true
        this.#events.end()
        break
      case flowKind.credit:
      case flowKind.ping:
      case flowKind.pong:
        check(sizeBytes === numberBytes, `frame ${kind} of ${sizeBytes} bytes`)
        this.#kind = kind
        break
      default:
        check(false, `unknown frame ${kind}`)
    }
  }
}

function check(valid: boolean, detail: string): void {
  if (!valid) throw fail('dock.bad_message', {}, { detail })
}

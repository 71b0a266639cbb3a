/**
 * What the destination of a migration says to its source (QEMU's migration/migration.c, source_return_path_thread).
 * Promises a named error for anything it does not know, and at most one message in memory.
 */
import { fail, type WdockError } from '../../../shared/errors/index.ts'
import { pageBytes, returnMessage } from './grammar.ts'

export type ReturnMessage =
  /** The end; 0 is success. */
  | { kind: 'shut'; value: number }
  /** The guest waits for this page. `name` is null when the block is the one asked for last. */
  | { kind: 'page'; name: string | null; page: number }

const headerBytes = 4
/** A request with a name of 255 bytes is the longest. */
const maxDataBytes = 12 + 1 + 255
export class ReturnPath {
  #held = Buffer.alloc(0)

  /** Takes the next piece. @returns the messages that end in it. @throws qemu.load_failed */
  push(piece: Buffer): ReturnMessage[] {
    const bytes = this.#held.length === 0 ? piece : Buffer.concat([this.#held, piece])
    const messages: ReturnMessage[] = []
    let at = 0
    while (bytes.length - at >= headerBytes) {
      const type = bytes.readUInt16BE(at)
      const length = bytes.readUInt16BE(at + 2)
      if (length > maxDataBytes) throw unknown(`a message of ${length} bytes`)
      if (bytes.length - at - headerBytes < length) break
      at += headerBytes
      const message = parse(type, bytes.subarray(at, at + length))
      if (message !== null) messages.push(message)
      at += length
    }
    this.#held = Buffer.from(bytes.subarray(at))
    return messages
  }
}

/** @returns null for what needs no answer */
function parse(type: number, data: Buffer): ReturnMessage | null {
  switch (type) {
    case returnMessage.shut:
      if (data.length !== 4) throw unknown('a goodbye of another length')
      return { kind: 'shut', value: data.readUInt32BE() }
    case returnMessage.reqPages:
      if (data.length !== 12) throw unknown('a request of another length')
      return { kind: 'page', name: null, page: pageOf(data) }
    case returnMessage.reqPagesId: {
      if (data.length < 14 || data.length !== 13 + data.readUInt8(12))
        throw unknown('a request without a name')
      return { kind: 'page', name: data.toString('latin1', 13), page: pageOf(data) }
    }
    case returnMessage.pong:
    case returnMessage.switchoverAck:
      return null
    default:
      throw unknown(`a message of type ${type}`)
  }
}

/** QEMU asks for one page of its memory at a time: more than 4096 bytes would be a huge page. */
function pageOf(data: Buffer): number {
  const offset = data.readUInt32BE(0) * 2 ** 32 + data.readUInt32BE(4)
  const bytes = data.readUInt32BE(8)
  if (bytes !== pageBytes || offset % pageBytes !== 0)
    throw unknown(`a request for ${bytes} bytes at ${offset}`)
  return offset / pageBytes
}

function unknown(what: string): WdockError {
  return fail('qemu.load_failed', {}, { detail: `QEMU sent ${what}` })
}

/**
 * Messages between sender and receiver: `u8 type, u32 length, payload` (DELTA.md). Promises one named error for
 * whatever does not keep to that, and memory for one message at most. Relies on `grammar.ts` for all limits.
 */
import { fail, type WdockError } from '../../shared/errors/index.ts'
import type { KeptBlock } from '../pages/kept/kept-block.ts'
import { ByteReader, ByteWriter } from '../platform/bytes.ts'
import {
  type Base,
  backward,
  base,
  coding,
  deltaVersion,
  forward,
  idKeyBytes,
  limits,
  messageHeaderBytes,
  pageBytes,
  pageIdBytes,
  visitBytes,
} from './grammar.ts'
import type { FileName } from './known-files.ts'

export function badMessage(why: string): WdockError {
  return fail('delta.bad_message', {}, { detail: why })
}

export const readerOf = (payload: Buffer): ByteReader => new ByteReader(payload, badMessage)

/** Header and payload, to be written one behind the other. */
export type Message = readonly Buffer[]

export function message(type: number, ...parts: Buffer[]): Message {
  const header = Buffer.allocUnsafe(messageHeaderBytes)
  header[0] = type
  header.writeUInt32LE(
    parts.reduce((sum, part) => sum + part.length, 0),
    1,
  )
  return [header, ...parts]
}

/** Cuts what arrives into messages, each payload in memory of its own. */
export class MessageReader {
  readonly #types: number
  readonly #take: (type: number, payload: Buffer) => void
  readonly #header = Buffer.alloc(messageHeaderBytes)
  #headerBytes = 0
  #payload: Buffer | null = null
  #payloadBytes = 0

  /** @param types how many types there are */
  constructor(types: number, take: (type: number, payload: Buffer) => void) {
    this.#types = types
    this.#take = take
  }

  /** @throws delta.bad_message, and what `take` throws */
  push(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      const count =
        this.#payload === null
          ? chunk.copy(this.#header, this.#headerBytes, at)
          : chunk.copy(this.#payload, this.#payloadBytes, at)
      at += count
      if (this.#payload === null) this.#headerBytes += count
      else this.#payloadBytes += count
      this.#next()
    }
  }

  /** The far end has ended. @throws delta.bad_message in the middle of a message */
  end(): void {
    if (this.#headerBytes > 0) throw badMessage('the end in the middle of a message')
  }

  #next(): void {
    if (this.#payload === null) {
      if (this.#headerBytes < messageHeaderBytes) return
      this.#payload = this.#begin()
      this.#payloadBytes = 0
    }
    const payload = this.#payload
    if (this.#payloadBytes < payload.length) return
    const [type = 0] = this.#header
    this.#payload = null
    this.#headerBytes = 0
    this.#take(type, payload)
  }

  #begin(): Buffer {
    const [type = 0] = this.#header
    const length = this.#header.readUInt32LE(1)
    if (type >= this.#types) throw badMessage(`a message of type ${type}`)
    if (length > limits.messageBytes) throw badMessage(`a message of ${length} bytes`)
    return Buffer.allocUnsafe(length)
  }
}

export interface Hello {
  /** The visit to come. */
  visit: Buffer
  /** The visit of which the sender has a snapshot. */
  known: Buffer | null
  idKey: Buffer
  blocks: readonly KeptBlock[]
  /** Files of the guest that the sender has, by the ids of their contents. */
  files: readonly FileName[]
}

const noVisit = Buffer.alloc(visitBytes)

export function helloMessage({ visit, known, idKey, blocks, files }: Hello): Message {
  const out = new ByteWriter()
  out.u8(deltaVersion)
  out.bytes(visit)
  out.bytes(known ?? noVisit)
  out.bytes(idKey)
  out.uv(blocks.length)
  for (const { name, pages } of blocks) putNamed(out, name, pages)
  out.uv(files.length)
  for (const { id, pages } of files) putNamed(out, id, pages)
  return message(forward.hello, out.finish())
}

function putNamed(out: ByteWriter, name: string, pages: number): void {
  out.u8(name.length)
  out.bytes(Buffer.from(name, 'latin1'))
  out.uv(pages)
}

/** @throws delta.bad_message */
export function readHello(payload: Buffer): Hello {
  const reader = readerOf(payload)
  const version = reader.u8()
  if (version !== deltaVersion) throw badMessage(`version ${version}`)
  const visit = Buffer.from(reader.take(visitBytes))
  const known = Buffer.from(reader.take(visitBytes))
  const idKey = Buffer.from(reader.take(idKeyBytes))
  const count = reader.count(limits.blocks, 2)
  const blocks = Array.from({ length: count }, () => readNamed(reader, limits.blockPages))
  const fileCount = reader.count(limits.files, 2)
  const files = Array.from({ length: fileCount }, () => {
    const { name: id, pages } = readNamed(reader, limits.filePages)
    return { id, pages }
  })
  reader.end()
  const total = blocks.reduce((sum, { pages }) => sum + pages, 0)
  if (total > limits.guestPages) throw badMessage(`a guest of ${total} pages`)
  if (new Set(blocks.map(({ name }) => name)).size !== count) throw badMessage('two blocks of one name')
  return { visit, known: known.equals(noVisit) ? null : known, idKey, blocks, files }
}

function readNamed(reader: ByteReader, mostPages: number): KeptBlock {
  const name = reader.take(reader.u8()).toString('latin1')
  const pages = reader.uv()
  if (name === '' || pages === 0 || pages > mostPages) throw badMessage(`${pages} pages of “${name}”`)
  return { name, pages }
}

export interface Answer {
  base: Base
  /** Which of the sender's files are here. */
  files: readonly boolean[]
}

export function answerMessage({ base: of, files }: Answer): Message {
  return message(backward.answer, Buffer.from([deltaVersion, of, ...files.map(Number)]))
}

/** @throws delta.bad_message */
export function readAnswer(payload: Buffer): Answer {
  const reader = readerOf(payload)
  const version = reader.u8()
  const of = reader.u8()
  const files = [...reader.take(reader.remaining)].map((flag) => flag === 1)
  if (version !== deltaVersion) throw badMessage(`version ${version}`)
  for (const known of Object.values(base)) if (known === of) return { base: known, files }
  throw badMessage(`an answer of ${of}`)
}

/** Ids of pages at addresses that follow each other. */
export function knownMessage(address: number, ids: Buffer): Message {
  const out = new ByteWriter()
  out.uv(address)
  return message(backward.known, out.finish(), Buffer.from(ids))
}

/** @param endAddress where memory ends @throws delta.bad_message */
export function readKnown(payload: Buffer, endAddress: number): { address: number; ids: Buffer } {
  const reader = readerOf(payload)
  const address = reader.uv()
  const ids = reader.take(reader.remaining)
  const count = ids.length / pageIdBytes
  if (!Number.isInteger(count) || count > limits.toldIds || address + count > endAddress) {
    throw badMessage(`${ids.length} bytes of ids at ${address}`)
  }
  return { address, ids }
}

export function doneMessage(number: number): Message {
  return message(backward.done, numbered(number))
}

/** @throws delta.bad_message */
export function readDone(payload: Buffer): number {
  const reader = readerOf(payload)
  const number = reader.uv()
  reader.end()
  return number
}

export function lacksMessage(number: number, ids: Buffer): Message {
  return message(backward.lacks, numbered(number), Buffer.from(ids))
}

/** @throws delta.bad_message */
export function readLacks(payload: Buffer): { number: number; ids: Buffer } {
  const reader = readerOf(payload)
  return { number: reader.uv(), ids: reader.take(reader.remaining) }
}

export interface Repair {
  number: number
  /** Which of the batch's pages that are not zeros, in ascending order. */
  positions: readonly number[]
  pages: Buffer
}

export function repairMessage({ number, positions, pages }: Repair): Message {
  const out = new ByteWriter()
  out.uv(number)
  out.uv(positions.length)
  for (const position of positions) out.uv(position)
  return message(forward.repair, out.finish(), pages)
}

/** @throws delta.bad_message */
export function readRepair(payload: Buffer): Repair {
  const reader = readerOf(payload)
  const number = reader.uv()
  const count = reader.count(limits.pages, pageBytes)
  const positions = Array.from({ length: count }, () => reader.uv())
  const pages = reader.take(count * pageBytes)
  reader.end()
  return { number, positions, pages }
}

export const asideMessage = (): Message => message(forward.aside)
export const endMessage = (): Message => message(forward.end)

export function plainMessages(type: number, bytes: Buffer): Message[] {
  const messages: Message[] = []
  for (let at = 0; at < bytes.length; at += limits.plainBytes) {
    messages.push(message(type, bytes.subarray(at, at + limits.plainBytes)))
  }
  return messages
}

function numbered(number: number): Buffer {
  const out = new ByteWriter(8)
  out.uv(number)
  return out.finish()
}

/** The coding of a body. @throws delta.bad_message */
export function readCoding(reader: ByteReader): (typeof coding)[keyof typeof coding] {
  const found = reader.u8()
  if (found !== coding.raw && found !== coding.zstd) throw badMessage(`a coding of ${found}`)
  return found
}

/**
 * What comes before memory in a stream: machine type, ram's section id, the list of memory blocks. One pure function
 * over what has arrived so far, so that the same code reads a stream on its way and a head that was stored.
 * Promises a named error for whatever it does not understand, and memory within `streamLimits`.
 */
import { fail, type WdockError } from '../../../shared/errors/index.ts'
import {
  command,
  pageBytes,
  type RamBlock,
  ramFlag,
  ramVersion,
  type StreamHead,
  sectionType,
  streamLimits,
  streamMagic,
  streamVersion,
} from './grammar.ts'

export type HeadProgress =
  /** `bytesRead` of the stream belong to the head. */
  | { kind: 'head'; head: StreamHead; bytesRead: number }
  /** Call again when at least so many bytes are there. */
  | { kind: 'more'; wantedBytes: number }

/** Thrown inside this file only, where the bytes end. */
class WantsMore {
  readonly wantedBytes: number
  constructor(wantedBytes: number) {
    this.wantedBytes = wantedBytes
  }
}

/** An error of the stream. @param offset where, in bytes from its start */
export function badStream(why: string, offset: number): WdockError {
  return fail('qemu.bad_stream', {}, { detail: `at byte ${offset}: ${why}` })
}

/** An error of a stream that is right but not for us. @param what as a noun: "compressed pages" */
export function unsupportedStream(what: string): WdockError {
  return fail('stream.unsupported', { what })
}

class Cursor {
  readonly bytes: Buffer
  at = 0

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  skip(count: number): number {
    const from = this.at
    if (from + count > this.bytes.length) throw new WantsMore(from + count)
    this.at = from + count
    return from
  }

  u8(): number {
    return this.bytes.readUInt8(this.skip(1))
  }

  peek(): number {
    const byte = this.u8()
    this.at -= 1
    return byte
  }

  u16(): number {
    return this.bytes.readUInt16BE(this.skip(2))
  }

  u32(): number {
    return this.bytes.readUInt32BE(this.skip(4))
  }

  /** A u64 as its upper 52 and its lower 12 bits. */
  record(): { page: number; flags: number } {
    const high = this.u32()
    const low = this.u32()
    return { page: high * 2 ** 20 + (low >>> 12), flags: low & 0xfff }
  }

  text(count: number): string {
    const from = this.skip(count)
    return this.bytes.toString('latin1', from, from + count)
  }

  bad(why: string): WdockError {
    return badStream(why, this.at)
  }
}

export interface HeadOptions {
  /** A move opens a return path, pings it and may announce post-copy in front of its memory; a saved stream does not. */
  commands: 'refused' | 'skipped'
}

/**
 * Reads the head at the start of `bytes`. Where it ends shows only in what follows it.
 * @throws qemu.bad_stream, stream.unsupported
 */
export function readHead(bytes: Buffer, options: HeadOptions = { commands: 'refused' }): HeadProgress {
  try {
    const cursor = new Cursor(bytes)
    const read = readToSetup(cursor, options)
    if (cursor.peek() === sectionType.full) skipEarlyDevices(cursor, read)
    return { kind: 'head', head: headOf(cursor, read), bytesRead: cursor.at }
  } catch (thrown) {
    if (!(thrown instanceof WantsMore)) throw thrown
    if (thrown.wantedBytes > streamLimits.headBytes) throw badStream('no end of the head', bytes.length)
    return { kind: 'more', wantedBytes: thrown.wantedBytes }
  }
}

/** Reads a head that was stored. @throws qemu.bad_stream, stream.unsupported */
export function parseHead(bytes: Buffer): StreamHead {
  const cursor = new Cursor(bytes)
  try {
    const read = readToSetup(cursor, { commands: 'refused' })
    const hasMore = cursor.at < bytes.length
    const isDevice = bytes[cursor.at] === sectionType.full && bytes[bytes.length - 5] === sectionType.footer
    if (hasMore && !isDevice) throw cursor.bad('something else behind the head')
    cursor.at = bytes.length
    return headOf(cursor, read)
  } catch (thrown) {
    throw thrown instanceof WantsMore ? badStream('the head is cut short', bytes.length) : thrown
  }
}

type ReadSetup = Omit<StreamHead, 'bytes'> & { flushes: readonly number[] }

function headOf(cursor: Cursor, { flushes, ...read }: ReadSetup): StreamHead {
  return { ...read, bytes: without(cursor.bytes.subarray(0, cursor.at), flushes) }
}

/** Up to and including the START of ram. */
function readToSetup(cursor: Cursor, { commands }: HeadOptions): ReadSetup {
  const machine = readConfiguration(cursor)
  const configurationBytes = cursor.at
  if (commands === 'skipped') skipCommands(cursor)
  toRam(cursor)
  const ramSectionId = cursor.u32()
  cursor.skip(ramStart.length)
  const setup = readSetup(cursor)
  if (cursor.u8() !== sectionType.footer || cursor.u32() !== ramSectionId) {
    throw cursor.bad('no footer after the list of memory blocks')
  }
  return { machine, configurationBytes, ramSectionId, ...setup }
}

/** Magic, version and configuration. @returns the machine type */
function readConfiguration(cursor: Cursor): string {
  if (cursor.u32() !== streamMagic) throw cursor.bad('this is no migration stream')
  const version = cursor.u32()
  if (version !== streamVersion) throw cursor.bad(`version ${version}`)
  if (cursor.u8() !== sectionType.configuration) throw cursor.bad('no configuration')
  const nameBytes = cursor.u32()
  if (nameBytes === 0 || nameBytes > streamLimits.machineNameBytes) {
    throw cursor.bad(`a machine type of ${nameBytes} bytes`)
  }
  const machine = cursor.text(nameBytes)
  while (cursor.peek() === sectionType.subsection) readSubsection(cursor)
  return machine
}

/** Subsections of the configuration [vmstate_configuration in migration/savevm.c]. */
function readSubsection(cursor: Cursor): void {
  cursor.skip(1)
  const name = cursor.text(cursor.u8())
  cursor.skip(4)
  switch (name) {
    case 'configuration/target-page-bits': {
      const bits = cursor.u32()
      if (2 ** bits !== pageBytes) throw unsupportedStream(`pages of 2^${bits} bytes`)
      return
    }
    case 'configuration/capabilities': {
      // Only those are listed that change the stream: x-ignore-shared, mapped-ram.
      const count = cursor.u32()
      if (count > 0) throw unsupportedStream(`the migration capability ${cursor.text(cursor.u8())}`)
      return
    }
    case 'configuration/uuid':
      cursor.skip(16)
      return
    default:
      throw unsupportedStream(`the configuration ${name}`)
  }
}

function skipCommands(cursor: Cursor): void {
  while (cursor.peek() === sectionType.command) {
    cursor.skip(3)
    cursor.skip(cursor.u16())
  }
}

/** What follows the section id at the START of ram: name, instance, version. */
const ramStart = Buffer.from([3, 0x72, 0x61, 0x6d, 0, 0, 0, 0, 0, 0, 0, ramVersion])

/**
 * Goes to ram's section id. Devices that must be there before memory are FULL sections without a length (virtio-mem, of
 * machine types from 8.0 on). QEMU writes them in the order in which devices came to be, mostly behind the START of
 * ram. Those in front of it end where a footer and that START follow each other, 22 bytes of which all but the
 * ids are known.
 */
function toRam(cursor: Cursor): void {
  const type = cursor.peek()
  if (type === sectionType.command) throw unsupportedStream('a return path, or post-copy')
  if (type === sectionType.start) {
    cursor.skip(1)
    const nameAt = cursor.at + 4
    cursor.skip(4 + ramStart.length)
    if (!cursor.bytes.subarray(nameAt, cursor.at).equals(ramStart)) throw besideMemory()
    cursor.at = nameAt - 4
    return
  }
  if (type !== sectionType.full) throw cursor.bad(`a section of type ${type} instead of memory`)
  const { bytes } = cursor
  for (
    let found = bytes.indexOf(ramStart, cursor.at);
    found >= 0;
    found = bytes.indexOf(ramStart, found + 1)
  ) {
    const startAt = found - 5
    if (bytes[startAt] !== sectionType.start || bytes[startAt - 5] !== sectionType.footer) continue
    cursor.at = startAt + 1
    return
  }
  throw new WantsMore(laterBytes(bytes.length))
}

/**
 * Skips devices behind the START of ram: they end where a footer and the first section of ram follow each other, which
 * begins with a page in a block that is named, or with nothing at all.
 */
function skipEarlyDevices(cursor: Cursor, { ramSectionId, blocks }: ReadSetup): void {
  const { bytes } = cursor
  const id = Buffer.alloc(4)
  id.writeUInt32BE(ramSectionId)
  const names = new Set(blocks.map(({ name }) => name))
  for (let idAt = bytes.indexOf(id, cursor.at); idAt >= 0; idAt = bytes.indexOf(id, idAt + 1)) {
    const sectionAt = sectionBefore(bytes, idAt)
    if (sectionAt === null || bytes[sectionAt - 5] !== sectionType.footer) continue
    cursor.at = idAt + id.length
    const isMemory = beginsMemory(cursor, names)
    cursor.at = sectionAt
    if (isMemory) return
  }
  throw new WantsMore(laterBytes(bytes.length))
}

/** Where the PART or END of ram begins whose id is at `idAt`, with a command that may stand before an END. */
function sectionBefore(bytes: Buffer, idAt: number): number | null {
  const type = bytes[idAt - 1]
  const commandAt = idAt - 1 - switchoverCommand.length
  if (type === sectionType.end && bytes.subarray(commandAt, idAt - 1).equals(switchoverCommand))
    return commandAt
  return type === sectionType.part || type === sectionType.end ? idAt - 1 : null
}

/** Type, command, length. */
const switchoverCommand = Buffer.from([sectionType.command, 0, command.switchoverStart, 0, 0])

function beginsMemory(cursor: Cursor, names: ReadonlySet<string>): boolean {
  const { page, flags } = cursor.record()
  if (flags === ramFlag.eos || flags === ramFlag.multifdFlush) return page === 0
  return (flags === ramFlag.page || flags === ramFlag.zero) && names.has(cursor.text(cursor.u8()))
}

/** An error: other things than memory are sent in rounds. */
export function besideMemory(): WdockError {
  return unsupportedStream('state that iterates beside memory, such as dirty bitmaps')
}

/** When to look again: doing it for each byte that arrives would take quadratic time. */
function laterBytes(haveBytes: number): number {
  const { headBytes } = streamLimits
  return haveBytes < headBytes ? Math.min(Math.ceil(haveBytes * 1.5), headBytes) : haveBytes + 1
}

interface Setup {
  blocks: RamBlock[]
  /** Offsets of records that say nothing about memory. */
  flushes: number[]
}

/** The records of ram's START: the list of blocks, then EOS. */
function readSetup(cursor: Cursor): Setup {
  const flushes: number[] = []
  let blocks: RamBlock[] | null = null
  for (;;) {
    const { page, flags } = cursor.record()
    if (flags === ramFlag.memSize && blocks === null) {
      blocks = readBlocks(cursor, page)
      continue
    }
    if (flags === ramFlag.multifdFlush && page === 0 && blocks !== null && flushes.length === 0) {
      flushes.push(cursor.at - 8)
      continue
    }
    if (flags === ramFlag.eos && page === 0 && blocks !== null) return { blocks, flushes }
    if (flags === 0 && page > 0 && blocks !== null) throw unsupportedStream('memory in huge pages')
    throw cursor.bad(`flags 0x${flags.toString(16)} in the list of memory blocks`)
  }
}

function readBlocks(cursor: Cursor, totalPages: number): RamBlock[] {
  const blocks: RamBlock[] = []
  const names = new Set<string>()
  for (let leftPages = totalPages; leftPages > 0; ) {
    const nameBytes = cursor.u8()
    // With post-copy switched on, a block in huge pages has the size of its pages behind its length.
    if (nameBytes === 0 && blocks.length > 0) throw unsupportedStream('memory in huge pages')
    const name = cursor.text(nameBytes)
    const { page: pages, flags } = cursor.record()
    const misfit = flags !== 0 || pages === 0 || pages > leftPages || pages > streamLimits.blockPages
    if (nameBytes === 0 || names.has(name) || misfit) throw cursor.bad(`the memory block “${name}”`)
    names.add(name)
    blocks.push({ name, pages })
    if (blocks.length > streamLimits.blocks) throw cursor.bad('too many memory blocks')
    leftPages -= pages
  }
  if (blocks.length === 0) throw cursor.bad('no memory blocks')
  return blocks
}

/** A copy of `bytes` without the eight at each of `offsets`. */
function without(bytes: Buffer, offsets: readonly number[]): Buffer {
  const parts: Buffer[] = []
  let from = 0
  for (const offset of offsets) {
    parts.push(bytes.subarray(from, offset))
    from = offset + 8
  }
  return Buffer.concat([...parts, bytes.subarray(from)])
}

/**
 * The words of the NBD protocol, after doc/proto.md of github.com/NetworkBlockDevice/nbd; what stands in quotes in
 * a comment is a section of that document. Only what a reader and a read-only server need: fixed newstyle,
 * structured replies, metadata contexts. Relies on nothing.
 *
 * All numbers are big-endian. Offsets and sizes are JavaScript numbers: beyond 2^53 they are inexact, but still
 * larger than any device, so that a check of bounds refuses them.
 */

export const handshakeMagic = 0x4e42444d41474943n // "NBDMAGIC"
export const optionMagic = 0x49484156454f5054n // "IHAVEOPT"
export const optionReplyMagic = 0x0003e889045565a9n
export const requestMagic = 0x25609513
export const simpleReplyMagic = 0x67446698
export const chunkMagic = 0x668e33ef

/** "Handshake flags" and "Client flags": the bits of both are the same. */
export const handshakeFlag = { fixedNewstyle: 1, noZeroes: 2 } as const

/** "Transmission flags". */
export const transmissionFlag = { hasFlags: 1, readOnly: 2, canMultiConn: 256 } as const

/** "Option types". */
export const option = {
  exportName: 1,
  abort: 2,
  list: 3,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
} as const

/** "Option reply types"; bit 31 is set in errors. */
export const optionReply = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  unsupported: 0x80000001,
  invalid: 0x80000003,
  unknownExport: 0x80000006,
} as const

/** The kinds of NBD_REP_INFO. */
export const infoKind = { export: 0, name: 1, blockSize: 3 } as const

/** "Request types". */
export const command = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  writeZeroes: 6,
  blockStatus: 7,
} as const

/** "Command flags": a block status of one extent. */
export const requestOneFlag = 8

/** "Structured reply types"; bit 15 is set in errors. */
export const chunkKind = {
  none: 0,
  offsetData: 1,
  offsetHole: 2,
  blockStatus: 5,
  error: 0x8001,
  errorOffset: 0x8002,
} as const

/** "Structured reply flags": the last chunk of an answer. */
export const doneFlag = 1

/** "Error values". */
export const errorNumber = { EPERM: 1, EIO: 5, EINVAL: 22 } as const

/** Names of metadata contexts: the standard's one, and QEMU's depth of a layer (docs/interop/nbd.txt of QEMU). */
export const metaContext = { allocation: 'base:allocation', depth: 'qemu:allocation-depth' } as const

/** The bits of `base:allocation`. */
export const allocationFlag = { hole: 1, zero: 2 } as const

/** What a request may ask for when nothing else is said ("Block size constraints"). */
export const maxRequestBytes = 32 * 1024 * 1024
/** The longest string ("Values"). */
export const maxStringBytes = 4096

export const handshakeBytes = 18
export const clientFlagsBytes = 4
export const optionHeaderBytes = 16
export const optionReplyHeaderBytes = 20
export const requestBytes = 28
/** A simple reply, and as much of a chunk's header as tells whose it is; the length of its payload follows. */
export const replyHeaderBytes = 16
export const chunkLengthBytes = 4

const twoTo32 = 2 ** 32

export function writeU64(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32BE(Math.floor(value / twoTo32), at)
  bytes.writeUInt32BE(value % twoTo32, at + 4)
}

/** @returns a number that is exact up to 2^53 and too large for any device beyond */
export function readU64(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * twoTo32 + bytes.readUInt32BE(at + 4)
}

export function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(value)
  return bytes
}

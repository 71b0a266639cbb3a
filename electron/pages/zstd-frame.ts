/**
 * Single zstd frames: made as such, and their outside (RFC 8878, section 3.1.1) read before one is given to a
 * decompressor: a forged frame must neither leave a decompressor that lives on in the middle of something, nor be a
 * bomb. Promises to read nothing past the end, and no more than the few bytes in front of each block.
 */
import { constants, zstdCompressSync } from 'node:zlib'

const magic = 0xfd2fb528
/** Block_Type, section 3.1.1.2.2. */
const rleBlock = 1
const reservedBlock = 3

/**
 * Exactly one frame, that says of itself how long its content is. Node's call appends a second, empty one where what comes
 * out ends at the last byte of its buffer (65,536 bytes unless told); here it never fills that, and is in one piece.
 * @param level of zstd @param params more of them
 */
export function zstdFrameOf(
  bytes: Buffer,
  level: number,
  params: Readonly<Record<number, number>> = {},
): Buffer {
  return zstdCompressSync(bytes, {
    params: { ...params, [constants.ZSTD_c_compressionLevel]: level },
    pledgedSrcSize: bytes.length,
    chunkSize: longestFrameBytes(bytes.length) + 1,
  })
}

/** ZSTD_COMPRESSBOUND of zstd.h, and what a frame's header and checksum may take. */
function longestFrameBytes(contentBytes: number): number {
  const small = contentBytes < 128 * 1024 ? (128 * 1024 - contentBytes) >>> 11 : 0
  return contentBytes + (contentBytes >>> 8) + small + 64
}

/**
 * Whether `bytes` are exactly one frame, from its magic number to its last block or checksum, that says of
 * itself that its content has `contentBytes`.
 */
export function isZstdFrameOf(bytes: Buffer, contentBytes: number): boolean {
  if (bytes.length < 6 || bytes.readUInt32LE(0) !== magic) return false
  const descriptor = bytes.readUInt8(4)
  const singleSegment = (descriptor & 0x20) !== 0
  const size = contentSize(bytes, descriptor >>> 6, singleSegment, descriptor & 3)
  if (size === null || size.value !== contentBytes) return false
  const afterBlocks = endOfBlocks(bytes, size.end)
  const checksumBytes = (descriptor & 4) === 0 ? 0 : 4
  return afterBlocks !== null && afterBlocks + checksumBytes === bytes.length
}

/** Frame_Content_Size and where the header ends; null when there is none, or the bytes end before. */
function contentSize(
  bytes: Buffer,
  sizeFlag: number,
  singleSegment: boolean,
  dictionaryFlag: number,
): { value: number; end: number } | null {
  const dictionaryBytes = [0, 1, 2, 4][dictionaryFlag] ?? 0
  const at = 5 + (singleSegment ? 0 : 1) + dictionaryBytes
  const fieldBytes = sizeFlag === 0 && !singleSegment ? 0 : 1 << sizeFlag
  if (fieldBytes === 0 || at + fieldBytes > bytes.length) return null
  const end = at + fieldBytes
  if (fieldBytes === 1) return { value: bytes.readUInt8(at), end }
  if (fieldBytes === 2) return { value: bytes.readUInt16LE(at) + 256, end }
  if (fieldBytes === 4) return { value: bytes.readUInt32LE(at), end }
  return { value: Number(bytes.readBigUInt64LE(at)), end }
}

/** Where the last block ends; null when the bytes end before. */
function endOfBlocks(bytes: Buffer, start: number): number | null {
  let at = start
  while (at + 3 <= bytes.length) {
    const header = bytes.readUIntLE(at, 3)
    const type = (header >>> 1) & 3
    if (type === reservedBlock) return null
    at += 3 + (type === rleBlock ? 1 : header >>> 3)
    if ((header & 1) === 1) return at <= bytes.length ? at : null
  }
  return null
}

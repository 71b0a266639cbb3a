/**
 * Frames: up to 16 pages, compressed together and sealed; the unit that is read. Bytes as in
 * `vault/FORMAT.md`, "Sealing" and "Pack": AES-256-GCM of the zstd frame, or of the pages as they are where
 * compression does not make them shorter. Promises that whatever was altered, cut off or put in another place
 * is refused. Relies on a key sealing one frame, once: the nonce is zero.
 */
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto'
import { constants, zstdDecompressSync } from 'node:zlib'
import { fail, type WdockError } from '../../shared/errors/index.ts'
import { pageBytes } from './page-id.ts'
import { isZstdFrameOf, zstdFrameOf } from './zstd-frame.ts'

/** The most pages of a frame. */
export const framePages = 16

/** The most bytes of a frame before it is sealed. */
export const frameBytes = framePages * pageBytes

/** What sealing adds. */
export const sealBytes = 16

/** Which frame: the names that are sealed with it. */
export interface FrameName {
  /** 16 bytes. */
  packId: Buffer
  /** Which frame of the pack, from 0. */
  ordinal: number
}

/** The key of one frame, 32 bytes: a different one for every name. */
export type FrameKeyOf = (packId: Buffer, ordinal: number) => Buffer

const cipher = 'aes-256-gcm'
const zeroNonce = Buffer.alloc(12)
const sealOptions = { authTagLength: sealBytes }
/** zstd's level for pages: level 3 makes the memory of a guest 1 % smaller, and takes half as much time again. */
const pageZstdLevel = 1
/**
 * The largest window that is accepted when opening, as a power of two: a frame of 16 pages needs 64 KB, and a
 * forged one could ask for 128 MB.
 */
const pageWindowLog = 17
// No larger than a frame: what zstd sets up for each call takes a fifth of its time otherwise.
const compressParams = { [constants.ZSTD_c_windowLog]: Math.log2(frameBytes) }

/** What is to be sealed for `pages`: a zstd frame that is shorter, or `pages` themselves. */
export function packFrame(pages: Buffer): Buffer {
  const compressed = zstdFrameOf(pages, pageZstdLevel, compressParams)
  return compressed.length < pages.length ? compressed : pages
}

/** Seals what `packFrame` made. @returns ciphertext and tag, in a buffer of its own */
export function sealFrame(key: Buffer, name: FrameName, content: Buffer): Buffer {
  return Buffer.concat(sealFrameParts(key, name, content), content.length + sealBytes)
}

/** As `sealFrame`, for whoever can write two buffers as well as one. */
export function sealFrameParts(key: Buffer, name: FrameName, content: Buffer): [Buffer, Buffer] {
  const seal = createCipheriv(cipher, keyObject(key), zeroNonce, sealOptions)
  seal.setAAD(associatedData(name))
  // GCM holds nothing back: `final` has no bytes.
  const ciphertext = seal.update(content)
  seal.final()
  return [ciphertext, seal.getAuthTag()]
}

/**
 * The pages of a sealed frame, perhaps as a part of a larger buffer.
 * @param pages how many it holds, as the manifest says
 * @throws vault.damaged_frame
 */
export function openFrame(key: Buffer, name: FrameName, sealed: Buffer, pages: number): Buffer {
  const content = unseal(key, name, sealed, pages)
  const wholeBytes = pages * pageBytes
  if (content.length === wholeBytes) return content
  if (!isZstdFrameOf(content, wholeBytes)) throw damaged(name, `it is no zstd frame of ${pages} pages`)
  try {
    return zstdDecompressSync(content, {
      chunkSize: wholeBytes,
      maxOutputLength: wholeBytes,
      params: { [constants.ZSTD_d_windowLogMax]: pageWindowLog },
    })
  } catch (error) {
    throw damaged(name, 'its pages cannot be decompressed', error)
  }
}

function unseal(key: Buffer, name: FrameName, sealed: Buffer, pages: number): Buffer {
  if (!(pages >= 1 && pages <= framePages)) throw damaged(name, `it is said to hold ${pages} pages`)
  if (sealed.length <= sealBytes || sealed.length > pages * pageBytes + sealBytes) {
    throw damaged(name, `it has ${sealed.length} bytes`)
  }
  const contentBytes = sealed.length - sealBytes
  const open = createDecipheriv(cipher, keyObject(key), zeroNonce, sealOptions)
  open.setAAD(associatedData(name))
  open.setAuthTag(sealed.subarray(contentBytes))
  const content = open.update(sealed.subarray(0, contentBytes))
  try {
    open.final()
  } catch (error) {
    throw damaged(name, 'its seal is broken', error)
  }
  return content
}

/** Half of the time of a seal goes by when a cipher is given bytes for a key (Node 24). */
function keyObject(key: Buffer): KeyObject {
  return createSecretKey(key)
}

/** `pack id ‖ u32 ordinal` */
function associatedData(name: FrameName): Buffer {
  const bytes = Buffer.alloc(name.packId.length + 4)
  name.packId.copy(bytes)
  bytes.writeUInt32LE(name.ordinal, name.packId.length)
  return bytes
}

function damaged(name: FrameName, detail: string, cause?: unknown): WdockError {
  const values = { pack: name.packId.toString('hex'), ordinal: name.ordinal }
  return fail('vault.damaged_frame', values, { detail, cause })
}

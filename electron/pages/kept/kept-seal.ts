/**
 * How kept pages are sealed: AES-256-GCM with numbers for nonces, under keys that are each made for one file.
 * Bytes as in KEPT.md, "Sealing". Promises that nothing opens that was altered, cut off or put in another
 * place. Relies on a number being used once under a key.
 */
import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'

/** What sealing adds, behind the bytes. */
export const tagBytes = 16
export const keyBytes = 32

const cipher = 'aes-256-gcm'
const options = { authTagLength: tagBytes }
const nonce = Buffer.alloc(12)

/** What a guest's files are sealed with; of another salt nothing can be read. */
export function guestKeyOf(dockKey: Buffer, salt: Buffer): Buffer {
  return Buffer.from(hkdfSync('sha256', dockKey, salt, 'wdock kept 1', keyBytes))
}

/** The key of one file. @param id its random id */
export function fileKeyOf(guestKey: Buffer, id: Buffer, kind: 'segment' | 'table'): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', guestKey, id, `wdock kept 1 ${kind}`, keyBytes)))
}

/** @returns bytes and tag, to be written one behind the other */
export function seal(key: KeyObject, number: number, bytes: Buffer, context?: Buffer): [Buffer, Buffer] {
  const sealing = createCipheriv(cipher, key, nonceOf(number), options)
  if (context !== undefined) sealing.setAAD(context)
  // GCM holds nothing back: `final` has no bytes.
  const sealed = sealing.update(bytes)
  sealing.final()
  return [sealed, sealing.getAuthTag()]
}

/** What was sealed, in a buffer of its own; null when anything about it is not as it was. */
export function open(key: KeyObject, number: number, sealed: Buffer, context?: Buffer): Buffer | null {
  const length = sealed.length - tagBytes
  if (length < 0) return null
  const opening = createDecipheriv(cipher, key, nonceOf(number), options)
  if (context !== undefined) opening.setAAD(context)
  opening.setAuthTag(sealed.subarray(length))
  const bytes = opening.update(sealed.subarray(0, length))
  try {
    opening.final()
    return bytes
  } catch {
    release(bytes)
    return null
  }
}

/**
 * Gives the memory of a buffer back at once that one of the above has made: they cannot be given one, and
 * hundreds of megabytes a second of them would make V8 mark its whole heap again and again. Nobody may use it
 * any more.
 */
export function release(bytes: Buffer): void {
  const { buffer } = bytes
  if (buffer instanceof ArrayBuffer && buffer.byteLength === bytes.length) buffer.transfer(0)
}

function nonceOf(number: number): Buffer {
  nonce.writeUIntLE(number, 0, 6)
  return nonce
}

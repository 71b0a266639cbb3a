/**
 * Seals the named objects of a vault or of a share: manifests, summaries, labels, index, … Bytes as in FORMAT.md,
 * "Sealing". Promises that an object opens under its own name only, and exactly as it was sealed; not that it is
 * the newest of that name. Relies on fewer than 2^32 objects under one key, as nonces are random.
 */
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto'
import { constants, zstdDecompressSync } from 'node:zlib'
import { fail } from '../../shared/errors/index.ts'
import { zstdFrameOf } from '../pages/zstd-frame.ts'
import { type Random, systemRandom } from '../platform/random.ts'

const version = 1
const cipher = 'aes-256-gcm'
const nonceBytes = 12
const tagBytes = 16
const sealOptions = { authTagLength: tagBytes }
const level = 3
/** As a power of two: level 3 needs 21 at most, and a forged object could ask for 27. */
const windowLog = 23

/** `nonce ‖ ciphertext ‖ tag` */
export function sealBytesWith(key: KeyObject, context: string, bytes: Buffer, random: Random): Buffer {
  const nonce = random.bytes(nonceBytes)
  const seal = createCipheriv(cipher, key, nonce, sealOptions)
  seal.setAAD(Buffer.from(context, 'utf8'))
  const ciphertext = Buffer.concat([seal.update(bytes), seal.final()])
  return Buffer.concat([nonce, ciphertext, seal.getAuthTag()])
}

/** What `sealBytesWith` sealed; null when key, context or a single bit differs. */
export function openBytesWith(key: KeyObject, context: string, sealed: Buffer): Buffer | null {
  if (sealed.length < nonceBytes + tagBytes) return null
  const tagAt = sealed.length - tagBytes
  const open = createDecipheriv(cipher, key, sealed.subarray(0, nonceBytes), sealOptions)
  open.setAAD(Buffer.from(context, 'utf8'))
  open.setAuthTag(sealed.subarray(tagAt))
  const bytes = open.update(sealed.subarray(nonceBytes, tagAt))
  try {
    open.final()
  } catch {
    return null
  }
  return bytes
}

export class ObjectSealer {
  readonly #key: KeyObject
  readonly #random: Random

  /** @param key 32 bytes, for objects only: the object key of a vault, or the key of a share */
  constructor(key: Uint8Array, random: Random = systemRandom) {
    if (key.length !== 32) throw new RangeError('an object key has 32 bytes')
    this.#key = createSecretKey(key)
    this.#random = random
  }

  /** @param name the whole name of the object in its store, such as `labels/<id>` */
  seal(name: string, payload: Buffer): Buffer {
    const content = zstdFrameOf(payload, level)
    return Buffer.concat([Buffer.of(version), sealBytesWith(this.#key, name, content, this.#random)])
  }

  /**
   * The payload that was sealed under this name.
   * @param limitBytes the longest payload that is taken; a bomb costs no more
   * @throws vault.damaged_object, vault.newer_object
   */
  open(name: string, sealed: Buffer, limitBytes: number): Buffer {
    if ((sealed[0] ?? 0) > version) {
      throw fail('vault.newer_object', { name }, { detail: `sealed in version ${sealed[0]}` })
    }
    const content = sealed[0] === version ? openBytesWith(this.#key, name, sealed.subarray(1)) : null
    if (content === null) throw fail('vault.damaged_object', { name }, { detail: 'its seal is broken' })
    try {
      return zstdDecompressSync(content, {
        maxOutputLength: Math.max(1, limitBytes),
        params: { [constants.ZSTD_d_windowLogMax]: windowLog },
      })
    } catch (error) {
      const detail = `it does not decompress to at most ${limitBytes} bytes`
      throw fail('vault.damaged_object', { name }, { detail, cause: error })
    }
  }
}

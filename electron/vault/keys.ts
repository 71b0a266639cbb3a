/**
 * The keys of a vault, as in FORMAT.md, "Keys": one random vault key, everything else derived from it, and
 * `vault.json`, which holds the vault key wrapped by the recovery phrase. Promises that the vault key is in no
 * object in clear, and that a wrong phrase, a wrong key and a damaged file are told apart where that can be known.
 */
import { createSecretKey, hash, hkdfSync, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import { fail } from '../../shared/errors/index.ts'
import type { FrameKeyOf } from '../pages/frame.ts'
import { type Random, systemRandom } from '../platform/random.ts'
import { ObjectSealer, openBytesWith, sealBytesWith } from './sealed.ts'

/** The format that this program writes, and the newest that it reads. */
export const vaultVersion = 1

/** The name of the object in clear that every vault begins with. */
export const vaultFileName = 'vault.json'

/** The longest `vault.json` that is read. */
export const vaultFileLimitBytes = 64 * 1024

const keyBytes = 32
const checkBytes = 16
const packIdBytes = 16
const infos = {
  pageId: 'wdock-vault/1 page-id',
  frame: 'wdock-vault/1 frame',
  object: 'wdock-vault/1 object',
  check: 'wdock-vault/1 check',
  phrase: 'wdock-vault/1 phrase',
} as const

/** What works with a vault needs, derived from its key. */
export interface VaultKeys {
  /** For `PageHasher`, 32 bytes. */
  pageIdKey: Buffer
  frameKeyOf: FrameKeyOf
  objects: ObjectSealer
}

const hex32 = z.string().regex(/^[0-9a-f]{32}$/)

/** Ways to the vault key; kinds of the future are kept as they are. */
const phraseWrap = z.object({
  kind: z.literal('phrase'),
  /** `nonce ‖ ciphertext ‖ tag` in base64. */
  wrapped: z.base64().max(256),
  /** The phrase's entropy, sealed under the vault's object key, so that whoever has the vault open can see the phrase. */
  entropy: z.base64().max(512).optional(),
})
const vaultFile = z.object({
  format: z.literal('wdock-vault'),
  version: z.literal(vaultVersion),
  vaultId: hex32,
  check: hex32,
  wraps: z
    .array(z.looseObject({ kind: z.string().max(64) }))
    .min(1)
    .max(64),
})
/** `vault.json`: holds nothing that has to be kept secret. */
export type VaultFile = z.infer<typeof vaultFile>

/** A key for a new vault. */
export function newVaultKey(random: Random = systemRandom): Buffer {
  return random.bytes(keyBytes)
}

/** @param vaultKey 32 bytes */
export function deriveKeys(vaultKey: Uint8Array, random: Random = systemRandom): VaultKeys {
  return {
    pageIdKey: derive(vaultKey, infos.pageId),
    frameKeyOf: frameKeys(derive(vaultKey, infos.frame)),
    objects: new ObjectSealer(derive(vaultKey, infos.object), random),
  }
}

/**
 * Describes a new vault.
 * @param entropy the 32 bytes of its recovery phrase, see `phrase.ts`
 */
export function createVaultFile(
  vaultKey: Buffer,
  entropy: Uint8Array,
  random: Random = systemRandom,
): VaultFile {
  const vaultId = random.hex(16)
  return {
    format: 'wdock-vault',
    version: vaultVersion,
    vaultId,
    check: checkOf(vaultKey).toString('hex'),
    wraps: [wrap(vaultId, vaultKey, entropy, random)],
  }
}

/** The same vault under a new phrase. The old one still opens old copies of the file. */
export function changePhrase(
  file: VaultFile,
  vaultKey: Buffer,
  entropy: Uint8Array,
  random: Random = systemRandom,
): VaultFile {
  checkVaultKey(file, vaultKey)
  const others = file.wraps.filter(({ kind }) => kind !== 'phrase')
  return { ...file, wraps: [wrap(file.vaultId, vaultKey, entropy, random), ...others] }
}

/** The bytes of `vault.json`. */
export function encodeVaultFile(file: VaultFile): Buffer {
  return Buffer.from(`${JSON.stringify(file, null, 2)}\n`, 'utf8')
}

/** @throws vault.damaged_vault_file, vault.newer_version */
export function parseVaultFile(bytes: Uint8Array): VaultFile {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw fail('vault.damaged_vault_file', {}, { detail: String(error), cause: error })
  }
  const head = z.object({ format: z.literal('wdock-vault'), version: z.number().int() }).safeParse(value)
  if (head.success && head.data.version > vaultVersion) {
    throw fail('vault.newer_version', { version: head.data.version })
  }
  const parsed = vaultFile.safeParse(value)
  if (!parsed.success) throw fail('vault.damaged_vault_file', {}, { detail: parsed.error.message })
  return parsed.data
}

/**
 * The vault key, by the recovery phrase.
 * @param entropy what `parsePhrase` made of the words
 * @throws vault.wrong_phrase; vault.damaged_vault_file when the phrase opens the key of another vault
 */
export function unlockWithPhrase(file: VaultFile, entropy: Uint8Array): Buffer {
  for (const candidate of file.wraps) {
    const parsed = phraseWrap.safeParse(candidate)
    if (!parsed.success) continue
    const wrapped = Buffer.from(parsed.data.wrapped, 'base64')
    const vaultKey = openBytesWith(phraseKey(entropy), wrapContext(file.vaultId), wrapped)
    if (vaultKey === null) continue
    if (vaultKey.length !== keyBytes || !isKeyOf(file, vaultKey)) {
      throw fail('vault.damaged_vault_file', {}, { detail: 'the wrapped key is not that of the check' })
    }
    return vaultKey
  }
  throw fail('vault.wrong_phrase')
}

/**
 * The entropy of the recovery phrase, to be shown again; null where the vault file does not hold it.
 * @throws vault.damaged_object
 */
export function phraseEntropyOf(file: VaultFile, vaultKey: Uint8Array): Buffer | null {
  for (const candidate of file.wraps) {
    const parsed = phraseWrap.safeParse(candidate)
    if (!parsed.success || parsed.data.entropy === undefined) continue
    const sealed = Buffer.from(parsed.data.entropy, 'base64')
    return deriveKeys(vaultKey).objects.open(entropyContext(file.vaultId), sealed, keyBytes)
  }
  return null
}

/** @throws vault.wrong_key when `vaultKey` is not the key of this vault */
export function checkVaultKey(file: VaultFile, vaultKey: Buffer): void {
  if (vaultKey.length !== keyBytes || !isKeyOf(file, vaultKey)) throw fail('vault.wrong_key')
}

function isKeyOf(file: VaultFile, vaultKey: Buffer): boolean {
  return timingSafeEqual(checkOf(vaultKey), Buffer.from(file.check, 'hex'))
}

function checkOf(vaultKey: Uint8Array): Buffer {
  return derive(vaultKey, infos.check).subarray(0, checkBytes)
}

/** HKDF-SHA-256 (RFC 5869) with an empty salt. */
function derive(secret: Uint8Array, info: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), info, keyBytes))
}

/** HMAC-SHA-256(root, pack id ‖ u32 ordinal) */
function frameKeys(root: Buffer): FrameKeyOf {
  // RFC 2104 by two calls of the hash function: an Hmac object for each frame takes longer than sealing a small one.
  const blockBytes = 64
  const inner = Buffer.alloc(blockBytes + packIdBytes + 4, 0x36)
  const outer = Buffer.alloc(blockBytes + 32, 0x5c)
  for (const [at, byte] of root.entries()) {
    inner.writeUInt8(byte ^ 0x36, at)
    outer.writeUInt8(byte ^ 0x5c, at)
  }
  return (packId, ordinal) => {
    packId.copy(inner, blockBytes)
    inner.writeUInt32LE(ordinal, blockBytes + packIdBytes)
    outer.write(hash('sha256', inner, 'binary'), blockBytes, 'latin1')
    return hash('sha256', outer, 'buffer')
  }
}

function phraseKey(entropy: Uint8Array) {
  return createSecretKey(derive(entropy, infos.phrase))
}

function wrap(vaultId: string, vaultKey: Buffer, entropy: Uint8Array, random: Random) {
  const wrapped = sealBytesWith(phraseKey(entropy), wrapContext(vaultId), vaultKey, random)
  const sealed = deriveKeys(vaultKey, random).objects.seal(entropyContext(vaultId), Buffer.from(entropy))
  return { kind: 'phrase', wrapped: wrapped.toString('base64'), entropy: sealed.toString('base64') }
}

function entropyContext(vaultId: string): string {
  return `wdock-vault/1 phrase ${vaultId}`
}

/** A wrap of one vault is none of another. */
function wrapContext(vaultId: string): string {
  return `wdock-vault/1 wrap phrase ${vaultId}`
}

import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ErrorCode, isCode } from '../../shared/errors/index.ts'
import { systemRandom } from '../platform/random.ts'
import {
  changePhrase,
  checkVaultKey,
  createVaultFile,
  deriveKeys,
  encodeVaultFile,
  newVaultKey,
  parseVaultFile,
  phraseEntropyOf,
  unlockWithPhrase,
  type VaultFile,
} from './keys.ts'

/**
 * Known answers: made once, from the format's text, by HMAC-SHA-256 alone (HKDF written out) and AES-256-GCM of
 * node:crypto, and the page id key again by Python's hmac.
 */
const vaultKey = Buffer.from(Array.from({ length: 32 }, (_, at) => at))
const entropy = Buffer.from(Array.from({ length: 32 }, (_, at) => 255 - at))
const known = {
  vaultId: '00112233445566778899aabbccddeeff',
  pageIdKey: '8b9daedd4c44b77b34a94c0f670c5503c3c7a21e95ca42b653308dd5bd155de2',
  check: '70be4dd13e48ce283ad7c61d64c7bba2',
  packId: 'f0e1d2c3b4a5968778695a4b3c2d1e0f',
  frameKey258: '56efc6f2512861a6a97e926b5db82895535033cb86223d0413728c3d11f756d6',
  label:
    '01000102030405060708090a0bad11447ee2aac09d7042ac656a4850456b20f0fdef2bb7ad9be7e7905a85e4dae23797731359',
  nonce: '000102030405060708090a0b',
  wrapped: 'AAECAwQFBgcICQoLKe16+aD81V3FPq6DwRNP1YXEhfAZQ6r9AdzeNagmuI92AADLvZ9eIgSqGmuUlRVf',
}
const knownFile: VaultFile = {
  format: 'wdock-vault',
  version: 1,
  vaultId: known.vaultId,
  check: known.check,
  wraps: [{ kind: 'phrase', wrapped: known.wrapped }],
}
const fixed = {
  ...systemRandom,
  hex: () => known.vaultId,
  bytes: () => Buffer.from(known.nonce, 'hex'),
}

const failsWith = (code: ErrorCode) => expect.toSatisfy((error: unknown) => isCode(error, code))

describe('the keys of a vault', () => {
  const keys = deriveKeys(vaultKey)

  it('are derived as the format says', () => {
    expect(keys.pageIdKey.toString('hex')).toBe(known.pageIdKey)
    expect(keys.frameKeyOf(Buffer.from(known.packId, 'hex'), 258).toString('hex')).toBe(known.frameKey258)
    const name = `labels/${known.vaultId}`
    expect(keys.objects.open(name, Buffer.from(known.label, 'hex'), 100).toString()).toBe('{"version":1}')
  })

  it('differ for every frame', () => {
    const ids = [Buffer.alloc(16, 1), Buffer.alloc(16, 2), randomBytes(16)]
    const seen = new Set<string>()
    for (const id of ids) {
      for (const ordinal of [0, 1, 255, 256, 65_536]) seen.add(keys.frameKeyOf(id, ordinal).toString('hex'))
    }
    expect(seen.size).toBe(15)
  })
})

describe('vault.json', () => {
  it('is written as the format says', () => {
    const file = createVaultFile(vaultKey, entropy, fixed)
    expect(file).toMatchObject(knownFile)
    // The phrase can be shown again by whoever has the vault open; older files do not hold it.
    expect(phraseEntropyOf(file, vaultKey)?.equals(entropy)).toBe(true)
    expect(phraseEntropyOf(knownFile, vaultKey)).toBeNull()
  })

  it('opens by the phrase that it was made with, and the key never lies in it', () => {
    expect(unlockWithPhrase(knownFile, entropy)).toEqual(vaultKey)
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (words) => {
        const key = newVaultKey()
        const bytes = encodeVaultFile(createVaultFile(key, words))
        for (const form of ['hex', 'base64', 'latin1'] as const) {
          expect(bytes.includes(key.toString(form))).toBe(false)
        }
        const file = parseVaultFile(bytes)
        checkVaultKey(file, key)
        return unlockWithPhrase(file, words).equals(key)
      }),
      { numRuns: 20 },
    )
  })

  it('does not open by another phrase, nor as that of another vault, nor changed in any bit of its wrap', () => {
    const wrongPhrase = failsWith('vault.wrong_phrase')
    expect(() => unlockWithPhrase(knownFile, randomBytes(32))).toThrow(wrongPhrase)
    expect(() => unlockWithPhrase({ ...knownFile, vaultId: 'f'.repeat(32) }, entropy)).toThrow(wrongPhrase)
    const wrapped = Buffer.from(known.wrapped, 'base64')
    for (let at = 0; at < wrapped.length; at += 1) {
      const changed = Buffer.from(wrapped)
      changed.writeUInt8(changed.readUInt8(at) ^ (1 << (at % 8)), at)
      const wraps = [{ kind: 'phrase', wrapped: changed.toString('base64') }]
      expect(() => unlockWithPhrase({ ...knownFile, wraps }, entropy)).toThrow(wrongPhrase)
    }
    expect(() =>
      unlockWithPhrase({ ...knownFile, wraps: [{ kind: 'phrase', wrapped: 'AAAA' }] }, entropy),
    ).toThrow(wrongPhrase)
  })

  it('tells the key of another vault at once', () => {
    checkVaultKey(knownFile, vaultKey)
    expect(() => checkVaultKey(knownFile, randomBytes(32))).toThrow(failsWith('vault.wrong_key'))
    expect(() => checkVaultKey(knownFile, vaultKey.subarray(0, 31))).toThrow(failsWith('vault.wrong_key'))
    expect(() => unlockWithPhrase({ ...knownFile, check: '0'.repeat(32) }, entropy)).toThrow(
      failsWith('vault.damaged_vault_file'),
    )
  })

  it('opens by the new phrase only, once that was changed, and keeps ways that it does not know', () => {
    const future = { kind: 'hardware-key', handle: 'x' }
    const newEntropy = randomBytes(32)
    const changed = changePhrase({ ...knownFile, wraps: [...knownFile.wraps, future] }, vaultKey, newEntropy)
    expect(unlockWithPhrase(changed, newEntropy)).toEqual(vaultKey)
    expect(() => unlockWithPhrase(changed, entropy)).toThrow(failsWith('vault.wrong_phrase'))
    expect(parseVaultFile(encodeVaultFile(changed)).wraps).toContainEqual(future)
    expect(() => changePhrase(knownFile, randomBytes(32), newEntropy)).toThrow(failsWith('vault.wrong_key'))
  })

  it('of a later version is refused with what to do, whatever else has changed in it', () => {
    const later = Buffer.from('{"format": "wdock-vault", "version": 2, "something": "else"}')
    expect(() => parseVaultFile(later)).toThrow(failsWith('vault.newer_version'))
  })

  it('that is damaged, or is not one, is refused by name', () => {
    const text = encodeVaultFile(knownFile).toString()
    const damaged = [
      '',
      'null',
      '[]',
      text.slice(0, -20),
      text.replace('wdock-vault', 'other'),
      text.replace('"version": 1', '"version": 0'),
      text.replace('"version": 1', '"version": "1"'),
      text.replace(known.vaultId, known.vaultId.slice(1)),
      text.replace(known.check, 'zz'),
      JSON.stringify({ ...knownFile, wraps: [] }),
      '\u{feff}{',
    ].map((content) => Buffer.from(content))
    for (const bytes of [...damaged, randomBytes(100)]) {
      expect(() => parseVaultFile(bytes)).toThrow(failsWith('vault.damaged_vault_file'))
    }
  })

  it('survives any bytes', () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.json().map(Buffer.from)), (bytes) => {
        expect(() => parseVaultFile(bytes)).toThrow(failsWith('vault.damaged_vault_file'))
      }),
      { numRuns: 100 },
    )
  })
})

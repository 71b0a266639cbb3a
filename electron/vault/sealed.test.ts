import { createSecretKey, randomBytes } from 'node:crypto'
import { zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isCode } from '../../shared/errors/index.ts'
import { systemRandom } from '../platform/random.ts'
import { ObjectSealer, sealBytesWith } from './sealed.ts'

const key = Buffer.from('21175dcf3677dbb2f993ce5805ebc6eb8fde4c8824100690caf24e926b753f16', 'hex')
const name = 'labels/00112233445566778899aabbccddeeff'
const payload = Buffer.from('{"version":1}')
/** Made with node:crypto and node:zlib alone, from the format's text. */
const sealed = Buffer.from(
  '01000102030405060708090a0bad11447ee2aac09d7042ac656a4850456b20f0fdef2bb7ad9be7e7905a85e4dae23797731359',
  'hex',
)
const sealer = new ObjectSealer(key)
const limitBytes = 1024

function refused(bytes: Buffer, of = name, limit = limitBytes, by = sealer): void {
  expect(() => by.open(of, bytes, limit)).toThrow(
    expect.toSatisfy((error: unknown) => isCode(error, 'vault.damaged_object')),
  )
}

describe('a sealed object', () => {
  it('is sealed and opens as the format says', () => {
    expect(sealer.open(name, sealed, limitBytes)).toEqual(payload)
    const fixed = { ...systemRandom, bytes: (count: number) => sealed.subarray(1, 1 + count) }
    expect(new ObjectSealer(key, fixed).seal(name, payload)).toEqual(sealed)
  })

  it('gives back any payload under any name', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), fc.string({ maxLength: 80 }), (bytes, of) => {
        const object = sealer.seal(of, Buffer.from(bytes))
        return sealer.open(of, object, 3000).equals(Buffer.from(bytes))
      }),
      { numRuns: 60 },
    )
  })

  it('looks different each time, though it is the same', () => {
    expect(sealer.seal(name, payload)).not.toEqual(sealer.seal(name, payload))
  })

  it('is refused when any bit of it is another one: version, nonce, text or tag', () => {
    for (let at = 1; at < sealed.length; at += 1) {
      const changed = Buffer.from(sealed)
      changed.writeUInt8(changed.readUInt8(at) ^ (1 << (at % 8)), at)
      refused(changed)
    }
    refused(Buffer.concat([Buffer.of(0), sealed.subarray(1)]))
  })

  it('is refused cut short anywhere, or with something behind it', () => {
    for (let length = 0; length < sealed.length; length += 1) refused(sealed.subarray(0, length))
    refused(Buffer.concat([sealed, Buffer.of(0)]))
  })

  it('is refused under another name or key', () => {
    refused(sealed, 'labels/00112233445566778899aabbccddeefe')
    refused(sealed, 'notes/00112233445566778899aabbccddeeff')
    refused(sealed, name, limitBytes, new ObjectSealer(randomBytes(32)))
  })

  it('of a later version asks for a newer program', () => {
    const later = Buffer.concat([Buffer.of(2), sealed.subarray(1)])
    expect(() => sealer.open(name, later, limitBytes)).toThrow(
      expect.toSatisfy((error: unknown) => isCode(error, 'vault.newer_object')),
    )
  })

  it('is refused when it is longer than expected, and never decompressed further than that', () => {
    const object = sealer.seal(name, Buffer.alloc(1025))
    refused(object)
    expect(sealer.open(name, object, 1025)).toEqual(Buffer.alloc(1025))
    const bomb = sealer.seal(name, Buffer.alloc(8 * 1024 * 1024))
    refused(bomb)
  })

  it('is refused when somebody with the key has sealed what is not compressed', () => {
    const contents = [Buffer.alloc(0), randomBytes(50), zstdCompressSync(randomBytes(500)).subarray(0, 300)]
    for (const content of contents) {
      const object = sealBytesWith(createSecretKey(key), name, content, systemRandom)
      refused(Buffer.concat([Buffer.of(1), object]))
    }
  })
})

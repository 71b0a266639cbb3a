/** Dock ids: the SHA-256 of a certificate's DER bytes in lower-case base32 (RFC 4648) without padding. */
import { createHash } from 'node:crypto'
import { z } from 'zod'

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'

/** 256 bits make 52 characters, of which the last carries one bit. */
export const dockIdSchema = z.string().regex(/^[a-z2-7]{51}[aq]$/)

export function certificateHash(certificate: Uint8Array): Buffer {
  return createHash('sha256').update(certificate).digest()
}

/** @param certificate DER bytes */
export function dockIdOf(certificate: Uint8Array): string {
  return base32(certificateHash(certificate))
}

/** For eyes and DNS names; never decides anything. */
export function shortId(dockId: string): string {
  return dockId.slice(0, 6)
}

function base32(bytes: Uint8Array): string {
  let text = ''
  let buffered = 0
  let bits = 0
  for (const byte of bytes) {
    buffered = (buffered << 8) | byte
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text += alphabet.charAt((buffered >>> bits) & 31)
    }
    buffered &= (1 << bits) - 1
  }
  return bits > 0 ? text + alphabet.charAt((buffered << (5 - bits)) & 31) : text
}

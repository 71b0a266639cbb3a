/**
 * The text of a link: `wdock:lend?u=<address, percent-encoded>#<share key, base64url>`. The key is in the fragment, which
 * no server ever gets. Promises that what was read has an address and a key; not that anything is there.
 */
import { z } from 'zod'
import { fail } from '../../shared/errors/index.ts'

export interface ShareLink {
  /** Of the share's place, with all that it takes to read there. */
  address: string
  /** 32 bytes. */
  shareKey: Buffer
}

const keyBytes = 32
const longest = 8192
const addressText = z.url({ protocol: /^https?$/ }).max(4096)
const keyText = z.string().regex(/^[A-Za-z0-9_-]{43}$/)

export function encodeLink({ address, shareKey }: ShareLink): string {
  return `wdock:lend?u=${encodeURIComponent(address)}#${shareKey.toString('base64url')}`
}

/** @param text as a person has pasted it @throws vault.bad_link */
export function parseLink(text: string): ShareLink {
  const trimmed = text.trim()
  if (trimmed.length > longest) throw fail('vault.bad_link')
  const match = /^wdock:lend\?u=([^#&\s]+)#(\S+)$/.exec(trimmed)
  const address = addressText.safeParse(decoded(match?.[1] ?? ''))
  const key = keyText.safeParse(match?.[2])
  if (!address.success || !key.success) throw fail('vault.bad_link')
  const shareKey = Buffer.from(key.data, 'base64url')
  if (shareKey.length !== keyBytes) throw fail('vault.bad_link')
  return { address: address.data, shareKey }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return ''
  }
}

/** Addresses that secrets may be sent to: encrypted, or on this PC. Relies on nothing. */
import { isIP } from 'node:net'
import { fail } from '../../shared/errors/index.ts'

/**
 * Whether a host name of a URL stays on this PC: 127.0.0.0/8, ::1, and `localhost` with everything below it
 * (RFC 6761 section 6.3), which agents made for plain HTTP resolve by themselves.
 */
export function isLoopback(hostname: string): boolean {
  const bare = hostname.replace(/^\[|\]$/g, '').toLowerCase()
  if (isIP(bare) === 4) return bare.startsWith('127.')
  if (isIP(bare) === 6) return bare === '::1'
  return bare === 'localhost' || bare.endsWith('.localhost')
}

/** @returns the address, https or of this PC @throws store.bad_address, store.https_needed */
export function readAddress(text: string): URL {
  const address = URL.parse(text)
  const shown = address?.host || '–'
  if (address === null || !/^https?:$/.test(address.protocol) || address.username || address.password) {
    throw fail('store.bad_address', { address: shown })
  }
  if (address.protocol === 'http:' && !isLoopback(address.hostname)) {
    throw fail('store.https_needed', { address: `http://${shown}` })
  }
  return address
}

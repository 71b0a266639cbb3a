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

/** Labels as of RFC 1123 section 2.1 (and `_`, which some use), or an IPv6 address. What URLs allow is far more. */
const hostPattern = /^(?:(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?|\[[0-9a-f:.]+\])$/

/**
 * @returns the address, https or of this PC
 * @throws store.bad_address, store.https_needed; they show the host alone, and only what can be one: a secret that was
 * pasted in the wrong place is not told to anybody
 */
export function readAddress(text: string): URL {
  const address = URL.parse(text)
  if (address === null || !hostPattern.test(address.hostname))
    throw fail('store.bad_address', { address: '–' })
  if (!/^https?:$/.test(address.protocol) || address.username || address.password) {
    throw fail('store.bad_address', { address: address.host })
  }
  if (address.protocol === 'http:' && !isLoopback(address.hostname)) {
    throw fail('store.https_needed', { address: `http://${address.host}` })
  }
  return address
}

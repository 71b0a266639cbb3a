/** Addresses of docks: where one listens, as people write it and as lists of them. Pure. */
import { z } from 'zod'
import { fail } from '../../shared/errors/index.ts'

export const addressSchema = z.object({
  host: z.string().min(1).max(255),
  port: z.int().min(1).max(65_535),
})

/** Where a dock is said to listen. */
export type Address = z.infer<typeof addressSchema>

const maxKept = 4

/** `host:port`, `[v6]:port`. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/**
 * Reads `host`, `host:port`, `[v6]:port`, `[v6]` or a bare IPv6 address.
 * @throws host.bad_input
 */
export function parseAddress(text: string, defaultPort: number): Address {
  const parts = /^(?:\[([0-9a-f:.%\w]+)\]|([^\s:/[\]]+))(?::(\d{1,5}))?$/i.exec(text.trim())
  const bareIpv6 = /^[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.%\w]*$/i.test(text.trim())
  const host = bareIpv6 ? text.trim() : (parts?.[1] ?? parts?.[2])
  const port = !bareIpv6 && parts?.[3] !== undefined ? Number(parts[3]) : defaultPort
  const address = addressSchema.safeParse({ host, port })
  if (address.success) return address.data
  throw fail('host.bad_input', { why: 'an address is a name or number, with :port if needed' })
}

/** The list with `address` in front, without its double, at most four long. */
export function withFirst(addresses: readonly Address[], address: Address): Address[] {
  return uniqueAddresses([address, ...addresses]).slice(0, maxKept)
}

/** Without doubles, in order. */
export function uniqueAddresses(addresses: readonly Address[]): Address[] {
  const seen = new Map<string, Address>()
  for (const address of addresses) {
    const key = formatAddress(address)
    if (!seen.has(key)) seen.set(key, address)
  }
  return [...seen.values()]
}

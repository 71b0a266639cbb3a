/**
 * Which network interfaces discovery uses. Promises a pure choice over what the system lists: real ones; when
 * there are none, those of bridges, containers and tunnels; when there is nothing at all, loopback.
 */
import type { NetworkInterfaceInfo } from 'node:os'

export interface UsableInterface {
  name: string
  /** Its first IPv4 address. */
  address: string
  netmask: string
}

/** Interfaces that programs make: their far end is on this PC, or elsewhere than on the LAN. */
const virtualNames =
  /^(docker|br-|virbr|veth|vnet|lxc|lxd|cni|flannel|podman|tun|tap|wg|zt|tailscale|vmnet|vbox)/

/**
 * @param interfaces what `os.networkInterfaces()` says
 * @param wanted names to restrict to; empty: choose
 */
export function chooseInterfaces(
  interfaces: NodeJS.Dict<NetworkInterfaceInfo[]>,
  wanted: readonly string[],
): UsableInterface[] {
  const usable: (UsableInterface & { internal: boolean })[] = []
  for (const [name, addresses] of Object.entries(interfaces)) {
    const first = addresses?.find(({ family }) => family === 'IPv4')
    if (first !== undefined) usable.push({ name, ...first })
  }
  const named = usable.filter(({ name }) => wanted.includes(name))
  const outside = usable.filter(({ internal }) => !internal)
  const real = outside.filter(({ name }) => !virtualNames.test(name))
  const choices = wanted.length > 0 ? [named] : [real, outside, usable]
  const chosen = choices.find((choice) => choice.length > 0) ?? []
  return chosen.map(({ name, address, netmask }) => ({ name, address, netmask }))
}

/** True when an IPv4 address is on the link of this interface. */
export function isOnLink(host: string, { address, netmask }: UsableInterface): boolean {
  const mask = numberOf(netmask)
  return (numberOf(host) & mask) === (numberOf(address) & mask)
}

function numberOf(address: string): number {
  return address.split('.').reduce((sum, part) => (sum << 8) | (Number(part) & 0xff), 0)
}

/**
 * `WDOCK_DISCOVERY`: absent or `on` → all real interfaces, `off` → none, else interface names separated by
 * commas.
 */
export function discoveryFromEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): boolean | { interfaces: string[] } {
  const value = environment.WDOCK_DISCOVERY?.trim() ?? ''
  if (value === '' || value === 'on') return true
  if (value === 'off') return false
  const interfaces = value.split(',').map((name) => name.trim())
  return { interfaces: interfaces.filter((name) => name !== '') }
}

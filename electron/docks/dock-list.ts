/**
 * Everything known of other docks in one view: paired ones, those heard of, those online. Promises only to
 * read; relies on its parts to be current.
 */
import type { Clock } from '../platform/clock.ts'
import { type Address, formatAddress, uniqueAddresses } from './address.ts'
import type { Links } from './links.ts'
import type { Peers } from './peers.ts'
import type { Sightings } from './sightings.ts'
import type { From, PeerInfo } from './types.ts'

const maxAddresses = 6

export interface DockListParts {
  ownId: string
  peers: Peers
  sightings: Sightings
  links: Links
  clock: Clock
}

export class DockList {
  readonly #parts: DockListParts

  constructor(parts: DockListParts) {
    this.#parts = parts
  }

  /** Paired docks and unpaired ones nearby, by name. */
  all(): PeerInfo[] {
    const { ownId, peers, sightings } = this.#parts
    const paired = peers.all().map(({ id }) => id)
    const nearby = sightings.ids().filter((id) => !peers.has(id) && id !== ownId)
    const infos = [...paired, ...nearby].map((id) => this.info(id))
    return infos.sort((a, b) => a.name.localeCompare(b.name) || a.id.localeCompare(b.id))
  }

  info(id: string): PeerInfo {
    const { clock, links, peers, sightings } = this.#parts
    const link = links.get(id)
    const peer = peers.get(id)
    const sighting = sightings.get(id)
    const address = link?.address ?? sightings.addressesOf(id)[0] ?? peer?.addresses[0]
    const seenAtMs = Math.max(peer?.lastSeenAtMs ?? 0, sighting?.atMs ?? 0)
    const apart = peer === null ? 'nearby' : 'offline'
    return {
      id,
      name: this.nameOf(id),
      paired: peer !== null,
      state: link === null ? apart : 'online',
      address: address === undefined ? null : formatAddress(address),
      lastSeenAtMs: link === null ? seenAtMs || null : clock.nowMs(),
      linkRttMs: link?.control.rttMs ?? null,
      appVersion: link?.appVersion ?? sighting?.appVersion ?? peer?.appVersion ?? null,
      keepsReady: peer?.keepsReady ?? false,
    }
  }

  /** What it said last, most trusted source first; its id when it never said anything. */
  nameOf(id: string): string {
    const { links, peers, sightings } = this.#parts
    return links.get(id)?.name ?? peers.get(id)?.name ?? sightings.get(id)?.name ?? id
  }

  fromOf(dockId: string): From {
    return { dockId, name: this.nameOf(dockId) }
  }

  /** Where a paired dock may be, best first; null when it is not paired. */
  addressesOf(id: string): Address[] | null {
    const { peers, sightings } = this.#parts
    const peer = peers.get(id)
    if (peer === null) return null
    return uniqueAddresses([...sightings.addressesOf(id), ...peer.addresses]).slice(0, maxAddresses)
  }
}

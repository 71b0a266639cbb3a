/**
 * The docks this one is paired with, in `peers.json`. Promises that what `has` says is on disk (a pairing
 * counts when it is stored; an unpairing counts at once, in memory first), and writes one after another.
 * Relies on one host a config folder.
 */
import { join } from 'node:path'
import { z } from 'zod'
import { readJson, writeJsonAtomic } from '../platform/atomic-file.ts'
import { type Address, addressSchema, withFirst } from './address.ts'
import { dockIdSchema } from './dock-id.ts'
import { dockNameSchema } from './identity.ts'

const peerSchema = z.object({
  /** The certificate's fingerprint: pinning and identity are one. */
  id: dockIdSchema,
  name: dockNameSchema,
  /** Most recently working first. */
  addresses: z.array(addressSchema).max(4),
  lastSeenAtMs: z.number().nullable(),
  pairedAtMs: z.number(),
  appVersion: z.string().max(64).nullable(),
  /** Whether this dock brings there, while guests run, what their moves will need. A person's permission. */
  keepsReady: z.boolean().default(false),
})

export type Peer = z.infer<typeof peerSchema>

const peersFile = z.object({ version: z.literal(1), peers: z.array(peerSchema).max(1000) })

export class Peers {
  readonly #path: string
  readonly #peers: Map<string, Peer>
  #writing: Promise<void> = Promise.resolve()

  private constructor(path: string, peers: Peer[]) {
    this.#path = path
    this.#peers = new Map(peers.map((peer) => [peer.id, peer]))
  }

  /** @throws host.state_unreadable when the file is damaged or newer; it is left as it is */
  static async open(configDir: string): Promise<Peers> {
    const path = join(configDir, 'peers.json')
    const stored = await readJson(path, peersFile)
    return new Peers(path, stored?.peers ?? [])
  }

  has(id: string): boolean {
    return this.#peers.has(id)
  }

  get(id: string): Peer | null {
    return this.#peers.get(id) ?? null
  }

  all(): Peer[] {
    return [...this.#peers.values()]
  }

  /** Stores a peer; it counts as paired only when this resolves. @throws host.disk_full, host.no_permission */
  async add(peer: Peer): Promise<void> {
    await this.#write(() => [...this.all().filter(({ id }) => id !== peer.id), peer])
    this.#peers.set(peer.id, peer)
  }

  /** Forgets a peer at once; resolves when that is stored. */
  async remove(id: string): Promise<void> {
    if (!this.#peers.delete(id)) return
    await this.#write(() => this.all())
  }

  /** Notes what was learnt of a peer. Addresses are put first in the list. */
  async note(
    id: string,
    seen: Partial<Pick<Peer, 'name' | 'lastSeenAtMs' | 'appVersion' | 'keepsReady'>>,
    address?: Address,
  ) {
    const peer = this.#peers.get(id)
    if (peer === undefined) return
    const addresses = address === undefined ? peer.addresses : withFirst(peer.addresses, address)
    this.#peers.set(id, { ...peer, ...seen, addresses })
    await this.#write(() => this.all())
  }

  /** Resolves when everything is stored. */
  async close(): Promise<void> {
    await this.#writing.catch(() => {})
  }

  #write(peers: () => Peer[]): Promise<void> {
    const next = this.#writing
      .catch(() => {})
      .then(() => writeJsonAtomic(this.#path, { version: 1, peers: peers() }))
    this.#writing = next
    return next
  }
}

/**
 * The other docks as people see them: who is there, what they can do, what stands on their desks. Promises that
 * the state shows a paired dock's guests only while it is online, and that a dock speaks for its own guests
 * alone. Relies on each dock telling its guests whenever they change.
 */
import { z } from 'zod'
import type { Dock, DockCapabilities, DockPresence } from '../../shared/models/dock.ts'
import { dockCapabilities } from '../../shared/models/dock.ts'
import { type Guest, guest as guestSchema } from '../../shared/models/guest.ts'
import type { DockNet, PeerInfo } from '../docks/dock-net.ts'
import type { Log } from '../platform/log.ts'
import type { Guests } from './guests/guests.ts'
import type { Machine } from './machine.ts'
import type { PeerCalls } from './peer-calls.ts'
import type { StateStore } from './state-store.ts'

const guestList = z.array(guestSchema).max(1000)
/** Changes within this time are told at once. */
const tellAfterMs = 60
/** Free memory and disk change all the time: told this often while someone looks. */
const describeEveryMs = 15_000

export interface NeighboursOptions {
  calls: PeerCalls<DockNet>
  guests: Guests
  machine: Machine
  store: StateStore
  log: Log
}

export class Neighbours {
  readonly #options: NeighboursOptions
  readonly #capabilities = new Map<string, DockCapabilities>()
  readonly #refresh: NodeJS.Timeout
  #telling: NodeJS.Timeout | null = null

  constructor(options: NeighboursOptions) {
    this.#options = options
    const { calls, store, guests } = options
    calls.serve('dock.describe', async () => await options.machine.capabilities())
    calls.serve('guests.list', async () => guests.list().map((guest) => guest.view()))
    calls.serve('link.probe', async (_from, { padding }) => ({ received: padding.length }))
    calls.net.onPeersChanged(() => this.#showDocks())
    calls.net.onPairing(() => this.#showPairings())
    calls.net.onOnline((dockId) => void this.#welcome(dockId))
    calls.net.onOffline((dockId) => this.#showGuests(dockId, []))
    calls.net.onUnpaired((dockId) => this.#showGuests(dockId, []))
    calls.net.onEvent('guests.changed', (from, data) => this.#theirGuests(from.dockId, data))
    store.onFact((fact) => {
      const own = fact.type === 'guest.changed' && fact.guest.dockId === calls.net.id
      const gone = fact.type === 'guest.removed' && fact.dockId === calls.net.id
      if (own || gone) this.#tellSoon()
    })
    this.#refresh = setInterval(() => void this.#refreshDescriptions(), describeEveryMs)
    this.#refresh.unref()
  }

  /** Shows this dock and everyone known. */
  async start(): Promise<void> {
    const { machine, calls } = this.#options
    this.#capabilities.set(calls.net.id, await machine.capabilities())
    this.#showDocks()
    for (const peer of calls.net.peers()) if (peer.state === 'online') void this.#welcome(peer.id)
  }

  close(): void {
    clearInterval(this.#refresh)
    if (this.#telling !== null) clearTimeout(this.#telling)
  }

  /** A dock as the state shows it; used where a call answers with one. */
  view(peer: PeerInfo): Dock {
    return {
      id: peer.id,
      name: peer.name,
      presence: presenceOf(peer),
      paired: peer.paired,
      address: peer.address,
      linkRttMs: peer.linkRttMs === null ? null : Math.round(peer.linkRttMs * 10) / 10,
      keepsReady: peer.keepsReady,
      capabilities: this.#capabilities.get(peer.id) ?? null,
    }
  }

  #showDocks(): void {
    const { calls, store } = this.#options
    const wanted = [this.#thisDock(), ...calls.net.peers().map((peer) => this.view(peer))]
    for (const dock of wanted) {
      const known = store.state.docks.find((each) => each.id === dock.id)
      if (JSON.stringify(known) !== JSON.stringify(dock)) store.apply({ type: 'dock.changed', dock })
    }
    for (const { id } of store.state.docks) {
      if (!wanted.some((dock) => dock.id === id)) store.apply({ type: 'dock.removed', dockId: id })
    }
  }

  #thisDock(): Dock {
    const { net } = this.#options.calls
    return {
      id: net.id,
      name: net.name,
      presence: { kind: 'here' },
      paired: true,
      address: null,
      linkRttMs: null,
      keepsReady: false,
      capabilities: this.#capabilities.get(net.id) ?? null,
    }
  }

  #showPairings(): void {
    const { calls, store } = this.#options
    const current = calls.net.pairings()
    for (const pairing of current) {
      const known = store.state.pairings.find((each) => each.id === pairing.id)
      if (JSON.stringify(known) !== JSON.stringify(pairing)) store.apply({ type: 'pairing.changed', pairing })
    }
    for (const { id } of store.state.pairings) {
      if (!current.some((each) => each.id === id)) store.apply({ type: 'pairing.removed', pairingId: id })
    }
  }

  /** A paired dock is there: ask what it can do and what stands on its desk. */
  async #welcome(dockId: string): Promise<void> {
    const { calls, log } = this.#options
    try {
      this.#showDocks()
      this.#showGuests(dockId, await calls.ask(dockId, 'guests.list', {}))
      await this.#describe(dockId)
    } catch (error) {
      log.warn('a dock could not be asked', { dockId, error })
    }
  }

  async #describe(dockId: string): Promise<void> {
    const { calls } = this.#options
    const parsed = dockCapabilities.safeParse(await calls.ask(dockId, 'dock.describe', {}))
    if (parsed.success) this.#capabilities.set(dockId, parsed.data)
    this.#showDocks()
  }

  #theirGuests(dockId: string, data: unknown): void {
    const parsed = guestList.safeParse(data)
    if (parsed.success) this.#showGuests(dockId, parsed.data)
  }

  #showGuests(dockId: string, guests: readonly Guest[]): void {
    const { store } = this.#options
    const own = guests.filter((guest) => guest.dockId === dockId)
    for (const guest of own) {
      const known = store.state.guests.find((each) => each.id === guest.id && each.dockId === dockId)
      if (JSON.stringify(known) !== JSON.stringify(guest)) store.apply({ type: 'guest.changed', guest })
    }
    for (const known of store.state.guests) {
      if (known.dockId !== dockId || own.some((guest) => guest.id === known.id)) continue
      store.apply({ type: 'guest.removed', guestId: known.id, dockId })
    }
  }

  #tellSoon(): void {
    this.#telling ??= setTimeout(() => {
      this.#telling = null
      const { calls, guests } = this.#options
      calls.net.emit(
        'all',
        'guests.changed',
        guests.list().map((guest) => guest.view()),
      )
    }, tellAfterMs)
  }

  async #refreshDescriptions(): Promise<void> {
    const { calls, machine, store } = this.#options
    if (store.watcherCount === 0) return
    this.#capabilities.set(calls.net.id, await machine.capabilities())
    const online = calls.net.peers().filter((peer) => peer.state === 'online')
    await Promise.all(online.map((peer) => this.#describe(peer.id).catch(() => undefined)))
    this.#showDocks()
  }
}

/** What the docks can do that are online: where a guest of this dock could go now. */
export function capabilitiesInSight(docks: readonly Dock[]): DockCapabilities[] {
  return docks.flatMap(({ presence, capabilities }) =>
    presence.kind === 'online' && capabilities !== null ? [capabilities] : [],
  )
}

function presenceOf(peer: PeerInfo): DockPresence {
  switch (peer.state) {
    case 'online':
    case 'nearby':
      return { kind: peer.state }
    case 'offline':
      return { kind: 'offline', lastSeenAtMs: peer.lastSeenAtMs }
  }
}

/**
 * What this dock keeps of guests’ memory, as people see it and decide on it. Promises that the state tells
 * every change; that no more is kept than the settings say, once no visit is under way; that what has lost
 * its reason goes by itself: the last visit was with a dock that is paired no more, it is not known with
 * whom it was, or the guest was deleted for good; that it gives way where the disk gets short; and that nothing is removed while a visit uses it. Relies
 * on visits to take what they use, and to give it back.
 */

import { fail } from '../../../shared/errors/index.ts'
import type { KeptGuestMemory, KeptMemoryState } from '../../../shared/models/kept-memory.ts'
import type { KeptPlace } from '../../delta/thread-messages.ts'
import type { DockNet } from '../../docks/dock-net.ts'
import type { KeptGuest, KeptStore } from '../../pages/kept/kept-store.ts'
import type { Log } from '../../platform/log.ts'
import { OneAtATime } from '../../platform/one-at-a-time.ts'
import type { DeletedGuest } from '../guests/trash.ts'
import type { Fact, StateStore } from '../state-store.ts'

export interface KeptMemoryOptions {
  kept: KeptStore
  state: StateStore
  net: Pick<DockNet, 'peers' | 'onUnpaired'>
  /** How much may be kept in all, in bytes; 0 for nothing. */
  keepsAtMost: () => number
  /** Of the disk where it lies; null where that is not known. */
  freeBytes: () => Promise<number | null>
  log: Log
}

/** Guests' disks grow, and a guest whose disk cannot is paused: pages never take the last of it. */
export const reserveBytes = 2 * 1024 ** 3

export class KeptMemory {
  readonly #options: KeptMemoryOptions
  /** Guests whose kept pages a visit uses, with their names. */
  readonly #busy = new Map<string, string>()
  #listed: readonly KeptGuest[] = []
  readonly #queue = new OneAtATime()

  constructor(options: KeptMemoryOptions) {
    this.#options = options
    options.net.onUnpaired((dockId) => void this.#tidyQuietly({ dockId }))
    options.state.onFact((fact) => {
      if (mayRename(fact)) this.#show()
      if (saysDiskFull(fact)) void this.giveWay()
    })
  }

  /** Lets go of what has lost its reason meanwhile, shows the rest. @param deleted guests gone for good */
  async start(deleted: readonly DeletedGuest[]): Promise<void> {
    const { kept, state } = this.#options
    const isDead = ({ guestId, usedAtMs }: KeptGuest): boolean =>
      !state.state.guests.some(({ id }) => id === guestId) &&
      deleted.some((guest) => guest.id === guestId && usedAtMs <= guest.trashedAtMs)
    await this.#change(() => kept.forgetWhere(isDead)).catch((error: unknown) => this.#warn({}, error))
    await this.#tidyQuietly({})
  }

  /** For one visit of a guest. @returns null where nothing may be kept, or another visit of it is not over */
  async take(guestId: string, guestName: string): Promise<KeptPlace | null> {
    const { kept, keepsAtMost } = this.#options
    return await this.#exclusively(async () => {
      if (keepsAtMost() === 0 || this.#busy.has(guestId)) return null
      const place = { folder: kept.guestFolder(guestId), dockKey: await kept.dockKey() }
      this.#busy.set(guestId, guestName)
      return place
    })
  }

  /** The visit is over. */
  async giveBack(guestId: string): Promise<void> {
    this.#busy.delete(guestId)
    await this.#tidyQuietly({ guestId })
  }

  /** No error when nothing is kept of this guest. @throws kept.in_use, host.no_permission */
  async forget(guestId: string): Promise<void> {
    await this.#change(async () => {
      const name = this.#busy.get(guestId)
      if (name !== undefined) throw fail('kept.in_use', { name })
      await this.#options.kept.forget(guestId)
    })
  }

  /** The same where its last visit was with this dock, and none is under way. @throws host.no_permission */
  async forgetOf(guestId: string, dockId: string): Promise<void> {
    const { kept } = this.#options
    await this.#change(() =>
      kept.forgetWhere(
        (each) => each.guestId === guestId && each.dockId === dockId && !this.#busy.has(guestId),
      ),
    )
  }

  /** @throws kept.in_use when guests were left out, host.no_permission */
  async forgetAll(): Promise<void> {
    await this.#change(async () => {
      await this.#options.kept.forgetWhere(({ guestId }) => !this.#busy.has(guestId))
      const names = [...this.#busy.values()]
      if (names.length > 0) throw fail('kept.in_use', { name: names.join(', ') })
    })
  }

  /** Lets go of what has lost its reason and of what is too much. @throws host.no_permission */
  async tidy(): Promise<void> {
    const { kept, keepsAtMost } = this.#options
    await this.#change(async () => {
      await kept.forgetWhere(({ guestId, dockId }) => !this.#busy.has(guestId) && !this.#isPaired(dockId))
      await kept.trim(Math.min(keepsAtMost(), await this.#roomBytes()), new Set(this.#busy.keys()))
    })
  }

  /** Lets go of so much that enough of the disk is free for what matters more. Cheap where there is. */
  async giveWay(): Promise<void> {
    if (this.#listed.length > 0 && ((await this.#options.freeBytes()) ?? Infinity) < reserveBytes)
      await this.#tidyQuietly({})
  }

  /** How much may be kept so that the reserve is free. */
  async #roomBytes(): Promise<number> {
    const { kept, freeBytes } = this.#options
    const [free, guests] = await Promise.all([freeBytes(), kept.list()])
    if (free === null) return Infinity
    const keptBytes = guests.reduce((sum, { bytes }) => sum + bytes, 0)
    return Math.max(0, keptBytes + free - reserveBytes)
  }

  /** For work that nobody waits for. */
  async #tidyQuietly(about: { guestId?: string; dockId?: string }): Promise<void> {
    await this.tidy().catch((error: unknown) => this.#warn(about, error))
  }

  #warn(about: object, error: unknown): void {
    this.#options.log.warn('kept memory was not put in order', { ...about, error })
  }

  #isPaired(dockId: string | null): boolean {
    return this.#options.net.peers().some(({ id, paired }) => paired && id === dockId)
  }

  /** What was begun is shown as far as it came. */
  async #change(work: () => Promise<void>): Promise<void> {
    await this.#exclusively(async () => {
      try {
        await work()
      } finally {
        this.#listed = await this.#options.kept.list()
        this.#show()
      }
    })
  }

  #show(): void {
    const { state } = this.#options
    const keptMemory = viewOf(this.#listed, state.state)
    if (JSON.stringify(keptMemory) === JSON.stringify(state.state.keptMemory)) return
    state.apply({ type: 'kept-memory.changed', keptMemory })
  }

  /** One thing at a time: nothing is removed while a visit takes it. */
  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    return this.#queue.run(work)
  }
}

type Known = Pick<StateStore['state'], 'guests' | 'docks' | 'migrations'>

/** Names are those of now; of a guest that is not to be seen, that of its last visit. */
function viewOf(listed: readonly KeptGuest[], { guests, docks, migrations }: Known): KeptMemoryState {
  const named = listed.map(({ guestId, guestName, dockId, bytes, usedAtMs }): KeptGuestMemory => {
    const seen = guests.find(({ id }) => id === guestId)?.name
    const moved = migrations.find((record) => record.guestId === guestId)?.guestName
    return {
      guestId,
      guestName: seen ?? guestName ?? moved ?? null,
      dockId,
      dockName: docks.find(({ id }) => id === dockId)?.name ?? null,
      bytes,
      usedAtMs,
    }
  })
  return {
    guests: named.toSorted((a, b) => b.usedAtMs - a.usedAtMs || (a.guestId < b.guestId ? -1 : 1)),
    totalBytes: named.reduce((sum, { bytes }) => sum + bytes, 0),
  }
}

function saysDiskFull(fact: Fact): boolean {
  if (fact.type !== 'guest.changed' || fact.guest.state.kind !== 'paused') return false
  return fact.guest.state.reason?.code === 'guest.disk_full'
}

function mayRename({ type }: Fact): boolean {
  return type.startsWith('guest.') || type.startsWith('dock.')
}

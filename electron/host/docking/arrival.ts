/**
 * One guest on its way here. Promises that what is done with it is done one thing at a time, in the order asked,
 * and that nothing more is begun once it was let go: a cancel that comes while QEMU starts waits for QEMU and then
 * ends it. Relies on its owner, `Arrivals`, to keep the list.
 */

import { fail } from '../../../shared/errors/index.ts'
import { Disposer } from '../../platform/dispose.ts'
import { OneAtATime } from '../../platform/one-at-a-time.ts'
import type { QemuProcess } from '../../qemu/process.ts'
import type { LocalGuest } from '../guests/local-guest.ts'
import { type Memory, residentBytes } from '../memory.ts'
import type { Journal, JournalStage } from './journal.ts'
import type { GuestOffer } from './messages.ts'
import type { RestReceiver } from './post-copy-arrival.ts'
import type { Visit } from './visits.ts'

export class Arrival {
  readonly migrationId: string
  readonly dockId: string
  readonly guestId: string
  /** What the source announced; null for one that an earlier host left. */
  readonly offer: GuestOffer | null
  readonly cleanup = new Disposer()
  readonly #letGo = new AbortController()
  #held: { journal: Journal; guest: LocalGuest } | null = null
  readonly #queue = new OneAtATime()
  /** What rebuilds its memory; null where that comes as QEMU sends it. */
  visit: Visit | null = null
  /** What takes its memory where it comes before all of that (post-copy), or may. */
  rest: RestReceiver | null = null
  /** Started for this arrival, or found again; may have ended since. */
  process: QemuProcess | null = null
  /** Set when it is let go after the switchover and the source has not said that it keeps the guest. */
  keepsDisk = false
  #loaded = false
  #endPledge: () => void = () => undefined

  constructor(ref: { migrationId: string; dockId: string; guestId: string; offer: GuestOffer | null }) {
    this.migrationId = ref.migrationId
    this.dockId = ref.dockId
    this.guestId = ref.guestId
    this.offer = ref.offer
  }

  /** Fires when the arrival is let go. */
  get signal(): AbortSignal {
    return this.#letGo.signal
  }

  /** Null while it is being prepared. */
  get stage(): JournalStage | null {
    return this.#held?.journal.stage ?? null
  }

  /** @throws migration.not_found while it is being prepared */
  get journal(): Journal {
    return this.#require().journal
  }

  /** @throws migration.not_found while it is being prepared */
  get guest(): LocalGuest {
    return this.#require().guest
  }

  /** The guest, once there is one. */
  get shownGuest(): LocalGuest | null {
    return this.#held?.guest ?? null
  }

  /** True when this host has seen everything arrive. */
  get loaded(): boolean {
    return this.#loaded
  }

  markLoaded(): void {
    this.#loaded = true
    this.#endPledge()
  }

  /** Holds back the memory that the guest is going to take here, until it has arrived or is let go. */
  pledgeMemory(memory: Memory, { memoryBytes }: GuestOffer['definition']): void {
    this.#endPledge = memory.pledge(this.guestId, async () => {
      if (this.process === null) return memoryBytes
      if (!this.process.isRunning) return 0
      return Math.max(0, memoryBytes - (await residentBytes(this.process.identity.pid)))
    })
    this.cleanup.add('give the memory back', () => this.#endPledge())
  }

  hold(journal: Journal, guest: LocalGuest): void {
    this.#held = { journal, guest }
  }

  /** Does one thing at a time. @throws migration.not_found when it was let go before its turn */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    return this.#enqueue(async () => {
      if (this.signal.aborted) throw fail('migration.not_found')
      return await work()
    })
  }

  /** Stops what is going on, then runs `work` as the last thing that is done with it; once only. */
  letGo(work: () => Promise<void>): Promise<void> {
    const first = !this.signal.aborted
    this.#letGo.abort(fail('host.cancelled'))
    return this.#enqueue(async () => {
      if (first) await work()
    })
  }

  /** The QEMU that waits here, alive. @throws qemu.gone */
  requireProcess(): QemuProcess {
    if (this.process === null || !this.process.isRunning) throw fail('qemu.gone')
    return this.process
  }

  #enqueue<T>(work: () => Promise<T>): Promise<T> {
    return this.#queue.run(work)
  }

  #require(): { journal: Journal; guest: LocalGuest } {
    if (this.#held === null) throw fail('migration.not_found')
    return this.#held
  }
}

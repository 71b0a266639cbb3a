/**
 * Guests that run here, or are about to, before all of their memory is here (post-copy). Promises that such a commit is
 * remembered until the guest has all of it, or never will, over restarts of this host. Relies on the source to ask when a
 * link broke.
 */
import { fail } from '../../../shared/errors/index.ts'
import type { From } from '../../docks/dock-net.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Log } from '../../platform/log.ts'
import type { LocalGuest } from '../guests/local-guest.ts'
import type { Operations } from '../operations.ts'
import type { Arrival } from './arrival.ts'
import type { Commits } from './commits.ts'
import type { Journal } from './journal.ts'
import type { RecoverAnswer } from './messages.ts'
import { followRest, RestReceiver } from './post-copy-arrival.ts'

export interface ArrivalRestsOptions {
  operations: Operations
  clock: Clock
  log: Log
  dockName: () => string
}

export class ArrivalRests {
  readonly #options: ArrivalRestsOptions
  readonly #commits: Commits
  readonly #find: (migrationId: string) => Arrival | null

  /** @param find those that are not committed yet */
  constructor(options: ArrivalRestsOptions, commits: Commits, find: (migrationId: string) => Arrival | null) {
    this.#options = options
    this.#commits = commits
    this.#find = find
  }

  /** What takes the memory of an arrival. */
  of(arrival: Arrival): RestReceiver {
    const { migrationId, dockId, guest } = arrival
    const { clock, log } = this.#options
    arrival.rest ??= new RestReceiver({ migrationId, dockId, guest, clock, log })
    return arrival.rest
  }

  /** The guest runs here and lacks memory. @param settledIn as for `Commits.add` */
  follow(journal: Journal, guest: LocalGuest, rest: RestReceiver, settledIn: Promise<void>): void {
    const { operations, log, dockName } = this.#options
    const followed = followRest({ journal, guest, rest, operations, log, dockName: dockName() })
    this.#commits.add(
      journal,
      Promise.all([settledIn, followed]).then(() => undefined),
      rest,
    )
  }

  /** Its QEMU has lived on without a host, waiting for memory, or has died meanwhile. */
  takeUp(journal: Journal, guest: LocalGuest): void {
    const { migrationId, otherDockId: dockId } = journal.head
    const { clock, log } = this.#options
    const rest = new RestReceiver({ migrationId, dockId, guest, clock, log })
    this.follow(journal, guest, rest, guest.changeRecord({ arrival: null }))
  }

  /** The source found the link broken while memory was on its way. @throws migration.not_found */
  async recover({ dockId }: From, migrationId: string): Promise<RecoverAnswer> {
    const known = this.#commits.rest(dockId, migrationId)
    if (known !== null) return await known.listenAgain()
    if (this.#commits.has(dockId, migrationId)) return { kind: 'over', how: 'whole' }
    const arrival = this.#find(migrationId)
    if (arrival === null || arrival.dockId !== dockId) throw fail('migration.not_found')
    return await this.of(arrival).listenAgain()
  }

  /** The QEMU that had the rest of a guest's memory has ended. @returns whether that lost anything */
  async lost(dockId: string, migrationId: string): Promise<boolean> {
    return (await this.#commits.rest(dockId, migrationId)?.giveUp()) === 'lost'
  }
}

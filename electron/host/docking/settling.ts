/**
 * Settles handovers that a crash or a broken link left open, from the journals of both docks. Promises that a
 * guest given away runs here again only when the other dock says that it will never run it, or when a person
 * decides so; that an arrival past its switchover is dropped only on the same terms; that what a person gives up
 * goes to the trash, and comes back from it when the other dock turns out not to have the guest either; and that
 * of one migration only one thing is decided at a time.
 */
import { fail, isCode } from '../../../shared/errors/index.ts'
import type { GuestState } from '../../../shared/models/guest.ts'
import { queryMigration } from '../../qemu/migration.ts'
import type { QemuProcess } from '../../qemu/process.ts'
import type { LocalGuest } from '../guests/local-guest.ts'
import type { Arrivals } from './arrivals.ts'
import { ensureRunningHere } from './ensure-running.ts'
import { type Journal, type JournalHead, readJournals, type UnreadableJournal } from './journal.ts'
import type { DestinationStage, SourceStage } from './messages.ts'
import type { Settlement } from './outcomes.ts'
import type { DockingParts } from './parts.ts'
import type { Rests } from './rests.ts'

const retryEveryMs = 5000

/**
 * What became of a guest that was given away: still open, here for good, there for good, or there for good but for
 * memory that is still to be fetched from here.
 */
export type Settled = 'open' | 'here' | 'there' | 'fetching'

export interface SettlingWatcher {
  /** True while this dock works on sending a guest away. */
  isDeparting(migrationId: string): boolean
  /** A guest that was given away runs there, and this dock must serve the rest of its memory. */
  fetches(journal: Journal): void
  /** It is certain now on which side the guest of a migration is. */
  settled(head: JournalHead, at: Settlement): void
}

export class Settling {
  readonly #parts: DockingParts
  readonly #arrivals: Arrivals
  readonly #rests: Rests
  readonly #watcher: SettlingWatcher
  /** Guests given away, until the other dock has confirmed and this one has let go of its copy. */
  readonly #givenAway = new Map<string, Journal>()
  readonly #deciding = new Map<string, Promise<unknown>>()
  readonly #retry: NodeJS.Timeout
  readonly #ready = Promise.withResolvers<void>()

  constructor(parts: DockingParts, arrivals: Arrivals, rests: Rests, watcher: SettlingWatcher) {
    this.#parts = parts
    this.#arrivals = arrivals
    this.#rests = rests
    this.#watcher = watcher
    this.#retry = setInterval(() => void this.retryAll(), retryEveryMs)
    this.#retry.unref()
  }

  close(): void {
    clearInterval(this.#retry)
  }

  /** Resolves when the journals have been read: before that nothing may be said about any migration. */
  get ready(): Promise<void> {
    return this.#ready.promise
  }

  /** Reads the journals an earlier host left, and brings back what had not been given away. */
  async takeUp(): Promise<void> {
    const { journalDir, log, guests } = this.#parts
    const { journals, unreadable } = await readJournals(journalDir, log)
    for (const journal of journals) {
      const { migrationId } = journal.head
      try {
        if (journal.head.side === 'destination') await this.#arrivals.takeUp(journal)
        else if (journal.stage === 'given-away') this.#showUnsettled(journal)
        else await this.#keepHere(journal)
      } catch (error) {
        // One guest that cannot be settled now must not keep the others from being looked after.
        log.error('a migration was not taken up', { migrationId, error })
      }
    }
    this.#holdUnreadable(unreadable)
    const held = new Set(unreadable.map(({ guestId }) => guestId))
    for (const guest of guests.list()) {
      const { arrival } = guest.record
      const open = arrival !== null && this.#arrivals.find(arrival.migrationId) === null
      const settling = arrival !== null && this.#arrivals.commits.has(arrival.fromDockId, arrival.migrationId)
      if (open && !settling && !held.has(guest.id)) await guests.forget(guest.id)
    }
    this.#ready.resolve()
    void this.retryAll()
  }

  /** Nobody knows whose these guests are: they are shown with the reason and left alone. */
  #holdUnreadable(unreadable: readonly UnreadableJournal[]): void {
    for (const { guestId, path } of unreadable) {
      const error = fail('host.state_unreadable', { path }).toJSON()
      this.#parts.guests.find(guestId)?.setState({ kind: 'failed', error })
    }
  }

  /** A guest was given away and the answer was lost. Settled at once where the other dock still answers. */
  async sourceIsUnsettled(journal: Journal): Promise<Settled> {
    this.#showUnsettled(journal)
    try {
      return this.#isOnline(journal.head.otherDockId) ? await this.#settleSource(journal) : 'open'
    } catch (error) {
      this.#logFailure(error)
      return 'open'
    }
  }

  /** The other dock runs it and fetches the rest of its memory: the journal is remembered until it has all. */
  givenAway(journal: Journal): void {
    this.#givenAway.set(journal.head.migrationId, journal)
  }

  /** The other dock has confirmed: this one lets go of its copy, or tries again later. */
  async handedOver(journal: Journal): Promise<void> {
    this.#givenAway.set(journal.head.migrationId, journal)
    await this.#oneAtATime(journal.head.migrationId, () => this.#letGo(journal)).catch((error: unknown) =>
      this.#parts.log.error('a guest that left was not cleaned up', { guestId: journal.head.guestId, error }),
    )
  }

  /** What this side, as a source, says of a migration to the dock it went to. */
  sourceStage(dockId: string, migrationId: string): SourceStage {
    const journal = this.#givenAway.get(migrationId)
    if (journal !== undefined) return journal.head.otherDockId === dockId ? 'given-away' : 'unknown'
    return this.#watcher.isDeparting(migrationId) ? 'open' : 'unknown'
  }

  /** Another dock is there again: asks it about everything that is open between the two. */
  async met(dockId: string): Promise<void> {
    for (const journal of [...this.#givenAway.values()]) {
      const { migrationId, otherDockId } = journal.head
      if (otherDockId !== dockId || this.#watcher.isDeparting(migrationId)) continue
      if ((await this.#settleSource(journal)) === 'fetching') this.#watcher.fetches(journal)
    }
    for (const waiting of this.#arrivals.waiting()) {
      if (waiting.dockId === dockId) await this.#settleDestination(waiting.migrationId, dockId)
    }
    for (const commit of this.#arrivals.commits.list()) {
      if (commit.dockId === dockId) await this.#settleCommit(commit.migrationId, dockId)
    }
  }

  /** How a guest stands here that comes back from the trash: one that was given away waits to be settled. */
  restingState(guestId: string): GuestState {
    const journal = [...this.#givenAway.values()].find(({ head }) => head.guestId === guestId)
    return journal === undefined ? { kind: 'stopped' } : unsettledState(journal)
  }

  /** @throws migration.not_found when nothing is open under this id; migration.not_arrived */
  async decide(migrationId: string, choice: 'run-here' | 'give-up-here'): Promise<void> {
    await this.#oneAtATime(migrationId, async () => {
      const journal = this.#givenAway.get(migrationId)
      if (journal !== undefined) {
        this.#assertMayDecide(journal, choice)
        if (choice === 'run-here') await this.#keepHere(journal)
        // The journal stays: the other dock must still hear that the guest is its own.
        else await this.#parts.guests.giveUp(journal.head.guestId)
        return
      }
      const arrival = this.#arrivals.find(migrationId)
      if (arrival?.shownGuest?.state.kind !== 'unsettled') throw fail('migration.not_found')
      const { head } = arrival.journal
      if (choice === 'run-here') await this.#arrivals.takeHere(arrival)
      else await this.#arrivals.discard(migrationId, true)
      this.#watcher.settled(head, choice === 'run-here' ? 'destination' : 'source')
    })
  }

  /** What has gone over with post-copy runs there for certain. @throws migration.too_late_to_cancel */
  #assertMayDecide({ head }: Journal, choice: 'run-here' | 'give-up-here'): void {
    const { guests, calls } = this.#parts
    if (choice === 'give-up-here' || guests.find(head.guestId)?.state.kind !== 'leaving') return
    const dock = calls.net.peers().find((peer) => peer.id === head.otherDockId)?.name ?? 'the other PC'
    throw fail('migration.too_late_to_cancel', { name: head.guestName, dock })
  }

  #showUnsettled(journal: Journal): void {
    const { migrationId, guestId } = journal.head
    this.#givenAway.set(migrationId, journal)
    const guest = this.#parts.guests.find(guestId)
    guest?.setOperation(null)
    guest?.setState(unsettledState(journal))
  }

  /** One decision at a time: a person's and the other dock's must not cross. */
  #oneAtATime<T>(migrationId: string, decide: () => Promise<T>): Promise<T> {
    const before = this.#deciding.get(migrationId) ?? Promise.resolve()
    const next = before.then(decide, decide)
    this.#deciding.set(migrationId, next)
    const over = (): void => {
      if (this.#deciding.get(migrationId) === next) this.#deciding.delete(migrationId)
    }
    next.then(over, over)
    return next
  }

  #settleSource(journal: Journal): Promise<Settled> {
    const { calls, log } = this.#parts
    const { migrationId, otherDockId } = journal.head
    return this.#oneAtATime(migrationId, async () => {
      if (this.#givenAway.get(migrationId) !== journal) return 'open'
      const { stage } = await calls.ask(otherDockId, 'docking.destination-stage', { migrationId })
      log.info('an open handover is being settled', { migrationId, stage })
      if (stage === 'unknown') {
        await this.#keepHere(journal)
        return 'here'
      }
      if (stage === 'fetching') return 'fetching'
      if (stage !== 'committed' && (await this.#commitAgain(journal)) === 'fetching') return 'fetching'
      await this.#letGo(journal)
      return 'there'
    })
  }

  /** @returns the stage there afterwards */
  async #commitAgain(journal: Journal): Promise<DestinationStage> {
    const { calls } = this.#parts
    const { head } = journal
    const { migrationId, otherDockId } = head
    const fetches = await this.#rests.mayHold(journal)
    if (fetches === true) await this.#rests.mend(journal)
    const run = head.side === 'source' && head.wasRunning
    await calls.ask(otherDockId, 'docking.commit', { migrationId, run, fetches })
    return (await calls.ask(otherDockId, 'docking.destination-stage', { migrationId })).stage
  }

  /**
   * The guest lives over there: its copy goes first, then the journal, then the other dock may forget its own. A
   * crash in between finds the journal and does the rest.
   */
  async #letGo(journal: Journal): Promise<void> {
    const { calls, guests } = this.#parts
    const { migrationId, guestId, otherDockId } = journal.head
    await guests.forget(guestId)
    await journal.remove()
    this.#givenAway.delete(migrationId)
    calls.net.emit(otherDockId, 'docking.let-go', { migrationId })
    this.#watcher.settled(journal.head, 'destination')
  }

  async #settleDestination(migrationId: string, dockId: string): Promise<void> {
    const { stage } = await this.#parts.calls.ask(dockId, 'docking.source-stage', { migrationId })
    if (stage === 'unknown') await this.#arrivals.discard(migrationId, false)
    // `given-away`: the source sends the commit by itself, with what only it knows.
  }

  async #settleCommit(migrationId: string, dockId: string): Promise<void> {
    const { stage } = await this.#parts.calls.ask(dockId, 'docking.source-stage', { migrationId })
    if (stage !== 'unknown') return
    await this.#arrivals.rests.lost(dockId, migrationId)
    await this.#arrivals.commits.forget(dockId, migrationId)
  }

  /** The guest is and stays this dock's. */
  async #keepHere(journal: Journal): Promise<void> {
    const { guests, log } = this.#parts
    const { guestId, migrationId } = journal.head
    // A person had given it up here, as it seemed to be over there.
    const guest = guests.find(guestId) ?? (await guests.takeFromTrash(guestId, { kind: 'stopped' }))
    const wasRunning = journal.head.side === 'source' && journal.head.wasRunning
    if (guest !== null) {
      guest.setOperation(null)
      if (guest.process === null) guest.setState({ kind: 'stopped' })
      else {
        await this.#runOnHere(guest, guest.process, journal, wasRunning)
      }
    }
    await journal.remove()
    this.#givenAway.delete(migrationId)
    log.info('a guest stays here', { guestId, migrationId })
    this.#watcher.settled(journal.head, 'source')
  }

  /** A QEMU whose post-copy was broken off never runs again without the other side. */
  async #runOnHere(
    guest: LocalGuest,
    process: QemuProcess,
    { head }: Journal,
    wasRunning: boolean,
  ): Promise<void> {
    if ((await queryMigration(process.qmp)).status !== 'postcopy-paused') {
      await ensureRunningHere(process, guest.definition, wasRunning)
      await guest.readStatus()
      return
    }
    await guest.discardProcess()
    const dock = this.#parts.calls.net.peers().find((peer) => peer.id === head.otherDockId)?.name
    const values = { name: guest.name, dock: dock ?? 'the other PC' }
    guest.setState({ kind: 'failed', error: fail('migration.memory_lost_here', values).toJSON() })
    await guest.changeRecord({ bootedAtMs: null })
  }

  /** Asks every dock that is there about what is open. Never rejects. */
  async retryAll(): Promise<void> {
    const docks = new Set([
      ...[...this.#givenAway.values()].map((journal) => journal.head.otherDockId),
      ...this.#arrivals.waiting().map((waiting) => waiting.dockId),
      ...this.#arrivals.commits.list().map((commit) => commit.dockId),
    ])
    const online = [...docks].filter((dockId) => this.#isOnline(dockId))
    await Promise.all(
      online.map((dockId) => this.met(dockId).catch((error: unknown) => this.#logFailure(error))),
    )
  }

  #isOnline(dockId: string): boolean {
    return this.#parts.calls.net.peers().some((peer) => peer.id === dockId && peer.state === 'online')
  }

  #logFailure(error: unknown): void {
    if (!isCode(error, 'dock.link_lost')) this.#parts.log.warn('settling failed', { error })
  }
}

function unsettledState({ head: { migrationId, otherDockId } }: Journal): GuestState {
  return { kind: 'unsettled', migrationId, otherDockId }
}

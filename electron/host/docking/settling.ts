/**
 * Settles handovers that a crash or a broken link left open, from the journals of both docks. Promises that a
 * guest given away runs here again only when the other dock says that it will never run it, or when a person
 * decides so; and that an arrival past its switchover is dropped only on the same terms.
 */
import { fail, isCode } from '../../../shared/errors/index.ts'
import type { Arrivals } from './arrivals.ts'
import { ensureRunningHere } from './ensure-running.ts'
import { type Journal, readJournals } from './journal.ts'
import type { SourceStage } from './messages.ts'
import type { DockingParts } from './parts.ts'

const retryEveryMs = 5000

export class Settling {
  readonly #parts: DockingParts
  readonly #arrivals: Arrivals
  readonly #isDeparting: (migrationId: string) => boolean
  /** Guests given away whose arrival nobody has confirmed. */
  readonly #givenAway = new Map<string, Journal>()
  readonly #retry: NodeJS.Timeout
  readonly #ready = Promise.withResolvers<void>()

  constructor(parts: DockingParts, arrivals: Arrivals, isDeparting: (migrationId: string) => boolean) {
    this.#parts = parts
    this.#arrivals = arrivals
    this.#isDeparting = isDeparting
    this.#retry = setInterval(() => void this.#retryAll(), retryEveryMs)
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
    for (const journal of await readJournals(journalDir, log)) {
      if (journal.head.side === 'destination') await this.#arrivals.takeUp(journal)
      else if (journal.stage === 'given-away') this.sourceIsUnsettled(journal)
      else await this.#keepHere(journal)
    }
    for (const guest of guests.list()) {
      const arrival = guest.record.arrival
      if (arrival !== null && this.#arrivals.find(arrival.migrationId) === null) await guests.forget(guest.id)
    }
    this.#ready.resolve()
  }

  /** A guest was given away and the answer was lost. */
  sourceIsUnsettled(journal: Journal): void {
    const { migrationId, guestId, otherDockId } = journal.head
    this.#givenAway.set(migrationId, journal)
    const guest = this.#parts.guests.find(guestId)
    guest?.setOperation(null)
    guest?.setState({ kind: 'unsettled', migrationId, otherDockId })
  }

  /** What this side, as a source, says of a migration to the dock it went to. */
  sourceStage(dockId: string, migrationId: string): SourceStage {
    const journal = this.#givenAway.get(migrationId)
    if (journal !== undefined) return journal.head.otherDockId === dockId ? 'given-away' : 'unknown'
    return this.#isDeparting(migrationId) ? 'open' : 'unknown'
  }

  /** Another dock is there again: asks it about everything that is open between the two. */
  async met(dockId: string): Promise<void> {
    for (const journal of [...this.#givenAway.values()]) {
      if (journal.head.otherDockId === dockId) await this.#settleSource(journal)
    }
    for (const waiting of this.#arrivals.waiting()) {
      if (waiting.dockId === dockId) await this.#settleDestination(waiting.migrationId, dockId)
    }
  }

  /** @throws migration.not_found when nothing is open under this id */
  async decide(migrationId: string, choice: 'run-here' | 'give-up-here'): Promise<void> {
    const journal = this.#givenAway.get(migrationId)
    if (journal !== undefined) {
      if (choice === 'run-here') await this.#keepHere(journal)
      // The journal stays: the other dock must still hear that the guest is its own.
      else await this.#parts.guests.forget(journal.head.guestId)
      return
    }
    const arrival = this.#arrivals.find(migrationId)
    if (arrival === null || arrival.guest.state.kind !== 'unsettled') throw fail('migration.not_found')
    if (choice === 'run-here') await this.#arrivals.take(arrival, true)
    else await this.#arrivals.discard(migrationId)
  }

  async #settleSource(journal: Journal): Promise<void> {
    const { calls, guests, log } = this.#parts
    const { migrationId, otherDockId, guestId } = journal.head
    const { stage } = await calls.ask(otherDockId, 'docking.destination-stage', { migrationId })
    log.info('an open handover is settled', { migrationId, stage })
    if (stage === 'unknown') {
      await this.#keepHere(journal)
      return
    }
    if (stage !== 'committed') {
      const run = journal.head.side === 'source' && journal.head.wasRunning
      await calls.ask(otherDockId, 'docking.commit', { migrationId, run })
    }
    this.#givenAway.delete(migrationId)
    await guests.forget(guestId)
    await journal.remove()
  }

  async #settleDestination(migrationId: string, dockId: string): Promise<void> {
    const arrival = this.#arrivals.find(migrationId)
    if (arrival === null) return
    const { stage } = await this.#parts.calls.ask(dockId, 'docking.source-stage', { migrationId })
    if (stage === 'unknown') await this.#arrivals.discard(migrationId)
    // `given-away`: the source sends the commit by itself, with what only it knows.
  }

  /** The guest is and stays this dock's. */
  async #keepHere(journal: Journal): Promise<void> {
    const { guests, log } = this.#parts
    const guest = guests.find(journal.head.guestId)
    const wasRunning = journal.head.side === 'source' && journal.head.wasRunning
    if (guest !== null) {
      guest.setOperation(null)
      if (guest.process === null) guest.setState({ kind: 'stopped' })
      else {
        await ensureRunningHere(guest.process, wasRunning)
        await guest.readStatus()
      }
    }
    this.#givenAway.delete(journal.head.migrationId)
    await journal.remove()
    log.info('a guest stays here', { guestId: journal.head.guestId, migrationId: journal.head.migrationId })
  }

  async #retryAll(): Promise<void> {
    const docks = new Set([
      ...[...this.#givenAway.values()].map((journal) => journal.head.otherDockId),
      ...this.#arrivals.waiting().map((waiting) => waiting.dockId),
    ])
    for (const dockId of docks) {
      const online = this.#parts.calls.net
        .peers()
        .some((peer) => peer.id === dockId && peer.state === 'online')
      if (!online) continue
      await this.met(dockId).catch((error: unknown) => {
        if (!isCode(error, 'dock.link_lost')) this.#parts.log.warn('settling failed', { error })
      })
    }
  }
}

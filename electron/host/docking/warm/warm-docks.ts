/**
 * Keeps docks ready for guests of this one, where a person allows it: looks every moment whose turn it is, and lets one
 * visit without its guest run at a time. Promises that such a visit gives way at once to whatever a person or a rule
 * wants of the guest; that it rests on battery and on metered links; that what other docks had of a guest goes when
 * it is kept ready there no more, at the latest when the docks meet; and that the state says how far each dock is.
 */
import { fail, isCode, toWdockError, type WdockError } from '../../../../shared/errors/index.ts'
import { formatBytes } from '../../../../shared/format.ts'
import type { MigrationCheck, MigrationRequest } from '../../../../shared/models/migration.ts'
import type { DockNet, PeerInfo } from '../../../docks/dock-net.ts'
import type { LocalGuest } from '../../guests/local-guest.ts'
import { hasEnded } from '../../operations.ts'
import type { PeerCalls } from '../../peer-calls.ts'
import type { Fact } from '../../state-store.ts'
import type { KeptMemory } from '../kept-memory.ts'
import { warmForgottenEvent } from '../messages.ts'
import type { DockingParts } from '../parts.ts'
import type { Visits } from '../visits.ts'
import type { Economy } from './economy.ts'
import { type Pair, type TurnEnd, Turns, usualTimes, type WarmTimes } from './turns.ts'
import type { WarmArrivals } from './warm-arrivals.ts'
import type { WarmBook } from './warm-book.ts'
import { WarmVisit } from './warm-visit.ts'

type Parts = Pick<
  DockingParts,
  'guests' | 'layers' | 'bootFiles' | 'operations' | 'store' | 'rates' | 'clock' | 'random' | 'log'
>

export interface WarmDocksOptions extends Parts {
  calls: PeerCalls<DockNet>
  visits: Visits
  keptMemory: KeptMemory
  arrivals: WarmArrivals
  book: WarmBook
  economy: Economy
  /** Of guests' memory, in bytes; 0 for nothing. */
  keepsAtMost: () => number
  /** Will it move, and how long will that take? */
  check: (request: MigrationRequest) => Promise<MigrationCheck>
  times?: WarmTimes
}

interface Running {
  visit: WarmVisit
  ended: Promise<WdockError | null>
}

const lookEveryMs = 1000
/** The other dock's own reasons; they stand until it says otherwise. */
const refusals = [
  'warm.guest_here',
  'warm.keeps_nothing',
  'warm.limit_small',
  'warm.no_room',
  'warm.on_battery',
  'warm.metered',
] as const

export class WarmDocks {
  readonly #options: WarmDocksOptions
  readonly #turns: Turns
  readonly #ending = new AbortController()
  readonly #stopListening: () => void
  #running: Running | null = null
  #isResting = false
  #looking: Promise<void> = Promise.resolve()

  constructor(options: WarmDocksOptions) {
    this.#options = options
    this.#turns = new Turns(options.times ?? usualTimes)
    const { calls, store, operations, arrivals, book, log } = options
    operations.makeWay = (guestId) => this.#makeWay(guestId)
    this.#stopListening = store.onFact((fact) => this.#onFact(fact))
    calls.net.onOnline((dockId) => {
      book.tell(dockId)
      void this.#hold(dockId)
    })
    calls.net.onUnpaired((dockId) => {
      this.#dropWhere((pair) => pair.dockId === dockId)
      arrivals
        .unpaired(dockId)
        .catch((error: unknown) => log.warn('what came in advance was not removed', { dockId, error }))
    })
    calls.net.onEvent('warm.forgotten', ({ dockId }, data) => {
      const parsed = warmForgottenEvent.safeParse(data)
      if (parsed.success) this.#forgottenThere({ guestId: parsed.data.guestId, dockId })
    })
  }

  /** Begins to look. Never fails. */
  start(): void {
    const { book, calls } = this.#options
    book.show()
    for (const peer of calls.net.peers()) {
      if (peer.state !== 'online') continue
      book.tell(peer.id)
      void this.#hold(peer.id)
    }
    this.#looking = this.#look()
  }

  /** Ends what is under way, in order. */
  async close(): Promise<void> {
    this.#ending.abort()
    this.#stopListening()
    this.#running?.visit.stop()
    await Promise.all([this.#looking, this.#running?.ended])
    await this.#options.arrivals.close()
    await this.#options.book.close()
  }

  /** @throws dock.not_found, host.disk_full */
  async allow(dockId: string, allowed: boolean): Promise<void> {
    const { calls, book, keptMemory } = this.#options
    await calls.net.setKeepsReady(dockId, allowed)
    if (!allowed) {
      const theirs = book.pairs.filter((pair) => pair.dockId === dockId)
      const running = this.#running
      this.#dropWhere((pair) => pair.dockId === dockId)
      await running?.ended
      // Of no use any more: it is half of what the other dock is rid of.
      for (const { guestId } of theirs) await keptMemory.forgetOf(guestId, dockId)
    }
    await this.#hold(dockId)
  }

  /** Resolves when the dock is ready for the guest. @throws warm.not_allowed, warm.ended, why it is refused */
  async now({ guestId, dockId }: Pair): Promise<void> {
    const { guests, calls, operations, book } = this.#options
    const pair = { guestId, dockId }
    const guest = guests.get(guestId)
    const dock = calls.net.peers().find(({ id }) => id === dockId)
    if (dock === undefined) throw fail('dock.not_found')
    if (!dock.keepsReady) throw fail('warm.not_allowed', { dock: dock.name })
    if (dock.state !== 'online') throw fail('dock.unreachable', { dock: dock.name })
    if (guest.state.kind !== 'running') throw fail('migration.not_running', { name: guest.name })
    operations.assertFree(guestId, guest.name)
    this.#turns.order(pair)
    const error = await this.#ordered(pair)
    if (error !== null) throw error
    if (book.find(pair)?.kind !== 'ready') throw fail('warm.ended', { name: guest.name, dock: dock.name })
  }

  /** A person wants nothing of this guest kept on this PC, or of any. */
  async forgetHere(guestId: string | null): Promise<void> {
    const { arrivals, book } = this.#options
    const running = this.#running
    const isMeant = (pair: Pair): boolean => guestId === null || pair.guestId === guestId
    if (running !== null && isMeant(pairOf(running))) {
      running.visit.stop()
      await running.ended
    }
    for (const pair of book.pairs) if (isMeant(pair)) book.drop(pair)
    await arrivals.forget(guestId)
  }

  /** Lets others go first, but only such as were begun. @returns why it is not ready, null where it is or was given up */
  async #ordered(pair: Pair): Promise<WdockError | null> {
    while (this.#turns.isOrdered(pair) && !this.#ending.signal.aborted) {
      const running = this.#running
      if (running === null) {
        if (!this.#pairs().some((each) => isSame(each, pair))) return null
        this.#begin(pair)
      } else if (isSame(pairOf(running), pair)) return await running.ended
      else {
        running.visit.stop()
        await running.ended
      }
    }
    return null
  }

  /** Before an operation of a guest does anything: whatever goes on with it here ends. */
  #makeWay(guestId: string): Promise<void> | null {
    this.#turns.busy(guestId, this.#options.clock.monotonicMs())
    const visit = this.#running?.visit
    if (visit?.guestId !== guestId) return null
    visit.stop()
    return visit.freed
  }

  async #look(): Promise<void> {
    const { clock, log } = this.#options
    const { signal } = this.#ending
    while (!signal.aborted) {
      await clock.sleep(lookEveryMs, signal).catch(() => undefined)
      if (signal.aborted) return
      await this.lookOnce().catch((error: unknown) => log.warn('docks were not looked after', { error }))
    }
  }

  /** Begins a visit where it is somebody's turn, ends one that is to rest. */
  async lookOnce(): Promise<void> {
    const { economy, calls, clock } = this.#options
    const pairs = this.#pairs()
    if (pairs.length === 0) return
    const reason = await economy.reason(calls.net.name)
    if (reason !== null) {
      const running = this.#running
      if (running !== null && !this.#turns.isOrdered(pairOf(running))) running.visit.stop()
      for (const pair of pairs) this.#wait(pair, reason)
      this.#isResting = true
      return
    }
    if (this.#isResting) for (const pair of pairs) this.#wait(pair, null)
    this.#isResting = false
    if (this.#running !== null || this.#isBusy() || this.#ending.signal.aborted) return
    const next = this.#turns.next(this.#pairs(), clock.monotonicMs())
    if (next !== null) this.#begin(next)
  }

  /** Guests and docks for which it could be anybody's turn. */
  #pairs(): Pair[] {
    const { guests, calls } = this.#options
    const docks = calls.net.peers().filter((peer) => peer.keepsReady && peer.state === 'online')
    const ready = guests.list().filter((guest) => this.#isFree(guest))
    return ready.flatMap((guest) => docks.map(({ id }) => ({ guestId: guest.id, dockId: id })))
  }

  #isFree(guest: LocalGuest): boolean {
    const { operations } = this.#options
    const isWhole = guest.record.restore === undefined && guest.record.arrival === null
    return guest.state.kind === 'running' && isWhole && operations.holding(guest.id) === null
  }

  #isBusy(): boolean {
    return this.#options.store.state.operations.some((operation) => !hasEnded(operation))
  }

  #begin(pair: Pair): void {
    const { visits, guests, calls } = this.#options
    const guest = guests.get(pair.guestId)
    const dock = calls.net.peers().find(({ id }) => id === pair.dockId)
    if (dock === undefined) return
    const visit = new WarmVisit({
      parts: this.#options,
      visits,
      guest,
      to: { dockId: dock.id, name: dock.name },
      isBusy: () => this.#isBusy(),
      onProgress: (percent) => this.#progressed(pair, percent),
    })
    this.#running = { visit, ended: this.#run(pair, { visit, guest, dock }) }
  }

  /** @returns why the dock is not ready; null where it is, or where the visit was ended from here */
  async #run(
    pair: Pair,
    { visit, guest, dock }: { visit: WarmVisit; guest: LocalGuest; dock: PeerInfo },
  ): Promise<WdockError | null> {
    const { clock, log } = this.#options
    let end: TurnEnd = 'broken-off'
    let error: WdockError | null = null
    try {
      await this.#assertRoom(guest)
      if (await visit.run()) {
        await this.#becameReady(pair)
        end = 'ready'
      }
    } catch (thrown) {
      error = toWdockError(thrown)
      if (refusals.some((code) => isCode(error, code))) end = 'refused'
      log.info('a dock was not made ready', { ...pair, dock: dock.name, error: error.toJSON() })
    }
    this.#running = null
    this.#turns.ended(pair, end, clock.monotonicMs())
    if (end !== 'ready') this.#wait(pair, end === 'refused' ? error : null)
    return error
  }

  /** @throws warm.keeps_nothing, warm.no_room of this dock: both sides keep the same */
  async #assertRoom(guest: LocalGuest): Promise<void> {
    const { visits, keepsAtMost, calls } = this.#options
    const { memoryBytes } = guest.definition
    const names = { name: guest.name, dock: calls.net.name }
    if (keepsAtMost() === 0) throw fail('warm.keeps_nothing', names)
    if (!(await visits.hasRoom(memoryBytes)))
      throw fail('warm.no_room', { ...names, needed: formatBytes(memoryBytes) })
  }

  async #becameReady(pair: Pair): Promise<void> {
    const { book, check, calls, clock } = this.#options
    const atMs = clock.nowMs()
    const request = { guestId: pair.guestId, fromDockId: calls.net.id, toDockId: pair.dockId }
    const { estimate } = await check(request)
    if (this.#isWanted(pair)) book.set(pair, { kind: 'ready', atMs, time: estimate?.time ?? null })
  }

  /** What was ready stays so while it is brought up to date. */
  #progressed(pair: Pair, percent: number): void {
    const { book } = this.#options
    if (book.find(pair)?.kind === 'ready' || !this.#isWanted(pair)) return
    book.set(pair, { kind: 'warming', percent: Math.max(percent, book.percent(pair)) })
  }

  #wait(pair: Pair, reason: WdockError | null): void {
    const { book } = this.#options
    if (book.find(pair)?.kind === 'ready' || !this.#isWanted(pair)) return
    book.set(pair, { kind: 'waiting', percent: book.percent(pair), reason: reason?.toJSON() ?? null })
  }

  #isWanted({ guestId, dockId }: Pair): boolean {
    const { guests, calls } = this.#options
    const isAllowed = calls.net.peers().some((peer) => peer.id === dockId && peer.keepsReady)
    return isAllowed && guests.find(guestId) !== null
  }

  #dropWhere(isGone: (pair: Pair) => boolean): void {
    const { book } = this.#options
    const running = this.#running
    if (running !== null && isGone(pairOf(running))) running.visit.stop()
    for (const pair of book.pairs) if (isGone(pair)) book.drop(pair)
  }

  #onFact(fact: Fact): void {
    const here = this.#options.calls.net.id
    if (fact.type === 'guest.changed' && fact.guest.dockId === here) {
      const { id, state, operationId } = fact.guest
      if (state.kind === 'running' && operationId === null) return
      this.#makeWay(id)
    } else if (fact.type === 'operation.changed') {
      this.#turns.busy(fact.operation.guestId, this.#options.clock.monotonicMs())
    } else if (fact.type === 'guest.removed' && fact.dockId === here) {
      this.#dropWhere((pair) => pair.guestId === fact.guestId)
      for (const peer of this.#options.calls.net.peers())
        if (peer.state === 'online') void this.#hold(peer.id)
    } else if (fact.type === 'kept-memory.changed') this.#keptChanged()
  }

  /** What is not kept here any more is as if it had not been brought. */
  #keptChanged(): void {
    const { book, store } = this.#options
    const kept = new Set(store.state.keptMemory.guests.map(({ guestId }) => guestId))
    for (const pair of book.pairs) {
      if (book.find(pair)?.kind === 'ready' && !kept.has(pair.guestId)) book.drop(pair)
    }
  }

  #forgottenThere(pair: Pair): void {
    this.#turns.ended(pair, 'ready', this.#options.clock.monotonicMs())
    this.#dropWhere((each) => isSame(each, pair))
  }

  /** Tells a dock for whom it is kept ready. One of an earlier version does not know what that is. */
  async #hold(dockId: string): Promise<void> {
    const { calls, guests, log } = this.#options
    const peer = calls.net.peers().find(({ id }) => id === dockId)
    if (peer?.state !== 'online') return
    const guestIds = peer.keepsReady ? guests.list().map(({ id }) => id) : []
    await calls
      .ask(dockId, 'warm.hold', { guestIds })
      .catch((error: unknown) => log.info('a dock was not told what it is kept ready for', { dockId, error }))
  }
}

function pairOf({ visit }: Running): Pair {
  return { guestId: visit.guestId, dockId: visit.toDockId }
}

function isSame(a: Pair, b: Pair): boolean {
  return a.guestId === b.guestId && a.dockId === b.dockId
}

/**
 * Moving guests between this dock and others: the check, the move itself in either direction, cancelling, and
 * settling what a broken link left open. Promises that a move is driven by the dock that has the guest, whoever
 * clicked. Relies on Departure and Arrivals for the two sides.
 */
import type { Duplex } from 'node:stream'
import { errorFromShape, fail, isCode, toWdockError, type WdockError } from '../../../shared/errors/index.ts'
import type { GuestState } from '../../../shared/models/guest.ts'
import type { MigrationCheck, MigrationRequest } from '../../../shared/models/migration.ts'
import {
  type MigrationPhase,
  type Operation,
  operation as operationSchema,
} from '../../../shared/models/operation.ts'
import type { From } from '../../docks/dock-net.ts'
import type { LocalGuest } from '../guests/local-guest.ts'
import { hasEnded, type RunningOperation } from '../operations.ts'
import { Arrivals } from './arrivals.ts'
import { Departure, type DepartureEnd, type DepartureTarget } from './departure.ts'
import { DepartureMeter } from './departure-meter.ts'
import { Heartbeats } from './heartbeats.ts'
import type { MigrationHistory } from './history.ts'
import type { Journal, JournalHead } from './journal.ts'
import { type DestinationStage, failedEvent, letGoEvent, streamHeader, warmHeader } from './messages.ts'
import { Outcomes } from './outcomes.ts'
import type { DockingParts } from './parts.ts'
import { type RestHooks, Rests, restHooks } from './rests.ts'
import { Settling } from './settling.ts'
import { arrivingHeartbeatMs } from './tuning.ts'
import { willItMove } from './will-it-move.ts'

/** How often a running move is told to the other dock. */
const mirrorEveryMs = 200
/** How long moves may take to end when the host does. */
const closeWithinMs = 6000

export class Docking {
  readonly #parts: DockingParts
  readonly #outcomes: Outcomes
  readonly #arrivals: Arrivals
  readonly #rests: Rests
  readonly #settling: Settling
  readonly #heartbeats: Heartbeats
  readonly #departures = new Map<string, Departure>()
  /** Moves of an earlier host of which this one serves the rest of the memory. */
  readonly #resumed = new Set<string>()
  /** Moves that other docks drive and that are shown here, each with what ends the close watch on its dock. */
  readonly #watched = new Map<string, () => void>()
  #closed = false

  constructor(parts: DockingParts, history: MigrationHistory) {
    this.#parts = parts
    this.#outcomes = new Outcomes(parts, history)
    const { calls } = parts
    this.#heartbeats = new Heartbeats(calls.net)
    this.#arrivals = new Arrivals({
      ...parts,
      dockName: () => calls.net.name,
      tellFailed: (dockId, migrationId, error) =>
        calls.net.emit(dockId, 'docking.failed', { migrationId, error: error.toJSON() }),
    })
    this.#rests = new Rests(parts)
    this.#settling = new Settling(parts, this.#arrivals, this.#rests, {
      isDeparting: (id) => this.#departures.has(id) || this.#resumed.has(id),
      fetches: (journal) => this.#serveOn(journal),
      settled: (head, at) => this.#outcomes.settled(head, at),
    })
    this.#serve()
    this.#listen()
  }

  /** Takes up what an earlier host left open. */
  async start(): Promise<void> {
    await this.#settling.takeUp()
    for (const head of this.#arrivals.commits.fetching()) this.#parts.operations.mirror(this.#waiting(head))
    this.#outcomes.start()
  }

  /** Ends what can still be ended in order: moves that are on are cancelled, the guests run on here. */
  async close(): Promise<void> {
    this.#closed = true
    this.#settling.close()
    this.#rests.close()
    await this.#parts.operations.stopAll(closeWithinMs)
    await this.#arrivals.close()
  }

  /** Will a guest move between this dock and another? */
  async check(request: MigrationRequest): Promise<MigrationCheck> {
    const { calls } = this.#parts
    const here = calls.net.id
    if (request.fromDockId === here && request.toDockId !== here) {
      return await willItMove(this.#parts, request.guestId, this.#target(request.toDockId))
    }
    if (request.toDockId !== here || request.fromDockId === here) throw notBetween()
    return await calls.ask(request.fromDockId, 'docking.will-it-move', { guestId: request.guestId })
  }

  /** Starts a move. @returns the operation to follow */
  async move(request: MigrationRequest): Promise<{ operationId: string }> {
    const { calls } = this.#parts
    const here = calls.net.id
    if (request.fromDockId === here && request.toDockId !== here) {
      return { operationId: this.#depart(request, this.#target(request.toDockId)) }
    }
    if (request.toDockId !== here || request.fromDockId === here) throw notBetween()
    const { guestId, transfer, switchover } = request
    return await calls.ask(request.fromDockId, 'docking.pull', { guestId, transfer, switchover })
  }

  /** Cancels an operation of this dock, or of the dock that drives it. */
  async cancel(operationId: string): Promise<void> {
    const own = this.#parts.operations.find(operationId)
    if (own !== null) {
      own.cancel()
      return
    }
    const known = this.#parts.store.state.operations.find((each) => each.id === operationId)
    if (known?.work.kind === 'checkpoint' && !hasEnded(known)) throw fail('vault.already_kept')
    if (known === undefined || known.work.kind !== 'migration' || hasEnded(known))
      throw fail('migration.not_found')
    await this.#parts.calls.ask(known.work.fromDockId, 'docking.cancel', { operationId })
  }

  /** A person's decision on an unsettled handover. */
  async settle(migrationId: string, choice: 'run-here' | 'give-up-here'): Promise<void> {
    await this.#settling.decide(migrationId, choice)
  }

  /** How a guest stands here that is brought back from the trash. */
  restingState(guestId: string): GuestState {
    return this.#settling.restingState(guestId)
  }

  #target(dockId: string): DepartureTarget {
    const dock = this.#parts.store.state.docks.find((each) => each.id === dockId)
    if (dock === undefined) throw fail('dock.not_found')
    if (!dock.paired) throw fail('dock.not_paired', { dock: dock.name })
    if (dock.presence.kind !== 'online') throw fail('dock.unreachable', { dock: dock.name })
    return { dockId, name: dock.name }
  }

  #depart(asked: Asked, to: DepartureTarget): string {
    const { guestId, transfer = 'auto', switchover = 'pre-copy' } = asked
    const { guests, operations, calls, random } = this.#parts
    if (this.#closed) throw fail('dock.unreachable', { dock: calls.net.name })
    const guest = guests.get(guestId)
    if (guest.state.kind !== 'running' && guest.state.kind !== 'paused') {
      throw fail('migration.not_running', { name: guest.name })
    }
    const migrationId = random.uuid()
    const stopMirroring = this.#mirrorOperation(migrationId, to.dockId)
    const { operation, ended } = operations.run(
      {
        id: migrationId,
        guestId,
        guestName: guest.name,
        work: {
          ...newWork(calls.net.id, to.dockId, 'checking'),
          ...(switchover === 'post-copy' ? { switchover } : {}),
        },
      },
      async (running) => {
        const departure = new Departure(this.#parts, this.#heartbeats, {
          guest,
          to,
          operation: running,
          transfer,
          switchover,
        })
        this.#departures.set(migrationId, departure)
        try {
          await this.#getReady(guest, running)
          await this.#end(await departure.run(), to)
        } catch (thrown) {
          throw asMoveError(thrown, { name: guest.name, dock: to.name })
        } finally {
          this.#departures.delete(migrationId)
        }
      },
    )
    void ended.then(() => {
      this.#outcomes.ended(operation.view)
      stopMirroring()
    })
    return migrationId
  }

  /** A checkpoint of it, where that is wanted; and its disks must be its own again after an earlier one. */
  async #getReady(guest: LocalGuest, move: RunningOperation): Promise<void> {
    // Its disk is on no PC as a whole: a restore that could not be gone on with.
    if (guest.record.restore !== undefined) throw fail('restore.unfinished', { name: guest.name })
    await this.#parts.beforeMove?.(guest, move)
    if (guest.process !== null) await guest.thaw()
  }

  /** The guest was given away: its copy here goes when the other dock has it. @throws migration.unsettled */
  async #end(end: DepartureEnd, to: DepartureTarget): Promise<void> {
    const { journal, rest } = end
    const { guestName: name } = journal.head
    if (end.kind === 'unsettled') {
      const settled = await this.#settling.sourceIsUnsettled(journal)
      if (settled === 'here') throw fail('migration.destination_died', { name, dock: to.name })
      if (settled === 'open') throw end.error ?? fail('migration.unsettled', { name, dock: to.name })
      if (settled === 'there') {
        end.finish()
        return
      }
    }
    if (rest !== null) await this.#serveRest(journal, rest)
    end.finish()
    await this.#settling.handedOver(journal)
  }

  /** A guest that runs there fetches the rest of its memory from here. @throws migration.memory_lost, migration.unsettled */
  async #serveRest(journal: Journal, rest: RestHooks): Promise<void> {
    this.#settling.givenAway(journal)
    const calm = this.#heartbeats.hurry(journal.head.otherDockId, arrivingHeartbeatMs)
    try {
      await this.#rests.serve(journal, rest)
    } catch (error) {
      // Nobody needs what is here any more, and the other side has been told.
      if (isCode(error, 'migration.memory_lost')) await this.#settling.handedOver(journal)
      throw error
    } finally {
      calm()
    }
  }

  /** The same for a move that an earlier host began, or that was cut at the handover. */
  #serveOn(journal: Journal): void {
    const { guests, operations, calls, clock } = this.#parts
    const { migrationId: id, guestId, guestName, otherDockId } = journal.head
    if (this.#closed || operations.find(id) !== null) return
    this.#resumed.add(id)
    const stopMirroring = this.#mirrorOperation(id, otherDockId)
    const work = {
      ...newWork(calls.net.id, otherDockId, 'waiting-for-link'),
      switchover: 'post-copy' as const,
    }
    const { operation, ended } = operations.run({ id, guestId, guestName, work }, async (running) => {
      running.pointOfNoReturn()
      guests.find(guestId)?.setOperation(id)
      const meter = new DepartureMeter(clock, running)
      meter.transfer('plain')
      await this.#serveRest(journal, restHooks(meter, null))
      await this.#settling.handedOver(journal)
    })
    void ended.then(() => {
      this.#resumed.delete(id)
      this.#outcomes.ended(operation.view)
      stopMirroring()
    })
  }

  /** A move to here whose source is not there to tell how it gets on. */
  #waiting({ migrationId: id, guestId, guestName, otherDockId, startedAtMs }: JournalHead): Operation {
    const work = newWork(otherDockId, this.#parts.calls.net.id, 'waiting-for-link')
    return {
      id,
      guestId,
      guestName,
      startedAtMs,
      state: { kind: 'running', cancellable: false },
      progress: { doneBytes: 0, totalBytes: null, rateBytesPerS: 0, timeLeft: null },
      work: { ...work, switchover: 'post-copy' },
    }
  }

  /** Tells the other dock of an operation's progress, at most every 200 ms, and of its end. */
  #mirrorOperation(operationId: string, dockId: string): () => void {
    const { calls, clock, store } = this.#parts
    let lastMs = Number.NEGATIVE_INFINITY
    let lastState = ''
    return store.onFact((fact) => {
      if (fact.type !== 'operation.changed' || fact.operation.id !== operationId) return
      const phase = fact.operation.work.kind === 'migration' ? fact.operation.work.phase : ''
      const state = `${fact.operation.state.kind} ${phase}`
      if (state === lastState && clock.monotonicMs() - lastMs < mirrorEveryMs) return
      lastMs = clock.monotonicMs()
      lastState = state
      calls.net.emit(dockId, 'operation.changed', fact.operation)
    })
  }

  #serve(): void {
    const { calls } = this.#parts
    const arrivals = this.#arrivals
    calls.serve('docking.will-it-move', (from, { guestId }) =>
      willItMove(this.#parts, guestId, this.#target(from.dockId)),
    )
    calls.serve('docking.check', (_from, offer) => arrivals.check(offer))
    calls.serve('docking.pull', async (from, asked) => ({
      operationId: this.#depart(asked, this.#target(from.dockId)),
    }))
    calls.serve('docking.cancel', async (from, { operationId }) => {
      this.#assertTheirs(from, operationId)
      this.#parts.operations.find(operationId)?.cancel()
      return {}
    })
    calls.serve('docking.prepare', async (from, { migrationId, offer }) => {
      await this.#settling.ready
      await arrivals.prepare(from, migrationId, offer)
      return {}
    })
    calls.serve('docking.launch', async (from, { migrationId, pages, postCopy = false }) => {
      return { pages: await arrivals.launch(from, migrationId, { pages, postCopy }) }
    })
    calls.serve('docking.switching', async (from, { migrationId }) => {
      await arrivals.switching(from, migrationId)
      return {}
    })
    calls.serve('docking.await-loaded', async (from, { migrationId }, signal) => {
      await arrivals.awaitLoaded(from, migrationId, signal)
      return {}
    })
    calls.serve('docking.commit', async (from, { migrationId, run, fetches }) => {
      await this.#settling.ready
      return { ranAfterMs: await arrivals.commit(from, migrationId, run, fetches) }
    })
    calls.serve('docking.recover', async (from, { migrationId }) => {
      await this.#settling.ready
      return await arrivals.rests.recover(from, migrationId)
    })
    calls.serve('docking.rest-lost', async (from, { migrationId }) => {
      await this.#settling.ready
      return { lost: await arrivals.rests.lost(from.dockId, migrationId) }
    })
    calls.serve('docking.abort', async (from, { migrationId }) => {
      await this.#settling.ready
      return { stage: await arrivals.abort(from, migrationId) }
    })
    calls.serve('docking.destination-stage', async (from, { migrationId }) => {
      await this.#settling.ready
      return { stage: await arrivals.stage(from.dockId, migrationId) }
    })
    calls.serve('docking.source-stage', async (from, { migrationId }) => {
      await this.#settling.ready
      return { stage: this.#settling.sourceStage(from.dockId, migrationId) }
    })
    for (const use of ['layer', 'disk', 'memory'] as const) {
      calls.net.handleStream(use, async (from, header): Promise<(stream: Duplex) => void> => {
        const warm = warmHeader.safeParse(header)
        if (warm.success && this.#parts.acceptWarm !== null)
          return await this.#parts.acceptWarm(from, warm.data)
        const parsed = streamHeader.safeParse(header)
        if (!parsed.success) throw fail('dock.bad_message', {}, { detail: parsed.error.message })
        return await arrivals.accept(from, parsed.data)
      })
    }
  }

  #listen(): void {
    const { calls, log } = this.#parts
    const { net } = calls
    net.onEvent('operation.changed', (from, data) => {
      const parsed = operationSchema.safeParse(data)
      if (
        parsed.success &&
        parsed.data.work.kind === 'migration' &&
        parsed.data.work.fromDockId === from.dockId &&
        parsed.data.work.toDockId === net.id
      ) {
        this.#show(parsed.data, from.dockId)
      }
    })
    net.onEvent('docking.failed', (from, data) => {
      const parsed = failedEvent.safeParse(data)
      const departure = parsed.success ? this.#departures.get(parsed.data.migrationId) : undefined
      if (parsed.success && departure?.toDockId === from.dockId)
        departure.failedThere(errorFromShape(parsed.data.error))
    })
    net.onEvent('docking.let-go', (from, data) => {
      const parsed = letGoEvent.safeParse(data)
      if (!parsed.success) return
      this.#arrivals.commits
        .forget(from.dockId, parsed.data.migrationId)
        .catch((error: unknown) => log.warn('a journal was not removed', { error }))
    })
    net.onOffline((dockId) => {
      for (const departure of this.#departures.values()) {
        if (departure.toDockId === dockId) departure.linkLost()
      }
      for (const operation of this.#parts.store.state.operations) {
        if (operation.work.kind !== 'migration') continue
        if (operation.work.fromDockId !== dockId || hasEnded(operation)) continue
        // What is shown of a move that nobody drives any more must not stay for ever.
        const stage = this.#stageHere(operation, dockId)
        if (stage === 'fetching') {
          const work = { ...operation.work, phase: 'waiting-for-link' as const }
          this.#show({ ...operation, work }, dockId)
        } else this.#show(this.#outcomes.lostSight(operation, stage), dockId)
      }
      this.#arrivals
        .linkLost(dockId)
        .catch((error: unknown) => log.error('an arrival was not cleaned up', { error }))
    })
    net.onOnline((dockId) => {
      this.#settling.ready
        .then(() => this.#settling.met(dockId))
        .catch((thrown: unknown) => {
          if (!isCode(thrown, 'dock.link_lost'))
            log.warn('settling failed', { error: toWdockError(thrown).toJSON() })
        })
        // After what was open is settled: then what is told is the truth already.
        .finally(() => this.#outcomes.met(dockId))
    })
  }

  /** Shows a move that another dock drives, and watches that dock closely meanwhile. */
  #show(operation: Operation, driverId: string): void {
    this.#parts.operations.mirror(operation)
    const calm = this.#watched.get(operation.id)
    if (hasEnded(operation)) {
      this.#watched.delete(operation.id)
      calm?.()
    } else if (calm === undefined) {
      this.#watched.set(operation.id, this.#heartbeats.hurry(driverId, arrivingHeartbeatMs))
    }
  }

  /** How far a move that comes here has come. */
  #stageHere({ id, guestId }: Operation, fromDockId: string): DestinationStage {
    if (this.#arrivals.commits.rest(fromDockId, id)?.end === null) return 'fetching'
    const isOurs = this.#parts.guests.find(guestId)?.record.arrival === null
    if (isOurs || this.#arrivals.commits.has(fromDockId, id)) return 'committed'
    return this.#arrivals.find(id)?.stage === 'switching' ? 'switching' : 'preparing'
  }

  /** A peer may cancel what moves to or from it, nothing else. */
  #assertTheirs(from: From, operationId: string): void {
    const work = this.#parts.operations.find(operationId)?.view.work
    if (work?.kind !== 'migration' || work.toDockId !== from.dockId) throw fail('migration.not_found')
  }
}

type Asked = Pick<MigrationRequest, 'guestId' | 'transfer' | 'switchover'>

type MigrationWork = Extract<Operation['work'], { kind: 'migration' }>

function newWork(fromDockId: string, toDockId: string, phase: MigrationPhase): MigrationWork {
  return {
    kind: 'migration',
    fromDockId,
    toDockId,
    phase,
    dirtyRateBytesPerS: 0,
    rounds: 0,
    throttlePercent: 0,
    transfer: null,
    samples: [],
    result: null,
  }
}

/** A request that found nobody is a lost link, whichever came to an end first: told in the words of a move. */
function asMoveError(thrown: unknown, names: { name: string; dock: string }): unknown {
  const isLost =
    isCode(thrown, 'dock.silent') || isCode(thrown, 'dock.link_lost') || isCode(thrown, 'dock.unreachable')
  if (!isLost) return thrown
  return fail('migration.link_lost', names, { cause: thrown, detail: thrown.detail ?? thrown.message })
}

function notBetween(): WdockError {
  return fail('host.bad_input', { why: 'a guest moves between this PC and one other' })
}

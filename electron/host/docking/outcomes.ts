/**
 * How moves end, told at both docks: in the history and on the screen. Promises that a record ends in the truth –
 * a move that was cut at the handover is told as open first, and as moved or stayed once that is settled; that the
 * dock which drove a move has the last word on it; and that what could not be told while the docks were apart is
 * told when they meet. Relies on Settling to say what was settled.
 */
import { fail } from '../../../shared/errors/index.ts'
import { type MigrationRecord, migrationRecord } from '../../../shared/models/migration.ts'
import type { MigrationResult, Operation, OperationState } from '../../../shared/models/operation.ts'
import type { MigrationHistory } from './history.ts'
import type { JournalHead } from './journal.ts'
import type { DestinationStage } from './messages.ts'
import type { DockingParts } from './parts.ts'

/** How many of the newest moves to a dock are told again when it is met: more cannot have ended unheard. */
const toldAgain = 8

/** The side on which a guest ended up. */
export type Settlement = 'source' | 'destination'

type Outcome = MigrationRecord['outcome']

export class Outcomes {
  readonly #parts: DockingParts
  readonly #history: MigrationHistory

  constructor(parts: DockingParts, history: MigrationHistory) {
    this.#parts = parts
    this.#history = history
    parts.calls.net.onEvent('migration.recorded', (from, data) => {
      const parsed = migrationRecord.safeParse(data)
      if (parsed.success) this.#hear(from.dockId, parsed.data)
    })
    parts.calls.serve('docking.outcomes', async (from) => this.#between(from.dockId))
  }

  /** Catches up with the docks that were there before this host could listen. */
  start(): void {
    for (const { id, state } of this.#parts.calls.net.peers()) {
      if (state !== 'online') continue
      this.met(id)
      void this.#ask(id)
    }
  }

  /** A move that this dock drove has ended, as its operation says. */
  ended(operation: Operation): void {
    const record = this.#recordOf(operation)
    if (record === null) return
    this.#put(record)
    this.#tell(record)
  }

  /** What was open is settled, by the docks or by a person. A move that is still on tells its end by itself. */
  settled(head: JournalHead, at: Settlement): void {
    if (this.#parts.operations.find(head.migrationId) !== null) return
    const known = this.#history.find(head.migrationId)
    if (known !== null && !isOpen(known.outcome) && endOf(known.outcome) === at) return
    const record = this.#settledRecord(head, known, at)
    this.#put(record)
    this.#show(record, known === null)
    this.#tell(record)
  }

  /**
   * The dock that drives a move is gone. What becomes of the guest follows from how far it had come here.
   * @returns the move as ended, for the screen
   */
  lostSight(operation: Operation, stage: DestinationStage): Operation {
    if (operation.work.kind !== 'migration') return operation
    const { net } = this.#parts.calls
    const { guestName: name, work } = operation
    const endedAtMs = this.#parts.clock.nowMs()
    const dock = this.#nameOf(work.fromDockId)
    const open = stage === 'switching'
    const error = open
      ? fail('migration.unsettled', { name, dock: net.name })
      : fail('migration.source_lost', { name, dock })
    const state: OperationState =
      stage === 'committed'
        ? { kind: 'done', endedAtMs }
        : { kind: 'failed', endedAtMs, error: error.toJSON() }
    const ended = { ...operation, state }
    const record = this.#recordOf(ended)
    if (record !== null) this.#put(record)
    return ended
  }

  /** A dock is there again: it hears of the last moves to it, in case it missed how they ended. */
  met(dockId: string): void {
    for (const record of this.#between(dockId)) this.#tell(record)
  }

  async #ask(dockId: string): Promise<void> {
    try {
      for (const record of await this.#parts.calls.ask(dockId, 'docking.outcomes', {}))
        this.#hear(dockId, record)
    } catch (error) {
      this.#parts.log.warn('a dock could not be asked how moves ended', { dockId, error })
    }
  }

  /** The newest moves from here to a dock, oldest first. */
  #between(dockId: string): MigrationRecord[] {
    const { id } = this.#parts.calls.net
    const between = this.#history.records.filter(
      (record) => record.fromDockId === id && record.toDockId === dockId,
    )
    return between.slice(0, toldAgain).reverse()
  }

  /** Takes a dock's word on a move from there to here, and on no other. */
  #hear(dockId: string, record: MigrationRecord): void {
    if (record.fromDockId !== dockId || record.toDockId !== this.#parts.calls.net.id) return
    const isNew = this.#history.find(record.id) === null
    this.#put(record)
    this.#show(record, isNew)
  }

  /** Sets right what the screen says; a failure that nobody here has heard of is put on it. */
  #show(record: MigrationRecord, isNew: boolean): void {
    const { operations, store } = this.#parts
    const shown = store.state.operations.find((each) => each.id === record.id)
    const { outcome } = record
    if (shown === undefined) {
      if (isNew && outcome.kind === 'failed') operations.mirror(operationOf(record))
      return
    }
    if (shown.work.kind !== 'migration') return
    const told = this.#recordOf(shown)?.outcome
    // A reason that was given stays while somebody reads it, unless it was that nobody knew.
    if (told === undefined || (told.kind === outcome.kind && !isOpen(told))) return
    const result = outcome.kind === 'done' ? outcome.result : null
    operations.mirror({ ...shown, state: stateOf(record), work: { ...shown.work, result } })
  }

  #put(record: MigrationRecord): void {
    const { log } = this.#parts
    this.#history.put(record).catch((error: unknown) => log.error('history was not written', { error }))
  }

  #tell(record: MigrationRecord): void {
    const { net } = this.#parts.calls
    if (record.fromDockId === net.id) net.emit(record.toDockId, 'migration.recorded', record)
  }

  #recordOf({ id, guestId, guestName, startedAtMs, state, work }: Operation): MigrationRecord | null {
    if (work.kind !== 'migration' || state.kind === 'running' || state.kind === 'cancelling') return null
    const { fromDockId, toDockId, result, switchover } = work
    const names = { fromDockName: this.#nameOf(fromDockId), toDockName: this.#nameOf(toDockId) }
    const ends = { fromDockId, toDockId, ...names, startedAtMs, endedAtMs: state.endedAtMs }
    const how = switchover === undefined ? {} : { switchover }
    return { id, guestId, guestName, ...ends, ...how, outcome: outcomeOf(state, result) }
  }
  #settledRecord(head: JournalHead, known: MigrationRecord | null, at: Settlement): MigrationRecord {
    const { calls, clock } = this.#parts
    const { migrationId: id, guestId, guestName, startedAtMs, otherDockId, side } = head
    const here = calls.net.id
    const [fromDockId, toDockId] = side === 'source' ? [here, otherDockId] : [otherDockId, here]
    const toDockName = this.#nameOf(toDockId)
    const stayed = fail('migration.stayed', { name: guestName, dock: toDockName }).toJSON()
    return {
      ...(known ?? { id, guestId, guestName, startedAtMs, fromDockId, toDockId }),
      fromDockName: this.#nameOf(fromDockId),
      toDockName,
      endedAtMs: clock.nowMs(),
      outcome: at === 'destination' ? { kind: 'done', result: null } : { kind: 'failed', error: stayed },
    }
  }

  #nameOf(dockId: string): string {
    const { net } = this.#parts.calls
    if (dockId === net.id) return net.name
    return net.peers().find((peer) => peer.id === dockId)?.name ?? 'another PC'
  }
}

/** Nobody knows yet where the guest ends up. */
function isOpen(outcome: Outcome): boolean {
  return outcome.kind === 'failed' && outcome.error.code === 'migration.unsettled'
}

function endOf(outcome: Outcome): Settlement {
  return outcome.kind === 'done' ? 'destination' : 'source'
}

type Ended = Exclude<OperationState, { kind: 'running' } | { kind: 'cancelling' }>

function outcomeOf(state: Ended, result: MigrationResult | null): Outcome {
  switch (state.kind) {
    case 'done':
      return { kind: 'done', result }
    case 'cancelled':
      return { kind: 'cancelled' }
    case 'failed':
      return { kind: 'failed', error: state.error }
  }
}

function stateOf({ outcome, endedAtMs }: MigrationRecord): OperationState {
  return outcome.kind === 'failed'
    ? { kind: 'failed', endedAtMs, error: outcome.error }
    : { kind: outcome.kind, endedAtMs }
}

/** A move whose operation this host never saw, or an earlier host took along, as the screen shows it. */
function operationOf(record: MigrationRecord): Operation {
  const { id, guestId, guestName, startedAtMs, fromDockId, toDockId } = record
  return {
    id,
    guestId,
    guestName,
    startedAtMs,
    state: stateOf(record),
    progress: { doneBytes: 0, totalBytes: null, rateBytesPerS: 0, timeLeft: null },
    work: {
      kind: 'migration',
      fromDockId,
      toDockId,
      ...(record.switchover === undefined ? {} : { switchover: record.switchover }),
      phase: 'checking',
      dirtyRateBytesPerS: 0,
      rounds: 0,
      throttlePercent: 0,
      transfer: null,
      samples: [],
      result: null,
    },
  }
}

/**
 * Who stands on which desk: the pure step from the host's state to what the main view draws. A guest that moves
 * stands on two desks, whether or not the host already lists it on the second. Relies on the host to list a guest
 * that is being restored, as it lists one that is being created.
 */
import type { Dock } from '../../shared/models/dock.ts'
import type { Guest } from '../../shared/models/guest.ts'
import type { HostState } from '../../shared/models/host-state.ts'
import type { Operation } from '../../shared/models/operation.ts'

export interface Stand {
  key: string
  guest: Guest
  /** `leaving` and `arriving` are the two ends of one move. */
  part: 'standing' | 'leaving' | 'arriving'
  /** What holds this guest, or how its last move, checkpoint or restore ended while nobody has dismissed it. */
  operation: Operation | null
}

export interface DeskModel {
  dock: Dock
  isHere: boolean
  stands: Stand[]
  /**
   * Moves to this PC and restores that failed, where the guest would stand: told until dismissed, even while its
   * other PC is away.
   */
  missed: Operation[]
}

export interface DesksModel {
  here: DeskModel | null
  others: DeskModel[]
}

export function desksModel(state: HostState): DesksModel {
  const latest = latestOperations(state.operations)
  const desks = state.docks.map((dock) => deskModel(dock, state, latest))
  const others = desks.filter((desk) => !desk.isHere)
  others.sort((a, b) => rank(a.dock) - rank(b.dock) || a.dock.name.localeCompare(b.dock.name))
  return { here: desks.find((desk) => desk.isHere) ?? null, others }
}

/** The entry of a guest that people mean: where it runs, preferring the desk that was named, if one was. */
export function findGuest(
  guests: readonly Guest[],
  guestId: string,
  dockId: string | null = null,
): Guest | null {
  const same = guests.filter((guest) => guest.id === guestId)
  const settled = same.filter((guest) => guest.state.kind !== 'arriving')
  return settled.find((guest) => guest.dockId === dockId) ?? settled[0] ?? same[0] ?? null
}

/** The newest operation of each guest that people want to hear of. */
export function latestOperations(operations: readonly Operation[]): ReadonlyMap<string, Operation> {
  const latest = new Map<string, Operation>()
  for (const operation of operations) {
    if (!isTold(operation)) continue
    const known = latest.get(operation.guestId)
    if (known === undefined || known.startedAtMs <= operation.startedAtMs)
      latest.set(operation.guestId, operation)
  }
  return latest
}

export function isUnderWay(operation: Operation): boolean {
  return operation.state.kind === 'running' || operation.state.kind === 'cancelling'
}

/** A checkpoint that was made by itself is no news once it has ended well. A guest that was created is seen. */
export function isTold(operation: Operation): boolean {
  if (isUnderWay(operation)) return true
  const { work, state } = operation
  if (work.kind === 'creating') return false
  return work.kind !== 'checkpoint' || work.reason === 'person' || state.kind === 'failed'
}

function deskModel(dock: Dock, state: HostState, latest: ReadonlyMap<string, Operation>): DeskModel {
  const listed = state.guests.filter((guest) => guest.dockId === dock.id)
  const hereId = state.info.dockId
  const stands = listed.map((guest) => stand(guest, latest.get(guest.id) ?? null, hereId))
  for (const operation of latest.values()) {
    const ghost = missingArrival(dock, listed, operation, state.guests)
    if (ghost !== null) stands.push(stand(ghost, operation, hereId))
  }
  const isHere = dock.presence.kind === 'here'
  const missed = isHere ? [...latest.values()].filter((each) => hasMissed(each, hereId, listed)) : []
  return { dock, isHere, stands, missed }
}

/** It was to come here, failed, and does not stand here in another way. */
function hasMissed(operation: Operation, hereId: string, listedHere: readonly Guest[]): boolean {
  const { work, state, guestId } = operation
  if (state.kind !== 'failed' || listedHere.some((guest) => guest.id === guestId)) return false
  return work.kind === 'restore' || (work.kind === 'migration' && work.toDockId === hereId)
}

function stand(guest: Guest, operation: Operation | null, hereId: string): Stand {
  const key = `${guest.dockId}/${guest.id}`
  const base = { key, guest, operation: null }
  if (operation === null) return { ...base, part: guest.state.kind === 'arriving' ? 'arriving' : 'standing' }
  if (operation.work.kind !== 'migration') {
    // Only this PC makes and restores checkpoints; a guest of the same id elsewhere is not concerned.
    return { ...base, part: 'standing', operation: guest.dockId === hereId ? operation : null }
  }
  const { fromDockId, toDockId } = operation.work
  if (isUnderWay(operation)) {
    if (guest.dockId === toDockId) return { ...base, part: 'arriving', operation }
    return { ...base, part: guest.dockId === fromDockId ? 'leaving' : 'standing', operation }
  }
  // A failure to come here is told here, once: its own PC may be away.
  const isMissed = operation.state.kind === 'failed' && toDockId === hereId
  const teller = operation.state.kind === 'done' ? toDockId : fromDockId
  const tells = guest.dockId === teller && !isMissed
  return { ...base, part: 'standing', operation: tells ? operation : null }
}

/** The picture that fills up on the destination while the host does not list the guest there yet. */
function missingArrival(
  dock: Dock,
  listed: readonly Guest[],
  operation: Operation,
  guests: readonly Guest[],
): Guest | null {
  const { work } = operation
  if (work.kind !== 'migration' || work.toDockId !== dock.id || !isUnderWay(operation)) return null
  if (listed.some((guest) => guest.id === operation.guestId)) return null
  const source = guests.find((guest) => guest.id === operation.guestId && guest.dockId === work.fromDockId)
  if (source === undefined) return null
  return { ...source, dockId: dock.id, state: { kind: 'arriving', fromDockId: work.fromDockId } }
}

/** Paired and reachable first, then who could be paired, then who is away. */
function rank(dock: Dock): number {
  if (dock.presence.kind === 'online') return 0
  if (dock.presence.kind === 'nearby') return 1
  return dock.paired ? 2 : 3
}

/** "Will it move?", asked on the dock that has the guest: blockers of both sides and an estimate. */
import { errorFromShape, fail, toWdockError, type WdockError } from '../../../shared/errors/index.ts'
import type { MigrationCheck } from '../../../shared/models/migration.ts'
import type { LocalGuest } from '../guests/local-guest.ts'
import { residentBytes } from '../memory.ts'
import type { DepartureTarget } from './departure.ts'
import { estimateMigration, type MemoryCrossingKind } from './estimate.ts'
import { makeOffer, missingBytes } from './offer.ts'
import type { DockingParts } from './parts.ts'
import { plainBytesPerS } from './tuning.ts'

export async function willItMove(
  parts: DockingParts,
  guestId: string,
  to: DepartureTarget,
): Promise<MigrationCheck> {
  const guest = parts.guests.get(guestId)
  const blockers = blockersHere(parts, guest)
  if (blockers.length > 0) return blocked(blockers)
  try {
    const offer = await makeOffer(guest, parts.layers, parts.bootFiles)
    const answer = await parts.calls.ask(to.dockId, 'docking.check', offer)
    const warnings = answer.warnings
    if (answer.blockers.length > 0) return { blockers: answer.blockers, warnings, estimate: null }
    const link = await parts.rates.measure(to.dockId)
    const estimate = estimateMigration({
      // About what the guest has touched.
      touchedMemoryBytes: await residentBytes(guest.process?.identity.pid ?? 0),
      memoryBytes: offer.definition.memoryBytes,
      crossing: crossingOf(parts, guestId, to.dockId, link.bytesPerS),
      missingBytes: missingBytes(offer, answer),
      topBytes: offer.topBytes,
      linkBytesPerS: link.bytesPerS,
      linkRttMs: link.rttMs,
    })
    return { blockers: [], warnings, estimate }
  } catch (thrown) {
    return blocked([errorFromShape(toWdockError(thrown).toJSON())])
  }
}

/** As it is going to be chosen; the other dock may have forgotten what it kept. */
function crossingOf(
  { store, visits }: DockingParts,
  guestId: string,
  dockId: string,
  bytesPerS: number | null,
): MemoryCrossingKind {
  if (visits === null || (bytesPerS ?? 0) >= plainBytesPerS) return 'all'
  const isKept = store.state.keptMemory.guests.some(
    (kept) => kept.guestId === guestId && kept.dockId === dockId,
  )
  return isKept ? 'changed' : 'lacking'
}

function blockersHere(parts: DockingParts, guest: LocalGuest): WdockError[] {
  const { name } = guest
  if (parts.operations.holding(guest.id) !== null)
    return [fail('migration.guest_busy', { name, what: 'it is moving or being created' })]
  if (guest.state.kind === 'running' || guest.state.kind === 'paused') return []
  return [fail('migration.not_running', { name })]
}

function blocked(errors: readonly WdockError[]): MigrationCheck {
  return { blockers: errors.map((error) => error.toJSON()), warnings: [], estimate: null }
}

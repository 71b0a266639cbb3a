/** Migrations before and after they happen: the check, its estimate, the history. */
import { z } from 'zod'
import { errorShape } from '../errors/wdock-error.ts'
import { dockId } from './dock.ts'
import { migrationResult, switchover, timeRange } from './operation.ts'

/**
 * How memory crosses. `pages`: only what the other side lacks, by the page codec; `plain`: as QEMU sends it; `auto`:
 * whichever is faster over this link.
 */
export const memoryTransfer = z.enum(['auto', 'pages', 'plain'])
export type MemoryTransfer = z.infer<typeof memoryTransfer>

export const migrationRequest = z.strictObject({
  guestId: z.uuid(),
  fromDockId: dockId,
  toDockId: dockId,
  transfer: memoryTransfer.optional(),
  switchover: switchover.optional(),
})
export type MigrationRequest = z.infer<typeof migrationRequest>

export const migrationEstimate = z.object({
  time: timeRange,
  bytes: z.object({ min: z.number(), max: z.number() }),
  freeze: timeRange,
})
export type MigrationEstimate = z.infer<typeof migrationEstimate>

/** The answer to "Will it move?". It will when there are no blockers. */
export const migrationCheck = z.object({
  blockers: z.array(errorShape),
  warnings: z.array(errorShape),
  /** Null when something blocks. */
  estimate: migrationEstimate.nullable(),
})
export type MigrationCheck = z.infer<typeof migrationCheck>

export const migrationOutcome = z.discriminatedUnion('kind', [
  /** `result` is null where nobody could measure it: the move was cut at the handover and settled later. */
  z.object({ kind: z.literal('done'), result: migrationResult.nullable() }),
  z.object({ kind: z.literal('cancelled') }),
  z.object({ kind: z.literal('failed'), error: errorShape }),
])

export const migrationRecord = z.object({
  id: z.string(),
  guestId: z.uuid(),
  guestName: z.string(),
  fromDockId: dockId,
  fromDockName: z.string(),
  toDockId: dockId,
  toDockName: z.string(),
  startedAtMs: z.number(),
  endedAtMs: z.number(),
  /** Missing where it was `pre-copy`. */
  switchover: switchover.optional(),
  outcome: migrationOutcome,
})
export type MigrationRecord = z.infer<typeof migrationRecord>

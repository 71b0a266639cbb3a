/** Anything that takes longer than a second: its phase, bytes, rate, estimate, outcome, and whether it can be cancelled. */
import { z } from 'zod'
import { errorShape } from '../errors/wdock-error.ts'
import { checkpointId, checkpointReason } from './checkpoint.ts'
import { dockId } from './dock.ts'

/**
 * When the guest goes over to the other dock: with all of its memory (`pre-copy`), or after one round over it, the rest
 * following while it runs there (`post-copy`), so that it freezes shortly however much it changes.
 */
export const switchover = z.enum(['pre-copy', 'post-copy'])
export type Switchover = z.infer<typeof switchover>

export const migrationPhase = z.enum([
  'checking',
  'preparing',
  'copying-layers',
  'mirroring-disk',
  'copying-memory',
  'switching-over',
  /** Post-copy: it runs there, and the rest of its memory follows. */
  'fetching-rest',
  /** Post-copy: the same, and the link is broken. */
  'waiting-for-link',
  'finishing',
])
export type MigrationPhase = z.infer<typeof migrationPhase>

/** A range in which the time left is expected to be. */
export const timeRange = z.object({ minMs: z.number().nonnegative(), maxMs: z.number().nonnegative() })
export type TimeRange = z.infer<typeof timeRange>

export const progressSample = z.object({
  /** Since the start of the operation. */
  atMs: z.number(),
  rateBytesPerS: z.number(),
  dirtyRateBytesPerS: z.number(),
})
export type ProgressSample = z.infer<typeof progressSample>

export const progress = z.object({
  doneBytes: z.number().nonnegative(),
  /** Null while unknown. May grow while the guest goes on writing. */
  totalBytes: z.number().nonnegative().nullable(),
  rateBytesPerS: z.number().nonnegative(),
  timeLeft: timeRange.nullable(),
})
export type Progress = z.infer<typeof progress>

export const operationState = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('running'), cancellable: z.boolean() }),
  z.object({ kind: z.literal('cancelling') }),
  z.object({ kind: z.literal('done'), endedAtMs: z.number() }),
  z.object({ kind: z.literal('cancelled'), endedAtMs: z.number() }),
  z.object({ kind: z.literal('failed'), endedAtMs: z.number(), error: errorShape }),
])
export type OperationState = z.infer<typeof operationState>

/** What a migration took. Filled when it is done. */
export const migrationResult = z.object({
  totalMs: z.number(),
  /** From the guest's stop on the source to its run on the destination. */
  downtimeMs: z.number(),
  /** Everything that crossed the link. */
  wireBytes: z.number(),
  memoryBytes: z.number(),
  diskBytes: z.number(),
  /** Passes of pre-copy over memory. */
  rounds: z.number(),
})
export type MigrationResult = z.infer<typeof migrationResult>

export const checkpointPhase = z.enum([
  'freezing',
  'reading-memory',
  'reading-disk',
  'uploading',
  'finishing',
])
export type CheckpointPhase = z.infer<typeof checkpointPhase>

export const restorePhase = z.enum([
  'keeping-present',
  'preparing',
  'fetching',
  'running',
  'waiting',
  'finishing',
])
export type RestorePhase = z.infer<typeof restorePhase>

export const operationWork = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('creating') }),
  z.object({
    kind: z.literal('migration'),
    fromDockId: dockId,
    toDockId: dockId,
    phase: migrationPhase,
    /** Missing where it is `pre-copy`. */
    switchover: switchover.optional(),
    dirtyRateBytesPerS: z.number(),
    rounds: z.number(),
    /** How much the guest's processor is slowed so that the move can end, 0 to 99. */
    throttlePercent: z.number(),
    /** How memory crosses: only what the other PC lacks, or as QEMU sends it; null until that is chosen. */
    transfer: z.enum(['pages', 'plain']).nullable(),
    samples: z.array(progressSample),
    result: migrationResult.nullable(),
  }),
  z.object({
    kind: z.literal('checkpoint'),
    checkpointId,
    reason: checkpointReason,
    phase: checkpointPhase,
    /** Once it was frozen: for how long. */
    freezeMs: z.number().nullable(),
  }),
  z.object({
    kind: z.literal('restore'),
    checkpointId,
    /** It runs while the rest is fetched (`running`, or `waiting` for a network that is gone). */
    phase: restorePhase,
    /** Why everything is fetched before it runs, and what would change that; null where it runs at once. */
    slowSentence: z.string().nullable(),
  }),
])

export const operation = z.object({
  /** For a migration the same on both docks. */
  id: z.string(),
  guestId: z.uuid(),
  guestName: z.string(),
  startedAtMs: z.number(),
  state: operationState,
  progress,
  work: operationWork,
})
export type Operation = z.infer<typeof operation>

/** How far a dock is ready for a guest of another one before it moves there for the first time. */
import { z } from 'zod'
import { errorShape } from '../errors/wdock-error.ts'
import { dockId } from './dock.ts'
import { timeRange } from './operation.ts'

const percent = z.number().min(0).max(100)

export const warmState = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('warming'), percent }),
  /** Not all of it is there; `reason` says what keeps the rest, null where only its turn has not come. */
  z.object({ kind: z.literal('waiting'), percent, reason: errorShape.nullable() }),
  /** All of it was there at that time; a move then was estimated to take so long, null where something stood in its way. */
  z.object({ kind: z.literal('ready'), atMs: z.number(), time: timeRange.nullable() }),
])
export type WarmState = z.infer<typeof warmState>

/** Of a guest that runs on one dock, and a dock where that keeps it ready. */
export const warmth = z.object({ guestId: z.uuid(), fromDockId: dockId, toDockId: dockId, state: warmState })
export type Warmth = z.infer<typeof warmth>

/** What a dock keeps of guests’ memory between their visits, for people: of whom, how much, since when. */
import { z } from 'zod'
import { dockId } from './dock.ts'

export const keptGuestMemory = z.object({
  guestId: z.uuid(),
  /** Null where nobody here remembers it. */
  guestName: z.string().nullable(),
  /** With which dock its last visit was; null while its first one is under way. */
  dockId: dockId.nullable(),
  dockName: z.string().nullable(),
  /** Of the disk. */
  bytes: z.number().int().nonnegative(),
  usedAtMs: z.number(),
})
export type KeptGuestMemory = z.infer<typeof keptGuestMemory>

export const keptMemory = z.object({
  /** Those that were used last come first. */
  guests: z.array(keptGuestMemory),
  totalBytes: z.number().int().nonnegative(),
})
export type KeptMemoryState = z.infer<typeof keptMemory>

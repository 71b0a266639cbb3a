/** With whom a visit was, for people. */
import { z } from 'zod'

export const visitNote = z.object({
  guestId: z.string(),
  /** As it was called then; what was kept before names were written down has none. */
  guestName: z.string().optional(),
  dockId: z.string(),
  atMs: z.number(),
})
export type VisitNote = z.infer<typeof visitNote>

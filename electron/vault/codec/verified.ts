/** When a checkpoint was last checked, how, and what was found. */
import { z } from 'zod'
import { errorShape } from '../../../shared/errors/wdock-error.ts'
import { badObject, encodeJson, parseJson } from './json.ts'

export const verifiedFile = z.object({
  version: z.literal(1),
  /** By the store's clock. */
  atMs: z.number(),
  /** `listed`: its packs are there and long enough. `read`: every byte was read and found right. */
  how: z.enum(['listed', 'read']),
  /** What was wrong with it; null when it was whole. */
  error: errorShape.nullable(),
})
export type Verified = Omit<z.infer<typeof verifiedFile>, 'version'>

/** The payload of `verified/<id>`, before it is sealed. */
export function encodeVerified(verified: Verified): Buffer {
  const { atMs, how, error } = verified
  return encodeJson({ version: 1, atMs, how, error })
}

/** @throws vault.damaged_object, vault.newer_object */
export function decodeVerified(name: string, payload: Buffer): Verified {
  const { version: _, ...verified } = parseJson(payload, verifiedFile, name, badObject(name))
  return verified
}

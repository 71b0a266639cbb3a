/**
 * What the list of a vault needs of each checkpoint, kept on this PC in one sealed file: so a list that was made before
 * asks the store for names only. Promises that what is taken from it still stands in the store: summaries never change;
 * labels and checks count only while their time and length are those of the list, and were not written just before.
 */
import { z } from 'zod'
import { checkpointId, checkpointLabel } from '../../shared/models/checkpoint.ts'
import { badObject, encodeJson, parseJson } from './codec/json.ts'
import { summaryHead } from './codec/summary.ts'
import { verifiedFile } from './codec/verified.ts'
import type { ObjectCache } from './object-cache.ts'
import type { VaultObjects } from './vault-objects.ts'

/** An object that may change, as it was when it was read. */
const stamp = { writtenAtMs: z.number(), sizeBytes: z.number() }

const entry = z.object({
  id: checkpointId,
  /** From the summary, or where that was not there from the manifest. */
  head: summaryHead,
  hasPicture: z.boolean(),
  label: z.object({ ...stamp, value: checkpointLabel }).nullable(),
  verified: z.object({ ...stamp, value: verifiedFile.omit({ version: true }) }).nullable(),
})
export type DigestEntry = z.infer<typeof entry>

const digestFile = z.object({ version: z.literal(1), entries: z.array(entry) })

/** Some kilobytes for each of very many checkpoints. */
const limitBytes = 64 * 1024 ** 2
const name = 'catalog'

/** Empty where there is none, or it cannot be read: then everything is asked of the store. */
export async function readDigest(
  objects: VaultObjects,
  cache: ObjectCache,
): Promise<Map<string, DigestEntry>> {
  const sealed = await cache.get(name)
  if (sealed === null) return new Map()
  try {
    const payload = objects.open(name, sealed, limitBytes)
    const { entries } = parseJson(payload, digestFile, name, badObject(name))
    return new Map(entries.map((each) => [each.id, each]))
  } catch {
    return new Map()
  }
}

export async function writeDigest(
  objects: VaultObjects,
  cache: ObjectCache,
  entries: Iterable<DigestEntry>,
): Promise<void> {
  await cache.put(name, objects.seal(name, encodeJson({ version: 1, entries: [...entries] })))
}

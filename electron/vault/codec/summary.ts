/**
 * The summary of a checkpoint: what a list shows of it, picture included. `uv length ‖ JSON ‖ PNG to the end`; no
 * picture is no bytes. Promises that what was read has the form of a checkpoint as people see it.
 */
import { z } from 'zod'
import { checkpoint, checkpointLabel } from '../../../shared/models/checkpoint.ts'
import { ByteReader, ByteWriter } from '../../platform/bytes.ts'
import { badObject, readHead, writeHead } from './json.ts'
import { limits } from './limits.ts'

export const summaryHead = checkpoint
  .omit({ label: true, verifiedAtMs: true, place: true, hasPicture: true })
  .extend({
    version: z.literal(1),
    /** The label that it was made with; `labels/<id>` says what it was changed to. */
    label: checkpointLabel,
    /** In a share: when its link ends, null never. Its holder cannot ask the store. */
    lentUntilMs: z.number().nullish(),
  })
export type SummaryHead = z.infer<typeof summaryHead>

export interface Summary {
  head: SummaryHead
  /** PNG; null where there is none. */
  picture: Buffer | null
}

/** The payload of `summaries/<id>`, before it is sealed. A picture that would make it too large is left out. */
export function encodeSummary(summary: Summary): Buffer {
  const writer = new ByteWriter(4096)
  writeHead(writer, summary.head)
  const { picture } = summary
  if (picture !== null && writer.length + picture.length <= limits.summaryBytes) writer.bytes(picture)
  return writer.finish()
}

/** @throws vault.damaged_object, vault.newer_object */
export function decodeSummary(name: string, payload: Buffer): Summary {
  const bad = badObject(name)
  const reader = new ByteReader(payload, bad)
  const head = readHead(reader, summaryHead, name, bad)
  return { head, picture: reader.remaining > 0 ? reader.take(reader.remaining) : null }
}

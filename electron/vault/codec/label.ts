/** A label: what a person changed of a checkpoint later. The last one written counts. */
import { z } from 'zod'
import { type CheckpointLabel, checkpointLabel } from '../../../shared/models/checkpoint.ts'
import { badObject, encodeJson, parseJson } from './json.ts'

const labelFile = z.object({ version: z.literal(1), label: checkpointLabel })

/** The payload of `labels/<id>`, before it is sealed. */
export function encodeLabel(label: CheckpointLabel): Buffer {
  return encodeJson({ version: 1, label })
}

/** @throws vault.damaged_object, vault.newer_object */
export function decodeLabel(name: string, payload: Buffer): CheckpointLabel {
  return parseJson(payload, labelFile, name, badObject(name)).label
}

/** The intent of an upload: who is sending a checkpoint of which guest. Sweeps wait for it; when it was written counts. */
import { z } from 'zod'
import { dockId } from '../../../shared/models/dock.ts'
import { badObject, encodeJson, parseJson } from './json.ts'

const intentFile = z.object({
  version: z.literal(1),
  byDockId: dockId,
  byDockName: z.string().max(256),
  guestId: z.uuid(),
})
/** Who uploads what, for people who wonder what a sweep waits for. */
export type Intent = Omit<z.infer<typeof intentFile>, 'version'>

/** The payload of `uploads/<id>`, before it is sealed. */
export function encodeIntent(intent: Intent): Buffer {
  const { byDockId, byDockName, guestId } = intent
  return encodeJson({ version: 1, byDockId, byDockName, guestId })
}

/** @throws vault.damaged_object, vault.newer_object */
export function decodeIntent(name: string, payload: Buffer): Intent {
  const { version: _, ...intent } = parseJson(payload, intentFile, name, badObject(name))
  return intent
}

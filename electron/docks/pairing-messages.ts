/** What crosses the pairing channel, as schemas. Anybody may send here: everything is short and bounded. */
import { z } from 'zod'
import { errorShape } from '../../shared/errors/index.ts'
import { dockNameSchema } from './identity.ts'
import { appVersionSchema, portSchema, protocolRangeSchema } from './messages.ts'

const hex32Bytes = z.string().regex(/^[0-9a-f]{64}$/)

const about = { name: dockNameSchema, appVersion: appVersionSchema, port: portSchema }

export const pairingMessage = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('who') }),
  z.object({ kind: z.literal('here'), ...about }),
  z.object({ kind: z.literal('start'), protocol: protocolRangeSchema, commitment: hex32Bytes, ...about }),
  z.object({ kind: z.literal('answer'), nonce: hex32Bytes, ...about }),
  z.object({ kind: z.literal('reveal'), nonce: hex32Bytes }),
  z.object({ kind: z.literal('confirm') }),
  z.object({ kind: z.literal('stored') }),
  z.object({ kind: z.literal('refuse'), error: errorShape }),
])

export type PairingMessage = z.infer<typeof pairingMessage>
export type StartMessage = Extract<PairingMessage, { kind: 'start' }>
export type AboutDock = { name: string; appVersion: string; port: number }

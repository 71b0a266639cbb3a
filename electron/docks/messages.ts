/** What crosses the control channel, as schemas. Promises that a parsed message has the shape of its type. */
import { z } from 'zod'
import { type ErrorShape, errorShape, toWdockError } from '../../shared/errors/index.ts'
import { dockIdSchema } from './dock-id.ts'
import { dockNameSchema } from './identity.ts'

/** The protocol versions this dock speaks. */
export const protocolRange = { min: 1, max: 1 } as const

export const protocolRangeSchema = z.object({ min: z.int().min(1), max: z.int().min(1) })

export const portSchema = z.int().min(1).max(65_535)
export const appVersionSchema = z.string().max(64)

const callId = z.int().min(0)
const methodName = z.string().min(1).max(128)

const helloSchema = z.object({
  kind: z.literal('hello'),
  protocol: protocolRangeSchema,
  appVersion: appVersionSchema,
  name: dockNameSchema,
  dockId: dockIdSchema,
  /** Random for each start of a host. */
  session: z.string().min(8).max(64),
  port: portSchema,
})

const byeSchema = z.object({ kind: z.literal('bye'), error: errorShape.nullable() })

/** `ok` is looked at after the kind: two schemas of one kind do not fit a discriminated union. */
const responseSchema = z.object({
  kind: z.literal('response'),
  id: callId,
  ok: z.boolean(),
  result: z.unknown().optional(),
  error: errorShape.optional(),
})

export const controlMessage = z.discriminatedUnion('kind', [
  helloSchema,
  z.object({ kind: z.literal('use') }),
  byeSchema,
  z.object({ kind: z.literal('request'), id: callId, method: methodName, params: z.unknown().optional() }),
  responseSchema,
  z.object({ kind: z.literal('cancel'), id: callId }),
  z.object({ kind: z.literal('event'), name: methodName, data: z.unknown().optional() }),
  z.object({ kind: z.literal('ping'), n: z.int() }),
  z.object({ kind: z.literal('pong'), n: z.int() }),
])

export type ControlMessage = z.infer<typeof controlMessage>
export type HelloMessage = z.infer<typeof helloSchema>
export type RequestMessage = Extract<ControlMessage, { kind: 'request' }>
export type ResponseMessage = Extract<ControlMessage, { kind: 'response' }>
export type CallMessage = Extract<ControlMessage, { kind: 'request' | 'response' | 'cancel' | 'event' }>

/** True when the two ranges have a version in common. */
export function protocolsMeet(theirs: { min: number; max: number }): boolean {
  return theirs.min <= protocolRange.max && protocolRange.min <= theirs.max
}

/** An error as another dock may see it: what is unexpected here (a stack, paths) is not its business. */
export function errorForPeer(error: unknown): ErrorShape {
  const shape = toWdockError(error).toJSON()
  return shape.code === 'host.unexpected' ? { ...shape, detail: null } : shape
}

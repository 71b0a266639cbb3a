/** What QEMU says over QMP, parsed at the border (docs/interop/qmp-spec). Unknown members are let through. */
import { z } from 'zod'

export const qmpGreeting = z.object({
  QMP: z.object({
    version: z.object({
      qemu: z.object({
        major: z.number().int(),
        minor: z.number().int(),
        micro: z.number().int(),
      }),
      package: z.string(),
    }),
    capabilities: z.array(z.string()),
  }),
})
export type QmpGreeting = z.infer<typeof qmpGreeting>

const qmpEventMessage = z.object({
  event: z.string(),
  data: z.record(z.string(), z.unknown()).default({}),
  timestamp: z.object({ seconds: z.number(), microseconds: z.number() }),
})

const qmpReturn = z.object({ return: z.unknown(), id: z.number() })

const qmpErrorReply = z.object({
  error: z.object({ class: z.string(), desc: z.string() }),
  /** Missing when QEMU could not even read the request. */
  id: z.number().optional(),
})

/** Something that happened in QEMU. */
export interface QmpEvent {
  name: string
  data: Record<string, unknown>
  /** Host clock of QEMU, milliseconds since 1970; 0 when QEMU had none. */
  timeMs: number
}

export type QmpMessage =
  | { kind: 'event'; event: QmpEvent }
  | { kind: 'return'; id: number; value: unknown }
  | { kind: 'error'; id: number | null; errorClass: string; description: string }

/** One line from QEMU. @returns null when it is none of the three messages the specification knows. */
export function parseQmpMessage(line: string): QmpMessage | null {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return null
  }
  if (typeof value !== 'object' || value === null) return null
  if ('event' in value) return eventFrom(value)
  if ('error' in value) {
    const parsed = qmpErrorReply.safeParse(value)
    if (!parsed.success) return null
    const { error, id } = parsed.data
    return { kind: 'error', id: id ?? null, errorClass: error.class, description: error.desc }
  }
  const parsed = qmpReturn.safeParse(value)
  return parsed.success && 'return' in value
    ? { kind: 'return', id: parsed.data.id, value: parsed.data.return }
    : null
}

function eventFrom(value: object): QmpMessage | null {
  const parsed = qmpEventMessage.safeParse(value)
  if (!parsed.success) return null
  const { event, data, timestamp } = parsed.data
  const timeMs = Math.max(0, timestamp.seconds * 1000 + timestamp.microseconds / 1000)
  return { kind: 'event', event: { name: event, data, timeMs } }
}

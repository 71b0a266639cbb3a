/** A guest as people see it: what it is, where it stands and what it is doing. */
import { z } from 'zod'
import { errorShape } from '../errors/wdock-error.ts'
import { accelerator, dockId } from './dock.ts'

export const guestState = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('stopped') }),
  z.object({ kind: z.literal('starting') }),
  z.object({ kind: z.literal('running') }),
  /** By a person, or by what `reason` tells, which is to be mended before it is resumed. */
  z.object({ kind: z.literal('paused'), reason: errorShape.optional() }),
  z.object({ kind: z.literal('shutting-down') }),
  /** Being created: its disk is imported or its files are copied. */
  z.object({ kind: z.literal('preparing') }),
  /** Arriving from another dock; it still runs there. */
  z.object({ kind: z.literal('arriving'), fromDockId: dockId }),
  /** It runs on another dock already, which still fetches what of its memory is only here. */
  z.object({ kind: z.literal('leaving'), migrationId: z.string(), toDockId: dockId }),
  /** A handover was cut at its most delicate moment: paused here and perhaps there. */
  z.object({ kind: z.literal('unsettled'), migrationId: z.string(), otherDockId: dockId }),
  z.object({ kind: z.literal('failed'), error: errorShape }),
])
export type GuestState = z.infer<typeof guestState>

export const guest = z.object({
  id: z.uuid(),
  name: z.string(),
  /** The dock on whose desk it stands. */
  dockId,
  homeDockId: dockId,
  state: guestState,
  /** The one operation that holds this guest, if any. */
  operationId: z.string().nullable(),
  cores: z.number().int().positive(),
  maxCores: z.number().int().positive(),
  memoryBytes: z.number().positive(),
  maxMemoryBytes: z.number().positive(),
  /** Sum of the virtual sizes of its disks. */
  diskBytes: z.number().nonnegative(),
  /** What its layers take on this dock. */
  diskUsedBytes: z.number().nonnegative(),
  machine: z.string(),
  cpuModel: z.string(),
  accelerator,
  network: z.enum(['user', 'none']),
  bootKind: z.enum(['disk', 'iso', 'kernel']),
  createdAtMs: z.number(),
  /** When the guest's kernel was started; survives migrations. Null when it is off. */
  bootedAtMs: z.number().nullable(),
  /** Grows with each new picture of its screen; null when there is none. */
  pictureRevision: z.number().int().nullable(),
})
export type Guest = z.infer<typeof guest>

export const guestName = z
  .string()
  .trim()
  .min(1, 'a name is needed')
  .max(64, 'the name is longer than 64 characters')
  .refine((name) => !/\p{Cc}|\p{Cf}/u.test(name), 'the name contains invisible characters')

const path = z.string().min(1).max(4096)
const diskSize = z
  .number()
  .int()
  .min(1024 ** 2)
  .max(64 * 1024 ** 4)

export const guestSource = z.discriminatedUnion('kind', [
  /** The demo guest that comes with the app. */
  z.strictObject({ kind: z.literal('demo') }),
  /** A copy of an existing qcow2 or raw image. */
  z.strictObject({ kind: z.literal('disk'), path }),
  /** A fresh disk, started from an installation image. */
  z.strictObject({ kind: z.literal('iso'), path, diskBytes: diskSize }),
  z.strictObject({
    kind: z.literal('kernel'),
    kernelPath: path,
    initrdPath: path.nullable(),
    commandLine: z.string().max(2048),
    /** A disk to copy, or null for none. */
    diskPath: path.nullable(),
  }),
])
export type GuestSource = z.infer<typeof guestSource>

export const newGuest = z.strictObject({
  name: guestName,
  source: guestSource,
  cores: z.number().int().min(1).max(64),
  memoryBytes: z
    .number()
    .int()
    .min(128 * 1024 ** 2)
    .max(1024 ** 4)
    .multipleOf(1024 ** 2),
  network: z.enum(['user', 'none']),
})
export type NewGuest = z.infer<typeof newGuest>

/** A dock as people see it: a PC that runs this app, here, nearby or away. */
import { z } from 'zod'

/** Lower-case base32 SHA-256 of a dock's certificate. */
export const dockId = z.string().regex(/^[a-z2-7]{52}$/)

export const accelerator = z.object({
  kind: z.enum(['kvm', 'tcg']),
  /** Which one and why, in a sentence for the screen. */
  sentence: z.string(),
})
export type Accelerator = z.infer<typeof accelerator>

/** What a dock can do, exchanged as data before a byte of a guest moves. */
export const dockCapabilities = z.object({
  appVersion: z.string(),
  /** Null where QEMU is missing or unusable; `qemuProblem` then says why. */
  qemuVersion: z.string().nullable(),
  qemuProblem: z.string().nullable(),
  machineTypes: z.array(z.string()),
  accelerator,
  /** CPU models that this dock's accelerator can run without missing features. */
  cpuModels: z.array(z.string()),
  /** Why a guest cannot come here before all of its memory, and what would allow it; null where it can. */
  postCopyProblem: z.string().nullable(),
  cores: z.number().int().positive(),
  memoryBytes: z.number().nonnegative(),
  memoryFreeBytes: z.number().nonnegative(),
  diskFreeBytes: z.number().nonnegative(),
})
export type DockCapabilities = z.infer<typeof dockCapabilities>

export const dockPresence = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('here') }),
  z.object({ kind: z.literal('online') }),
  /** Seen on the network, not paired. */
  z.object({ kind: z.literal('nearby') }),
  z.object({ kind: z.literal('offline'), lastSeenAtMs: z.number().nullable() }),
])
export type DockPresence = z.infer<typeof dockPresence>

export const dock = z.object({
  id: dockId,
  name: z.string(),
  presence: dockPresence,
  paired: z.boolean(),
  /** `host:port` where it was last reached. */
  address: z.string().nullable(),
  linkRttMs: z.number().nullable(),
  /** A person allows that guests of this PC are kept ready there. */
  keepsReady: z.boolean(),
  /** Null until the dock has told. */
  capabilities: dockCapabilities.nullable(),
})
export type Dock = z.infer<typeof dock>

export const pairingState = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('waiting-for-peer') }),
  z.object({ kind: z.literal('comparing'), code: z.string().regex(/^\d{6}$/) }),
  z.object({ kind: z.literal('confirmed-here'), code: z.string().regex(/^\d{6}$/) }),
  z.object({ kind: z.literal('ended'), outcome: z.enum(['paired', 'refused', 'timed-out', 'failed']) }),
])
export type PairingState = z.infer<typeof pairingState>

export const pairing = z.object({
  id: z.string(),
  dockId,
  dockName: z.string(),
  role: z.enum(['initiator', 'responder']),
  state: pairingState,
  startedAtMs: z.number(),
  expiresAtMs: z.number(),
})
export type Pairing = z.infer<typeof pairing>

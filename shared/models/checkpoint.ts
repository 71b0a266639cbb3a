/** Checkpoints as people see them: a guest at one instant, where it is kept, who lent it to whom until when. */
import { z } from 'zod'
import { errorShape } from '../errors/wdock-error.ts'
import { dockId } from './dock.ts'

/** 16 random bytes in hex. */
export const checkpointId = z.string().regex(/^[0-9a-f]{32}$/)
export type CheckpointId = z.infer<typeof checkpointId>

export const checkpointReason = z.enum([
  'person',
  'interval',
  'before-move',
  'before-restore',
  'low-battery',
  'sleep',
  'quit',
])
export type CheckpointReason = z.infer<typeof checkpointReason>

/** What a person may change later. */
export const checkpointLabel = z.strictObject({
  /** Empty where nobody gave one: faces then show the instant. */
  name: z.string().trim().max(80),
  note: z.string().trim().max(2000),
  /** Kept by the retention rules whatever its age. */
  pinned: z.boolean(),
})
export type CheckpointLabel = z.infer<typeof checkpointLabel>

export const checkpoint = z.object({
  id: checkpointId,
  guestId: z.uuid(),
  guestName: z.string(),
  label: checkpointLabel,
  /** The instant at which the guest was frozen. */
  atMs: z.number(),
  byDockId: dockId,
  byDockName: z.string(),
  reason: checkpointReason,
  /** False for a guest that was switched off: there is no memory to restore, it starts anew. */
  hasMemory: z.boolean(),
  cores: z.number().int().positive(),
  memoryBytes: z.number().nonnegative(),
  /** Sum of the virtual sizes of its disks. */
  diskBytes: z.number().nonnegative(),
  machine: z.string(),
  qemuVersion: z.string(),
  /** What it would take by itself, as stored. */
  wholeBytes: z.number().nonnegative(),
  /** What it added to the vault. */
  addedBytes: z.number().nonnegative(),
  /** For how long the guest stood still, where that was measured. */
  freezeMs: z.number().nullable(),
  hasPicture: z.boolean(),
  /** When it was last read back and found whole. */
  verifiedAtMs: z.number().nullable(),
  /** Where it is: in the vault, or still on its way there from this PC, which alone has it. */
  place: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('vault') }),
    z.object({ kind: z.literal('on-its-way') }),
    /** It is listed in the vault, but cannot be read. */
    z.object({ kind: z.literal('damaged'), error: errorShape }),
  ]),
})
export type Checkpoint = z.infer<typeof checkpoint>

/** When checkpoints of a guest are made by themselves, and which of them are kept. */
export const checkpointRules = z.strictObject({
  /** Every so many minutes while it runs; null never. */
  everyMinutes: z.number().int().min(5).max(10_080).nullable(),
  beforeMove: z.boolean(),
  onLowBattery: z.boolean(),
  beforeSleep: z.boolean(),
  onQuit: z.boolean(),
  /** The newest of each hour, day, week. Made by a person, or pinned: kept always. */
  keep: z.strictObject({
    last: z.number().int().min(1).max(1000),
    hourly: z.number().int().min(0).max(1000),
    daily: z.number().int().min(0).max(1000),
    weekly: z.number().int().min(0).max(1000),
  }),
})
export type CheckpointRules = z.infer<typeof checkpointRules>

export const defaultCheckpointRules: CheckpointRules = {
  everyMinutes: null,
  beforeMove: false,
  onLowBattery: true,
  beforeSleep: false,
  onQuit: false,
  keep: { last: 10, hourly: 24, daily: 7, weekly: 4 },
}

/** Where a vault is, as a person gives it. Secrets in it never come back in a state. */
export const vaultPlace = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('folder'), path: z.string().min(1).max(4096) }),
  /** Azure's emulator, started by the program: for a demo without an account. */
  z.strictObject({ kind: z.literal('azurite') }),
  z.strictObject({
    kind: z.literal('azure'),
    /** A connection string, an account key with its account's address, or the address of a container with a SAS. */
    access: z.discriminatedUnion('kind', [
      z.strictObject({
        kind: z.literal('connection-string'),
        connectionString: z.string().min(1).max(4096),
        container: z.string(),
      }),
      z.strictObject({
        kind: z.literal('account-key'),
        account: z.string().min(1).max(64),
        key: z.string().min(1).max(512),
        /** Null is Azure's public cloud. */
        endpoint: z.url().nullable(),
        container: z.string(),
      }),
      z.strictObject({ kind: z.literal('container-sas'), url: z.url().max(4096) }),
    ]),
  }),
])
export type VaultPlace = z.infer<typeof vaultPlace>

/** What lies in a place. `no-folder`: it is not there yet, but the folder that it would be in is. */
export const placeFinding = z.enum(['empty', 'vault', 'other-files', 'no-folder'])
export type PlaceFinding = z.infer<typeof placeFinding>

/** Whether a list was read since the vault was opened; until then something may be missing in it. */
export const listState = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('reading') }),
  /** Why not. It is tried again every few minutes. */
  z.object({ kind: z.literal('unread'), error: errorShape }),
  z.object({ kind: z.literal('read') }),
])
export type ListState = z.infer<typeof listState>

/** What of the state of a vault is a list that is read when it is opened. */
export type VaultList = 'checkpointList' | 'lentList'

export const vaultState = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('none') }),
  z.object({ kind: z.literal('opening'), placeSentence: z.string() }),
  z.object({
    kind: z.literal('ready'),
    vaultId: z.string(),
    placeKind: z.enum(['folder', 'azurite', 'azure']),
    placeSentence: z.string(),
    /** Where the vault's key is kept on this PC. */
    keySentence: z.string(),
    /** Whether links can be made. */
    canLend: z.boolean(),
    /** The person has been shown the recovery phrase and said so. */
    phraseSeen: z.boolean(),
    /** Set while the store does not answer; what is to be sent waits. */
    trouble: z.object({ error: errorShape, sinceMs: z.number() }).nullable(),
    checkpointList: listState,
    /** Of the links that this PC made. */
    lentList: listState,
  }),
  z.object({ kind: z.literal('failed'), placeSentence: z.string(), error: errorShape }),
])
export type VaultState = z.infer<typeof vaultState>

/** A check of the vault, or a sweep, that goes on now: somebody waits for it, or upkeep does it by itself. */
export const vaultWork = z.object({
  id: z.string(),
  progress: z.discriminatedUnion('kind', [
    z.object({
      kind: z.literal('check'),
      /** That were looked at, and that there are; null until they are listed. */
      checkpoints: z.number(),
      ofCheckpoints: z.number().nullable(),
      readBytes: z.number(),
    }),
    z.object({
      kind: z.literal('sweep'),
      /** That are free now, and that will be; null while it looks for them. */
      doneBytes: z.number(),
      totalBytes: z.number().nullable(),
    }),
  ]),
})
export type VaultWork = z.infer<typeof vaultWork>

/** A link that this PC gave away. */
export const lentLink = z.object({
  shareId: checkpointId,
  checkpointId,
  guestName: z.string(),
  /** The checkpoint's instant. */
  atMs: z.number(),
  lentAtMs: z.number(),
  startMs: z.number().nullable(),
  endMs: z.number().nullable(),
  link: z.string(),
  state: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('preparing'), doneBytes: z.number(), totalBytes: z.number() }),
    z.object({ kind: z.literal('ready') }),
    z.object({ kind: z.literal('failed'), error: errorShape }),
  ]),
})
export type LentLink = z.infer<typeof lentLink>

/** What the holder of a link sees before taking it. */
export const receivedLink = z.object({
  checkpoint: checkpoint.omit({ label: true, place: true }),
  pngBase64: z.string().nullable(),
  endMs: z.number().nullable(),
})
export type ReceivedLink = z.infer<typeof receivedLink>

export const vaultStats = z.object({
  checkpoints: z.number(),
  packs: z.number(),
  storedBytes: z.number(),
  /** Of the packs, in no checkpoint: what a sweep would free. */
  unusedBytes: z.number(),
  /** What the checkpoints would take without sharing and compression. */
  logicalBytes: z.number(),
})
export type VaultStats = z.infer<typeof vaultStats>

export const vaultCheck = z.object({
  checkpoints: z.number(),
  readBytes: z.number(),
  damaged: z.array(z.object({ checkpointId, error: errorShape })),
})
export type VaultCheck = z.infer<typeof vaultCheck>

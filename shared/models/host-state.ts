/**
 * Everything a face shows, as one snapshot and the facts that change it. A face takes the snapshot first, then
 * applies events; one that falls behind watches again and gets a new snapshot.
 */
import { z } from 'zod'
import {
  type Checkpoint,
  checkpoint,
  checkpointId,
  checkpointRules,
  lentLink,
  vaultState,
  vaultWork,
} from './checkpoint.ts'
import { dock, dockId, pairing } from './dock.ts'
import { guest } from './guest.ts'
import { keptMemory } from './kept-memory.ts'
import { type MigrationRecord, migrationRecord } from './migration.ts'
import { operation } from './operation.ts'
import { warmth } from './warmth.ts'

export const hostSettings = z.object({
  dockName: z.string().trim().min(1).max(64),
  /** TCP port for other docks; 0 lets the system choose. A change takes effect at the next start. */
  port: z.number().int().min(0).max(65535),
  /** Announce this dock and look for others on the local network. Takes effect at the next start. */
  discovery: z.boolean(),
  theme: z.enum(['system', 'light', 'dark']),
  /** Closing the window that brought the host: it goes on for other docks, or ends. Guests run on either way. */
  whenClosed: z.enum(['stay', 'quit']),
  /**
   * How much of guests’ memory may be kept on this PC after they have come or gone, in MiB, so that only what changed has
   * to cross the next time; 0 keeps nothing.
   */
  keptMemoryMiB: z.number().int().min(0).max(1_048_576),
})
export type HostSettings = z.infer<typeof hostSettings>

/** What a dock begins with. */
export function defaultSettings(dockName: string, port = 0): HostSettings {
  return {
    dockName,
    port,
    discovery: true,
    theme: 'system',
    whenClosed: 'stay',
    // A few guests of a few gigabytes; how much it is, is shown, and can be changed.
    keptMemoryMiB: 16 * 1024,
  }
}

export const hostInfo = z.object({
  dockId,
  appVersion: z.string(),
  dataDir: z.string(),
  /** Where other docks reach this one. */
  port: z.number(),
  addresses: z.array(z.string()),
  /** Where the dock's private key lives, in a sentence. */
  secretsSentence: z.string(),
  demoGuestAvailable: z.boolean(),
  /** True for the docks of `npm run demo`. */
  isDemo: z.boolean(),
})

export const hostState = z.object({
  info: hostInfo,
  settings: hostSettings,
  docks: z.array(dock),
  /** Guests here and on paired docks that are online. */
  guests: z.array(guest),
  operations: z.array(operation),
  pairings: z.array(pairing),
  /** Newest first, bounded. A record may change: a move that was cut at the handover is settled later. */
  migrations: z.array(migrationRecord),
  vault: vaultState,
  vaultWorks: z.array(vaultWork),
  /** Everything in the vault and on its way there, of all guests, newest first. */
  checkpoints: z.array(checkpoint),
  /** Of guests on this dock whose rules were changed from the defaults. */
  checkpointRules: z.array(z.object({ guestId: z.uuid(), rules: checkpointRules })),
  lentLinks: z.array(lentLink),
  keptMemory,
  /** Guests of this PC that are kept ready on others, and guests of others on this one. */
  warmths: z.array(warmth),
})
export type HostState = z.infer<typeof hostState>

/** A host that has nothing yet and knows nobody. */
export function emptyHostState(info: HostState['info'], settings: HostSettings): HostState {
  return {
    info,
    settings,
    docks: [],
    guests: [],
    operations: [],
    pairings: [],
    migrations: [],
    vault: { kind: 'none' },
    vaultWorks: [],
    checkpoints: [],
    checkpointRules: [],
    lentLinks: [],
    keptMemory: { guests: [], totalBytes: 0 },
    warmths: [],
  }
}

export const hostEvent = z.discriminatedUnion('type', [
  z.object({ type: z.literal('snapshot'), state: hostState }),
  z.object({ type: z.literal('dock.changed'), dock }),
  z.object({ type: z.literal('dock.removed'), dockId }),
  z.object({ type: z.literal('guest.changed'), guest }),
  z.object({ type: z.literal('guest.removed'), guestId: z.uuid(), dockId }),
  z.object({ type: z.literal('operation.changed'), operation }),
  z.object({ type: z.literal('operation.removed'), operationId: z.string() }),
  z.object({ type: z.literal('pairing.changed'), pairing }),
  z.object({ type: z.literal('pairing.removed'), pairingId: z.string() }),
  z.object({ type: z.literal('migration.recorded'), record: migrationRecord }),
  z.object({ type: z.literal('settings.changed'), settings: hostSettings }),
  z.object({ type: z.literal('vault.changed'), vault: vaultState }),
  z.object({ type: z.literal('vault-work.changed'), work: vaultWork }),
  z.object({ type: z.literal('vault-work.removed'), workId: z.string() }),
  /** All of them at once: when a vault was opened, or read anew. */
  z.object({ type: z.literal('checkpoints.listed'), checkpoints: z.array(checkpoint) }),
  z.object({ type: z.literal('checkpoint.changed'), checkpoint }),
  z.object({ type: z.literal('checkpoint.removed'), checkpointId }),
  z.object({ type: z.literal('checkpoint.rules'), guestId: z.uuid(), rules: checkpointRules }),
  z.object({ type: z.literal('lent.changed'), link: lentLink }),
  z.object({ type: z.literal('lent.removed'), shareId: checkpointId }),
  /** All of it at once: it is a short list. */
  z.object({ type: z.literal('kept-memory.changed'), keptMemory }),
  /** The same. */
  z.object({ type: z.literal('warmths.changed'), warmths: z.array(warmth) }),
])
export type HostEvent = z.infer<typeof hostEvent>

/** Upserts by key, keeping the order of first appearance. */
function upsert<T>(list: readonly T[], item: T, same: (other: T) => boolean): T[] {
  const index = list.findIndex(same)
  return index < 0 ? [...list, item] : list.with(index, item)
}

/** The most migrations kept in the state; older ones stay in the history file. */
export const keptMigrations = 200

/** A history with a record: in its old place when it was there, else as the newest. */
export function withRecord(
  migrations: readonly MigrationRecord[],
  record: MigrationRecord,
): MigrationRecord[] {
  const index = migrations.findIndex((known) => known.id === record.id)
  return index < 0 ? [record, ...migrations].slice(0, keptMigrations) : migrations.with(index, record)
}

/** Applies a fact to a state. Pure; the host and every face use this one function. */
export function applyHostEvent(state: HostState | null, event: HostEvent): HostState | null {
  if (event.type === 'snapshot') return event.state
  if (state === null) return null
  switch (event.type) {
    case 'dock.changed':
      return { ...state, docks: upsert(state.docks, event.dock, (other) => other.id === event.dock.id) }
    case 'dock.removed':
      return { ...state, docks: state.docks.filter((other) => other.id !== event.dockId) }
    case 'guest.changed':
      return { ...state, guests: upsert(state.guests, event.guest, sameGuest(event.guest)) }
    case 'guest.removed':
      return {
        ...state,
        guests: state.guests.filter((other) => !sameGuest({ ...event, id: event.guestId })(other)),
      }
    case 'operation.changed':
      return {
        ...state,
        operations: upsert(state.operations, event.operation, (other) => other.id === event.operation.id),
      }
    case 'operation.removed':
      return { ...state, operations: state.operations.filter((other) => other.id !== event.operationId) }
    case 'pairing.changed':
      return {
        ...state,
        pairings: upsert(state.pairings, event.pairing, (other) => other.id === event.pairing.id),
      }
    case 'pairing.removed':
      return { ...state, pairings: state.pairings.filter((other) => other.id !== event.pairingId) }
    case 'migration.recorded':
      return { ...state, migrations: withRecord(state.migrations, event.record) }
    case 'settings.changed':
      return { ...state, settings: event.settings }
    case 'kept-memory.changed':
      return { ...state, keptMemory: event.keptMemory }
    case 'warmths.changed':
      return { ...state, warmths: event.warmths }
    default:
      return applyVaultEvent(state, event)
  }
}

type VaultEvent = Extract<HostEvent, { type: `vault${string}` | `checkpoint${string}` | `lent.${string}` }>

/** The facts about checkpoints. */
function applyVaultEvent(state: HostState, event: VaultEvent): HostState {
  switch (event.type) {
    case 'vault.changed':
      return { ...state, vault: event.vault }
    case 'vault-work.changed':
      return {
        ...state,
        vaultWorks: upsert(state.vaultWorks, event.work, (other) => other.id === event.work.id),
      }
    case 'vault-work.removed':
      return { ...state, vaultWorks: state.vaultWorks.filter((other) => other.id !== event.workId) }
    case 'checkpoints.listed':
      return { ...state, checkpoints: newestFirst(event.checkpoints) }
    case 'checkpoint.changed': {
      const { checkpoint: changed } = event
      return {
        ...state,
        checkpoints: newestFirst(upsert(state.checkpoints, changed, (other) => other.id === changed.id)),
      }
    }
    case 'checkpoint.removed':
      return { ...state, checkpoints: state.checkpoints.filter((other) => other.id !== event.checkpointId) }
    case 'checkpoint.rules': {
      const { guestId, rules } = event
      return {
        ...state,
        checkpointRules: upsert(
          state.checkpointRules,
          { guestId, rules },
          (other) => other.guestId === guestId,
        ),
      }
    }
    case 'lent.changed':
      return {
        ...state,
        lentLinks: upsert(state.lentLinks, event.link, (other) => other.shareId === event.link.shareId),
      }
    case 'lent.removed':
      return { ...state, lentLinks: state.lentLinks.filter((other) => other.shareId !== event.shareId) }
  }
}

function newestFirst(checkpoints: readonly Checkpoint[]): Checkpoint[] {
  return checkpoints.toSorted((a, b) => b.atMs - a.atMs || (a.id < b.id ? -1 : 1))
}

/** A guest that is moving stands on two desks: it is known by its id and its desk. */
function sameGuest(wanted: {
  id: string
  dockId: string
}): (other: { id: string; dockId: string }) => boolean {
  return (other) => other.id === wanted.id && other.dockId === wanted.dockId
}

/**
 * Everything of checkpoints but restoring and lending, put together: the vault's desk, the list, making them by hand and
 * by themselves, and upkeep. Promises that starting waits for no store, and that ending ends the vault's thread last.
 */
import { join } from 'node:path'
import type { Clock } from '../../platform/clock.ts'
import type { Log } from '../../platform/log.ts'
import type { Paths } from '../../platform/paths.ts'
import type { Random } from '../../platform/random.ts'
import type { KeyStore } from '../../vault/key-store.ts'
import type { VaultFolders } from '../../vault/service/vault-service.ts'
import type { BootFileStore } from '../guests/boot-files.ts'
import type { GuestMachine } from '../guests/guest-environment.ts'
import type { Guests } from '../guests/guests.ts'
import { hasEnded, type Operations } from '../operations.ts'
import type { Pictures } from '../pictures.ts'
import type { StateStore } from '../state-store.ts'
import { Automatic } from './automatic.ts'
import { CheckpointList } from './checkpoint-list.ts'
import { PlaceFile } from './chosen-place.ts'
import { CheckpointMaker } from './make-checkpoint.ts'
import { readPower } from './power.ts'
import type { RuleBook } from './rules.ts'
import { Upkeep } from './upkeep.ts'
import { Uploads } from './uploads.ts'
import type { ConnectVault } from './vault-connection.ts'
import { VaultDesk } from './vault-desk.ts'
import { VaultWorks } from './vault-works.ts'

export interface CheckpointsOptions {
  connect: ConnectVault
  keys: KeyStore
  paths: Pick<Paths, 'config' | 'data' | 'cache'>
  dock: { id: string; name: () => string }
  guests: Guests
  operations: Operations
  machine: GuestMachine
  bootFiles: BootFileStore
  pictures: Pictures
  rules: RuleBook
  followSleep?: (wanted: boolean) => void
  store: StateStore
  clock: Clock
  random: Random
  log: Log
}

/** Frames that were fetched or made lately: what a restore on this PC need not fetch again. */
const cacheLimitBytes = 4 * 1024 ** 3

export class Checkpoints {
  readonly desk: VaultDesk
  readonly list: CheckpointList
  readonly maker: CheckpointMaker
  readonly rules: RuleBook
  readonly works: VaultWorks
  readonly upkeep: Upkeep
  readonly automatic: Automatic
  readonly #uploads: Uploads

  constructor(options: CheckpointsOptions) {
    const { paths, store, operations } = options
    this.rules = options.rules
    this.desk = new VaultDesk({
      ...options,
      folders: vaultFolders(paths),
      file: new PlaceFile(paths.config, options.random),
      inUse: () => whatUsesTheVault(store),
    })
    const parts = { ...options, desk: this.desk }
    this.list = new CheckpointList(parts)
    this.#uploads = new Uploads(parts)
    this.maker = new CheckpointMaker(parts)
    this.works = new VaultWorks(parts)
    this.upkeep = new Upkeep({ ...parts, list: this.list, works: this.works })
    this.automatic = new Automatic({ ...parts, operations, list: this.list, maker: this.maker, readPower })
  }

  /** Resolves before the vault is open. */
  async start(): Promise<void> {
    await this.desk.start()
    this.automatic.start()
    this.upkeep.start()
  }

  /** The operations that use the vault must have ended. */
  async close(): Promise<void> {
    this.automatic.close()
    this.upkeep.close()
    this.list.close()
    this.#uploads.close()
    await this.desk.close()
  }
}

/** Where the vault's thread keeps what it needs on this PC. */
export function vaultFolders({ data, cache }: Pick<Paths, 'data' | 'cache'>): VaultFolders {
  return {
    spool: join(data, 'vault-spool'),
    cache: join(cache, 'vault'),
    azurite: join(data, 'azurite'),
    cacheLimitBytes,
  }
}

/** In words; null when the vault can be let go of. What is on its way into it needs it as well, but can be given up. */
function whatUsesTheVault(store: StateStore): string | null {
  for (const operation of store.state.operations) {
    const { work, guestName } = operation
    if (hasEnded(operation)) continue
    if (work.kind === 'restore') return `${guestName} is being restored from it`
    if (work.kind === 'checkpoint' && work.phase !== 'uploading')
      return `a checkpoint of ${guestName} is being made`
  }
  return null
}

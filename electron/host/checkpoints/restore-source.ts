/**
 * The vault's half of one restore, as the host sees it: what the checkpoint consists of, its disks served on sockets of
 * the guest's folder, its memory sent. Promises that disks are served again, at the same paths, when the vault's
 * thread was started anew, and that nobody waits for a checkpoint longer than they want it.
 */
import { join } from 'node:path'
import { type ErrorShape, errorFromShape, type WdockError } from '../../../shared/errors/index.ts'
import type { CheckpointId } from '../../../shared/models/checkpoint.ts'
import type { RemoteBacking } from '../../qemu/command-line.ts'
import type {
  CheckpointFacts,
  RestoreMemory,
  VaultService,
  WorkProgress,
} from '../../vault/service/vault-service.ts'
import type { VaultDesk } from './vault-desk.ts'

export type RestoreFrom = { checkpointId: CheckpointId } | { link: string }
export type RestoreVault = Pick<VaultDesk, 'opened' | 'service' | 'onEvent'>

export class RestoreSource {
  readonly restoreId: string
  readonly facts: CheckpointFacts
  readonly #vault: RestoreVault
  readonly #from: RestoreFrom
  readonly #stopListening: () => void
  readonly #memoryDone = Promise.withResolvers<WdockError | null>()
  /** Node names and sockets of what is served. */
  readonly #served = new Map<string, RemoteBacking>()
  #service: VaultService
  #trouble: ErrorShape | null = null
  #fetched: WorkProgress = { doneBytes: 0, totalBytes: null }

  private constructor(
    vault: RestoreVault,
    restoreId: string,
    from: RestoreFrom,
    begun: { service: VaultService; facts: CheckpointFacts },
  ) {
    this.#vault = vault
    this.#from = from
    this.restoreId = restoreId
    this.#service = begun.service
    this.facts = begun.facts
    this.#stopListening = vault.onEvent((event) => {
      if (!('restoreId' in event) || event.restoreId !== restoreId) return
      if (event.type === 'restore.progress') this.#fetched = event.progress
      if (event.type === 'restore.trouble') this.#trouble = event.error
      if (event.type === 'restore.memory-done') {
        this.#memoryDone.resolve(event.error === null ? null : errorFromShape(event.error))
      }
    })
  }

  /** Opens a checkpoint for one restore. @throws vault.none, vault.opening, vault.*, store.* */
  static async begin(vault: RestoreVault, restoreId: string, from: RestoreFrom): Promise<RestoreSource> {
    const service = serviceFor(vault, from)
    const facts = await service.beginRestore(restoreId, from)
    return new RestoreSource(vault, restoreId, from, { service, facts })
  }

  /** Set while the store does not answer. */
  get trouble(): ErrorShape | null {
    return this.#trouble
  }

  /** What was fetched of the memory. */
  get fetched(): WorkProgress {
    return this.#fetched
  }

  /** Null when the guest has all its memory; else why it never will. */
  get memoryDone(): Promise<WdockError | null> {
    return this.#memoryDone.promise
  }

  /** @throws vault.*, store.*, host.disk_full */
  async bootFile(sha256: string, path: string): Promise<void> {
    await this.#service.restoreBootFile(this.restoreId, sha256, path)
  }

  /** Serves disks on sockets in `folder`. @returns where, by node name */
  async serve(nodeNames: readonly string[], folder: string): Promise<Map<string, RemoteBacking>> {
    for (const nodeName of nodeNames) {
      await this.#serve(nodeName, diskSocketPath(folder, nodeName))
    }
    return new Map(this.#served)
  }

  async sendMemory(memory: RestoreMemory): Promise<void> {
    await this.#service.sendMemory(this.restoreId, memory)
  }

  /**
   * After the vault's thread was started anew: serves again what was served. Does nothing otherwise.
   * @throws while the vault cannot be reached; call it again later
   */
  async reconnect(): Promise<void> {
    const service = serviceFor(this.#vault, this.#from)
    if (service === this.#service) return
    await service.beginRestore(this.restoreId, this.#from)
    this.#service = service
    for (const [nodeName, { socketPath }] of [...this.#served]) await this.#serve(nodeName, socketPath)
  }

  /** Nothing is served any more. Never fails: a thread that is gone serves nothing either. */
  async end(): Promise<void> {
    this.#stopListening()
    await this.#service.endRestore(this.restoreId).catch(() => {})
  }

  async #serve(nodeName: string, socketPath: string): Promise<void> {
    const { exportName } = await this.#service.serveDisk(this.restoreId, nodeName, socketPath)
    this.#served.set(nodeName, { socketPath, exportName })
  }
}

/** In the folder with QEMU's sockets, and no longer than their names: unix sockets have 107 bytes. */
export function diskSocketPath(folder: string, nodeName: string): string {
  return join(folder, `${nodeName}.sock`)
}

/** A link needs no vault of one's own. */
function serviceFor(vault: RestoreVault, from: RestoreFrom): VaultService {
  return 'link' in from ? vault.service() : vault.opened()
}

/**
 * The checkpoints that people see: what the vault lists, and what is on its way there. Promises that what is told
 * while a list is being read is not undone by it, and that other PCs' checkpoints appear within a few minutes.
 */
import { fail, isCode } from '../../../shared/errors/index.ts'
import type { Checkpoint, CheckpointId, CheckpointLabel } from '../../../shared/models/checkpoint.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Log } from '../../platform/log.ts'
import type { VaultEvent } from '../../vault/service/vault-service.ts'
import { hasEnded } from '../operations.ts'
import type { StateStore } from '../state-store.ts'
import type { VaultDesk } from './vault-desk.ts'
import { VaultListing } from './vault-listing.ts'

export interface CheckpointListOptions {
  desk: Pick<VaultDesk, 'opened' | 'onEvent' | 'onOpened' | 'state' | 'noteList'>
  store: StateStore
  clock: Clock
  log: Log
}

export class CheckpointList {
  readonly #options: CheckpointListOptions
  readonly #listing: VaultListing<Checkpoint>
  readonly #stop: () => void

  constructor(options: CheckpointListOptions) {
    this.#options = options
    this.#listing = new VaultListing({
      ...options,
      list: 'checkpointList',
      read: (service) => service.list(),
      onListed: (listed, told) => this.#onListed(listed, told),
    })
    this.#stop = options.desk.onEvent((event) => this.#onEvent(event))
  }

  close(): void {
    this.#listing.close()
    this.#stop()
  }

  /** @throws vault.checkpoint_missing */
  get(id: CheckpointId): Checkpoint {
    const found = this.#options.store.state.checkpoints.find((each) => each.id === id)
    if (found === undefined) throw fail('vault.checkpoint_missing')
    return found
  }

  /** Of one guest, newest first. */
  of(guestId: string): Checkpoint[] {
    return this.#options.store.state.checkpoints.filter((each) => each.guestId === guestId)
  }

  /** Reads the list anew. A failure is written down: what is shown stays. */
  async refresh(): Promise<void> {
    await this.#listing.refresh()
  }

  /** Changes name, note or pin. @throws vault.checkpoint_missing, store.* */
  async relabel(id: CheckpointId, change: Partial<CheckpointLabel>): Promise<void> {
    const changed = await this.#options.desk.opened().relabel(id, change)
    this.#changed(changed)
  }

  /** Deletes a checkpoint; one that is on its way is given up. @throws vault.in_use, store.* */
  async remove(id: CheckpointId): Promise<void> {
    const what = this.whyNeeded(id)
    if (what !== null) throw fail('vault.in_use', { what })
    try {
      await this.#options.desk.opened().remove(id)
    } catch (error) {
      // Another PC was faster: it is gone, as wanted.
      if (!isCode(error, 'vault.checkpoint_missing')) throw error
    }
    this.#removed(id)
  }

  async picture(id: CheckpointId): Promise<{ pngBase64: string } | null> {
    const png = await this.#options.desk.opened().picture(id)
    return png === null ? null : { pngBase64: Buffer.from(png).toString('base64') }
  }

  /** What reads a checkpoint now, in words, so that it must not be deleted; null when nothing does. */
  whyNeeded(id: CheckpointId): string | null {
    const { operations, lentLinks } = this.#options.store.state
    const restore = operations.find(
      (each) => each.work.kind === 'restore' && each.work.checkpointId === id && !hasEnded(each),
    )
    if (restore !== undefined) return `${restore.guestName} is being restored from this checkpoint`
    const link = lentLinks.find((each) => each.checkpointId === id && each.state.kind === 'preparing')
    return link === undefined ? null : `a link to this checkpoint of ${link.guestName} is being prepared`
  }

  #onEvent(event: VaultEvent): void {
    switch (event.type) {
      case 'upload.kept':
        this.#changed(event.checkpoint)
        break
      case 'upload.published':
        if (event.previousId !== event.checkpoint.id) this.#removed(event.previousId)
        this.#changed(event.checkpoint)
        break
      case 'upload.failed':
        void this.refresh()
        break
      default:
    }
  }

  #changed(checkpoint: Checkpoint): void {
    this.#listing.note(checkpoint.id)
    this.#options.store.apply({ type: 'checkpoint.changed', checkpoint })
  }

  #removed(id: CheckpointId): void {
    this.#listing.note(id)
    this.#options.store.apply({ type: 'checkpoint.removed', checkpointId: id })
  }

  #onListed(listed: readonly Checkpoint[], told: ReadonlySet<string>): void {
    const { store } = this.#options
    const newer = store.state.checkpoints.filter(({ id }) => told.has(id))
    const others = listed.filter(({ id }) => !told.has(id))
    store.apply({ type: 'checkpoints.listed', checkpoints: [...newer, ...others] })
  }
}

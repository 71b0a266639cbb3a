/**
 * The checkpoints that people see: what the vault lists, and what is on its way there. Promises that what is told
 * while a list is being read is not undone by it, and that other PCs' checkpoints appear within a few minutes.
 */
import { fail, isCode, toWdockError } from '../../../shared/errors/index.ts'
import type { Checkpoint, CheckpointId, CheckpointLabel } from '../../../shared/models/checkpoint.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Log } from '../../platform/log.ts'
import type { VaultEvent, VaultService } from '../../vault/service/vault-service.ts'
import { hasEnded } from '../operations.ts'
import type { StateStore } from '../state-store.ts'
import type { VaultDesk } from './vault-desk.ts'

export interface CheckpointListOptions {
  desk: Pick<VaultDesk, 'opened' | 'onEvent' | 'onOpened' | 'state'>
  store: StateStore
  clock: Clock
  log: Log
}

/** Other PCs add to the vault and delete from it. */
const lookAgainMs = 5 * 60_000

export class CheckpointList {
  readonly #options: CheckpointListOptions
  readonly #ending = new AbortController()
  readonly #stops: (() => void)[]
  /** What was told since a list began to be read. */
  #touched: Set<CheckpointId> | null = null
  #reading: Promise<void> | null = null

  constructor(options: CheckpointListOptions) {
    this.#options = options
    const { desk } = options
    this.#stops = [
      desk.onEvent((event) => this.#onEvent(event)),
      desk.onOpened(() => {
        void this.refresh()
      }),
    ]
    void this.#lookAgain()
  }

  close(): void {
    this.#ending.abort()
    for (const stop of this.#stops) stop()
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
    this.#reading ??= this.#read().finally(() => {
      this.#reading = null
    })
    await this.#reading
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
    this.#touched?.add(checkpoint.id)
    this.#options.store.apply({ type: 'checkpoint.changed', checkpoint })
  }

  #removed(id: CheckpointId): void {
    this.#touched?.add(id)
    this.#options.store.apply({ type: 'checkpoint.removed', checkpointId: id })
  }

  async #read(): Promise<void> {
    const { desk, store, log } = this.#options
    const touched = new Set<CheckpointId>()
    this.#touched = touched
    let service: VaultService
    let listed: Checkpoint[]
    try {
      service = desk.opened()
      listed = await service.list()
    } catch (error) {
      log.warn('the checkpoints were not listed', { error: toWdockError(error).toJSON() })
      return
    } finally {
      this.#touched = null
    }
    // Forgotten, or another one, meanwhile.
    if (desk.state.kind !== 'ready' || desk.opened() !== service) return
    const told = store.state.checkpoints.filter(({ id }) => touched.has(id))
    const untold = listed.filter(({ id }) => !touched.has(id))
    store.apply({ type: 'checkpoints.listed', checkpoints: [...told, ...untold] })
  }

  async #lookAgain(): Promise<void> {
    const { clock, desk } = this.#options
    const { signal } = this.#ending
    for (;;) {
      await clock.sleep(lookAgainMs, signal).catch(() => {})
      if (signal.aborted) return
      if (desk.state.kind === 'ready') await this.refresh()
    }
  }
}

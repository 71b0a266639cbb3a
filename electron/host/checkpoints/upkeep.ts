/**
 * Keeps the vault from growing for ever: after each checkpoint of a guest of this dock those go that its rules do not
 * keep, and what nobody uses any more is freed ten minutes after something was deleted, and once a day. Promises that
 * what is read just now is not deleted, and that a failure only means that it is tried again later.
 */
import { isCode, toWdockError } from '../../../shared/errors/index.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Log } from '../../platform/log.ts'
import { checkpointsToRemove } from '../../vault/retention.ts'
import type { VaultEvent } from '../../vault/service/vault-service.ts'
import type { Guests } from '../guests/guests.ts'
import type { CheckpointList } from './checkpoint-list.ts'
import type { RuleBook } from './rules.ts'
import type { VaultDesk } from './vault-desk.ts'
import type { VaultWorks } from './vault-works.ts'

export interface UpkeepParts {
  works: Pick<VaultWorks, 'run'>
  desk: Pick<VaultDesk, 'onEvent' | 'state' | 'chosen' | 'noteSweep'>
  list: Pick<CheckpointList, 'of' | 'remove' | 'refresh' | 'whyNeeded'>
  guests: Pick<Guests, 'find'>
  rules: Pick<RuleBook, 'of'>
  clock: Clock
  log: Log
}

const lookEveryMs = 60_000
const afterDeletionMs = 10 * 60_000
const dayMs = 24 * 3600_000

export class Upkeep {
  readonly #parts: UpkeepParts
  readonly #ending = new AbortController()
  readonly #stop: () => void
  /** By the clock that never jumps; null when nothing was deleted since the last sweep. */
  #sweepAtMs: number | null = null
  #triedAtMs = Number.NEGATIVE_INFINITY

  constructor(parts: UpkeepParts) {
    this.#parts = parts
    this.#stop = parts.desk.onEvent((event) => this.#onEvent(event))
  }

  /** Begins to look whether a sweep is due, every minute. */
  start(): void {
    void this.#run()
  }

  close(): void {
    this.#ending.abort()
    this.#stop()
  }

  /** Something was deleted: its space is freed in a while. */
  noteDeletion(): void {
    this.#sweepAtMs ??= this.#parts.clock.monotonicMs() + afterDeletionMs
  }

  /** Sweeps if it is due. Never fails. */
  async look(): Promise<void> {
    if (this.#parts.desk.state.kind === 'ready' && this.#isDue()) {
      await this.sweep().catch((error: unknown) =>
        this.#parts.log.warn('space in the vault was not freed', { error: toWdockError(error).toJSON() }),
      )
    }
  }

  /**
   * Frees what no checkpoint uses. @param signal ends it; the next one finishes what it began
   * @throws vault.*, store.*, host.cancelled
   */
  async sweep(signal: AbortSignal = this.#ending.signal): Promise<{ freedBytes: number }> {
    const { desk, clock, works, list } = this.#parts
    this.#triedAtMs = clock.monotonicMs()
    this.#sweepAtMs = null
    const freed = await works.run('sweep', signal, (service, workId) => service.sweep(workId))
    await desk.noteSweep(clock.nowMs())
    await list.refresh()
    return freed
  }

  #isDue(): boolean {
    const { clock, desk } = this.#parts
    const atMs = clock.monotonicMs()
    if (this.#sweepAtMs !== null && atMs >= this.#sweepAtMs) return true
    // One that failed is not tried again at once.
    if (atMs - this.#triedAtMs < dayMs / 24) return false
    const sinceMs = clock.nowMs() - (desk.chosen?.sweptAtMs ?? 0)
    return sinceMs >= dayMs || sinceMs < 0
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending
    for (;;) {
      await this.#parts.clock.sleep(lookEveryMs, signal).catch(() => {})
      if (signal.aborted) return
      await this.look()
    }
  }

  #onEvent(event: VaultEvent): void {
    if (event.type !== 'upload.published') return
    const { guestId } = event.checkpoint
    this.retain(guestId).catch((error: unknown) =>
      this.#parts.log.warn('old checkpoints were not deleted', {
        guestId,
        error: toWdockError(error).toJSON(),
      }),
    )
  }

  /** Deletes what the rules of a guest do not keep. Those of guests that are not here are left to their docks. */
  async retain(guestId: string): Promise<void> {
    const { guests, rules, list, log } = this.#parts
    if (guests.find(guestId) === null) return
    for (const id of checkpointsToRemove(list.of(guestId), rules.of(guestId).keep)) {
      if (this.#ending.signal.aborted) return
      if (list.whyNeeded(id) !== null) continue
      try {
        await list.remove(id)
      } catch (error) {
        if (isCode(error, 'vault.in_use')) continue
        throw error
      }
      log.info('an old checkpoint was deleted', { guestId, checkpointId: id })
      this.noteDeletion()
    }
  }
}

/**
 * A list of what is in the vault, read when a vault is opened and again every few minutes: other PCs change it, and a
 * reading may fail. Promises that what is told while it is being read is not undone by it, that what was read is shown
 * only while the vault that it is of is open, and that the state says whether it could be read.
 */
import { toWdockError, type WdockError } from '../../../shared/errors/index.ts'
import type { VaultList } from '../../../shared/models/checkpoint.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Log } from '../../platform/log.ts'
import type { VaultService } from '../../vault/service/vault-service.ts'
import type { VaultDesk } from './vault-desk.ts'

export interface VaultListingOptions<T> {
  list: VaultList
  desk: Pick<VaultDesk, 'opened' | 'onOpened' | 'state' | 'noteList'>
  clock: Clock
  log: Log
  read: (service: VaultService) => Promise<T[]>
  /** `told`: the ids that were noted since the list began to be read. Of these it is out of date. */
  onListed: (listed: T[], told: ReadonlySet<string>) => void
}

const lookAgainMs = 5 * 60_000

export class VaultListing<T> {
  readonly #options: VaultListingOptions<T>
  readonly #ending = new AbortController()
  readonly #stop: () => void
  #told: Set<string> | null = null
  #reading: Promise<void> | null = null

  constructor(options: VaultListingOptions<T>) {
    this.#options = options
    this.#stop = options.desk.onOpened(() => {
      void this.#onOpened()
    })
    void this.#lookAgain()
  }

  close(): void {
    this.#ending.abort()
    this.#stop()
  }

  /** Something was told of the one with this id. */
  note(id: string): void {
    this.#told?.add(id)
  }

  /** Reads the list anew. Never fails. */
  async refresh(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = null
    })
    await this.#reading
  }

  /** What is being read may be of the vault before. */
  async #onOpened(): Promise<void> {
    await this.#reading
    await this.refresh()
  }

  async #read(): Promise<void> {
    const { desk, read, onListed } = this.#options
    const { state } = desk
    if (state.kind !== 'ready') return
    const told = new Set<string>()
    this.#told = told
    const isStillOpen = (): boolean => desk.state.kind === 'ready' && desk.state.vaultId === state.vaultId
    try {
      const listed = await read(desk.opened())
      if (!isStillOpen()) return
      onListed(listed, told)
      desk.noteList(this.#options.list, { kind: 'read' })
    } catch (error) {
      if (isStillOpen()) this.#noteFailure(toWdockError(error))
    } finally {
      this.#told = null
    }
  }

  /** A list that was read before is shown on: what this PC has done since is in it. */
  #noteFailure(error: WdockError): void {
    const { desk, list, log } = this.#options
    log.warn('a list of the vault was not read', { list, error })
    const { state } = desk
    if (state.kind !== 'ready' || state[list].kind === 'read') return
    desk.noteList(list, { kind: 'unread', error: error.toJSON() })
  }

  async #lookAgain(): Promise<void> {
    const { signal } = this.#ending
    for (;;) {
      await this.#options.clock.sleep(lookAgainMs, signal).catch(() => {})
      if (signal.aborted) return
      await this.refresh()
    }
  }
}

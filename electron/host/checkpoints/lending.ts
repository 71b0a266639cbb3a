/**
 * Links to single checkpoints: made, listed, taken back, looked at. Promises that the list in the state is what the vault
 * knows of the links that this PC made, and that a link that was taken back does not come back by a late word of its
 * preparation. What a link leads to is restored by `restore.ts`.
 */
import type { ContractHandlers } from '../../../shared/contract-handlers.ts'
import { fail } from '../../../shared/errors/index.ts'
import type { CheckpointId, LentLink, ReceivedLink } from '../../../shared/models/checkpoint.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Log } from '../../platform/log.ts'
import type { StateStore } from '../state-store.ts'
import type { Restores } from './restore.ts'
import type { VaultDesk } from './vault-desk.ts'
import { VaultListing } from './vault-listing.ts'

export interface LendingOptions {
  desk: Pick<VaultDesk, 'opened' | 'service' | 'onEvent' | 'onOpened' | 'noteList' | 'state'>
  store: StateStore
  clock: Clock
  log: Log
}

export interface LinkSpan {
  startMs: number | null
  endMs: number | null
}

export class Lending {
  readonly #options: LendingOptions
  /** Taken back; their preparation may still be told of. */
  readonly #revoked = new Set<CheckpointId>()
  readonly #listing: VaultListing<LentLink>
  readonly #stop: () => void

  constructor(options: LendingOptions) {
    this.#options = options
    this.#listing = new VaultListing({
      ...options,
      list: 'lentList',
      read: (service) => service.lent(),
      onListed: (links, told) => this.#onListed(links, told),
    })
    this.#stop = options.desk.onEvent((event) => {
      if (event.type === 'share.changed') this.#show(event.link)
    })
  }

  close(): void {
    this.#listing.close()
    this.#stop()
  }

  /**
   * Makes a link at once; what it leads to is prepared behind it.
   * @throws vault.bad_span, vault.cannot_lend, vault.*, store.*
   */
  async lend(id: CheckpointId, { startMs, endMs }: LinkSpan): Promise<{ shareId: string; link: string }> {
    const { desk, clock } = this.#options
    const service = desk.opened()
    const { state } = desk
    if (state.kind === 'ready' && !state.canLend)
      throw fail('vault.cannot_lend', { place: state.placeSentence })
    if (endMs !== null && endMs <= Math.max(clock.nowMs(), startMs ?? 0)) throw fail('vault.bad_span')
    const lent = await service.lend(id, { startMs, endMs })
    this.#show(lent)
    return { shareId: lent.shareId, link: lent.link }
  }

  /** The link ends to work; what was made for it is removed. @throws vault.*, store.*: then it may still work */
  async revoke(shareId: CheckpointId): Promise<void> {
    await this.#options.desk.opened().revoke(shareId)
    this.#revoked.add(shareId)
    this.#options.store.apply({ type: 'lent.removed', shareId })
  }

  /** What a link leads to. It needs no vault of one's own. @throws vault.*, store.link_dead, store.* */
  async look(link: string): Promise<ReceivedLink> {
    return await this.#options.desk.service().lookAtLink(link.trim())
  }

  #show(link: LentLink): void {
    this.#listing.note(link.shareId)
    if (!this.#revoked.has(link.shareId)) this.#options.store.apply({ type: 'lent.changed', link })
  }

  #onListed(links: readonly LentLink[], told: ReadonlySet<string>): void {
    const { store } = this.#options
    const known = new Set([...told, ...links.map(({ shareId }) => shareId)])
    for (const { shareId } of store.state.lentLinks) {
      if (!known.has(shareId)) store.apply({ type: 'lent.removed', shareId })
    }
    for (const link of links) if (!told.has(link.shareId)) this.#show(link)
  }
}

/** The contract's `lending`, answered. */
export function lendingHandlers(
  lending: Pick<Lending, 'lend' | 'revoke' | 'look'>,
  restores: Pick<Restores, 'receive'>,
): ContractHandlers['lending'] {
  return {
    lend: ({ checkpointId, startMs, endMs }) => lending.lend(checkpointId, { startMs, endMs }),
    revoke: async ({ shareId }) => {
      await lending.revoke(shareId)
      return {}
    },
    look: ({ link }) => lending.look(link),
    receive: ({ link }) => restores.receive(link.trim()),
  }
}

/** The contract's `checkpoints.restore`, answered. */
export function restoreHandler(
  restores: Pick<Restores, 'restore'>,
): ContractHandlers['checkpoints']['restore'] {
  return ({ checkpointId, as }) => restores.restore(checkpointId, as)
}

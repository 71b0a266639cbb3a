/**
 * Checks and sweeps of the vault: shown in the state while they go on, and ended when nobody wants them any more.
 * Promises that none stays in the state when it has ended, however it did.
 */
import { fail } from '../../../shared/errors/index.ts'
import type { VaultWork } from '../../../shared/models/checkpoint.ts'
import type { Random } from '../../platform/random.ts'
import type { VaultService } from '../../vault/service/vault-service.ts'
import type { StateStore } from '../state-store.ts'
import type { VaultDesk } from './vault-desk.ts'

export interface VaultWorksParts {
  desk: Pick<VaultDesk, 'opened' | 'onEvent'>
  store: Pick<StateStore, 'apply'>
  random: Random
}

const nothingDone: Record<VaultWork['progress']['kind'], VaultWork['progress']> = {
  check: { kind: 'check', checkpoints: 0, ofCheckpoints: null, readBytes: 0 },
  sweep: { kind: 'sweep', doneBytes: 0, totalBytes: null },
}

export class VaultWorks {
  readonly #parts: VaultWorksParts

  constructor(parts: VaultWorksParts) {
    this.#parts = parts
  }

  /** @throws host.cancelled once `signal` says so, vault.none, vault.opening, what `work` throws */
  async run<T>(
    kind: VaultWork['progress']['kind'],
    signal: AbortSignal,
    work: (service: VaultService, workId: string) => Promise<T>,
  ): Promise<T> {
    const { desk, store, random } = this.#parts
    if (signal.aborted) throw fail('host.cancelled')
    const service = desk.opened()
    const id = random.hex(16)
    const show = (progress: VaultWork['progress']): void =>
      store.apply({ type: 'vault-work.changed', work: { id, progress } })
    const stopListening = desk.onEvent((event) => {
      if (event.type === 'work.progress' && event.workId === id) show(event.progress)
    })
    const onAbort = (): void => void service.cancelWork(id).catch(() => {})
    signal.addEventListener('abort', onAbort, { once: true })
    show(nothingDone[kind])
    try {
      return await work(service, id)
    } finally {
      signal.removeEventListener('abort', onAbort)
      stopListening()
      store.apply({ type: 'vault-work.removed', workId: id })
    }
  }
}

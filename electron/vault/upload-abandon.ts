/**
 * Giving an upload up: what it announced is taken back. Promises that a checkpoint whose manifest may have been put
 * either exists or never will: its name is closed before sweeps are told that nobody works on it.
 */
import { WdockError } from '../../shared/errors/index.ts'
import { prefixes } from './names.ts'
import type { OpenVault } from './open-vault.ts'
import type { Spool, SpoolState } from './spool.ts'

/** How long it waits for a store that does not answer. */
const patienceMs = 10_000

/** Whether a failure of the store may pass by itself or when a person does something. */
export function mayPass(error: unknown): error is WdockError {
  return error instanceof WdockError && !error.permanent && error.code.startsWith('store.')
}

/**
 * Where the store does not answer the journal stays, and the next run of the program tries again.
 * @returns `published` when the checkpoint exists
 */
export async function abandonUpload(
  vault: OpenVault,
  spool: Spool,
  state: SpoolState,
): Promise<'cancelled' | 'published'> {
  const fenceFirst = state.fenceFirst || state.phase === 'publishing'
  await spool.writeState({ ...state, phase: 'abandoning', fenceFirst })
  await spool.clear()
  const signal = AbortSignal.timeout(patienceMs)
  const { objects, store } = vault
  try {
    const name = prefixes.checkpoints + state.id
    const isPublished = fenceFirst && !(await objects.fence(name, { signal }))
    if (!isPublished) {
      await store.remove(prefixes.summaries + state.id, { signal })
      await store.remove(prefixes.labels + state.id, { signal })
    }
    await store.remove(prefixes.uploads + state.id, { signal })
    await spool.remove()
    return isPublished ? 'published' : 'cancelled'
  } catch (error) {
    if (!signal.aborted && !mayPass(error)) throw error
    vault.log.warn('an upload could not be taken back yet', { id: state.id, error })
    return 'cancelled'
  }
}

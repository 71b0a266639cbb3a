/**
 * Work on the vault that takes a while and is nobody's operation: counting, checking, freeing. It goes on when the
 * page is left, and its last result is there when somebody comes back.
 */
import { create } from 'zustand'
import type { ErrorShape } from '../../shared/errors/index.ts'
import type { VaultCheck, VaultStats } from '../../shared/models/checkpoint.ts'
import { toErrorShape } from '../client/errors.ts'
import type { HostClient } from '../client/host-client.ts'

export type VaultJob = 'stats' | 'check' | 'read' | 'sweep'

interface VaultJobs {
  running: { job: VaultJob; sinceMs: number } | null
  stats: VaultStats | null
  check: { result: VaultCheck; wasRead: boolean } | null
  freedBytes: number | null
  error: ErrorShape | null
}

const nothing: VaultJobs = { running: null, stats: null, check: null, freedBytes: null, error: null }

export const useVaultWork = create<VaultJobs>()(() => nothing)

let calledOff = new AbortController()

/** Ends what runs; it says nothing more. */
export function cancelVaultJob(): void {
  calledOff.abort()
}

/** Does one thing at a time; while something runs, nothing else is begun. */
export async function runVaultJob(client: HostClient, job: VaultJob): Promise<void> {
  if (useVaultWork.getState().running !== null) return
  calledOff = new AbortController()
  const { signal } = calledOff
  useVaultWork.setState({ running: { job, sinceMs: Date.now() }, error: null })
  try {
    useVaultWork.setState(await outcomeOf(client, job, signal))
  } catch (thrown) {
    if (!signal.aborted) useVaultWork.setState({ error: toErrorShape(thrown) })
  } finally {
    useVaultWork.setState({ running: null })
  }
}

/** What was found out of a vault says nothing of the next one. */
export function forgetVaultWork(): void {
  useVaultWork.setState({ ...nothing, running: useVaultWork.getState().running })
}

async function outcomeOf(
  client: HostClient,
  job: VaultJob,
  signal: AbortSignal,
): Promise<Partial<VaultJobs>> {
  switch (job) {
    case 'stats':
      return { stats: await client.vault.stats(undefined, { signal }) }
    case 'check':
      return { check: { result: await client.vault.check({ readData: false }, { signal }), wasRead: false } }
    case 'read':
      return { check: { result: await client.vault.check({ readData: true }, { signal }), wasRead: true } }
    case 'sweep': {
      const { freedBytes } = await client.vault.sweep(undefined, { signal })
      return { freedBytes, stats: await client.vault.stats() }
    }
  }
}

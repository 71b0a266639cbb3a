/** What a person asks of the vault: one thing at a time, until it is done or called off. */
import { beforeEach, expect, it } from 'vitest'
import { fail } from '../../shared/errors/index.ts'
import type { HostClient } from '../client/host-client.ts'
import { cancelVaultJob, runVaultJob, useVaultWork } from './vault-work.ts'

interface Called {
  signal: AbortSignal
}

/** A host whose sweeps go on until they are called off, or end as told. */
function hostWith(sweep: (called: Called) => Promise<{ freedBytes: number }>): HostClient {
  const stats = { checkpoints: 1, packs: 1, storedBytes: 1, unusedBytes: 0, logicalBytes: 1 }
  const vault = {
    sweep: (_input: undefined, called: Called) => sweep(called),
    stats: () => Promise.resolve(stats),
  }
  return { vault } as unknown as HostClient
}

const untilCalledOff = ({ signal }: Called): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(new Error('aborted')))
  })

beforeEach(() => useVaultWork.setState(useVaultWork.getInitialState(), true))

it('a job that is called off ends without a result, and without an error', async () => {
  const working = runVaultJob(hostWith(untilCalledOff), 'sweep')
  expect(useVaultWork.getState().running?.job).toBe('sweep')
  cancelVaultJob()
  await working
  expect(useVaultWork.getState()).toMatchObject({ running: null, freedBytes: null, error: null })
})

it('one that was called off does not call off the next', async () => {
  const first = runVaultJob(hostWith(untilCalledOff), 'sweep')
  cancelVaultJob()
  await first
  const freeing = hostWith(({ signal }) => Promise.resolve({ freedBytes: signal.aborted ? 0 : 5 }))
  await runVaultJob(freeing, 'sweep')
  expect(useVaultWork.getState().freedBytes).toBe(5)
})

it('one that fails by itself says why', async () => {
  const failing = hostWith(() => Promise.reject(fail('store.unreachable', { place: 'It' })))
  await runVaultJob(failing, 'sweep')
  expect(useVaultWork.getState().error?.code).toBe('store.unreachable')
})

/** Making one checkpoint through the contract, as a person does, with the time of each step. */
import { setTimeout as wait } from 'node:timers/promises'
import type { DockProcess } from '../../electron/testing/dock-process.ts'
import type { Checkpoint } from '../../shared/models/checkpoint.ts'
import type { HostState } from '../../shared/models/host-state.ts'
import type { CheckpointPhase } from '../../shared/models/operation.ts'

export interface Kept {
  /** As it is listed in the end. */
  checkpoint: Checkpoint
  /** Of this process's monotonic clock, ms. */
  startedMs: number
  /** All of it is on that PC. */
  keptMs: number
  /** It is in the vault; null where that was not waited for. */
  publishedMs: number | null
  /** When each phase was first seen. */
  phases: Partial<Record<CheckpointPhase, number>>
}

const lookEveryMs = 20
const longestMs = 600_000

/** @param until what is waited for @throws Error when it fails */
export async function keepCheckpoint(
  dock: DockProcess,
  guestId: string,
  until: 'kept' | 'published' = 'published',
): Promise<Kept> {
  const phases: Kept['phases'] = {}
  const startedMs = performance.now()
  const { operationId } = await dock.client.checkpoints.make({ guestId, label: {} })
  const kept = await poll(dock, (state) => {
    const operation = state.operations.find(({ id }) => id === operationId)
    if (operation?.work.kind !== 'checkpoint') return null
    phases[operation.work.phase] ??= performance.now()
    if (operation.state.kind === 'running' || operation.state.kind === 'cancelling') return null
    if (operation.state.kind !== 'done') throw new Error(`a checkpoint: ${JSON.stringify(operation.state)}`)
    return operation.work.checkpointId
  })
  const keptMs = performance.now()
  const found = await poll(dock, ({ checkpoints }) => {
    const checkpoint = checkpoints.find(({ id }) => id === kept)
    return checkpoint && (until === 'kept' || checkpoint.place.kind === 'vault') ? checkpoint : null
  })
  const publishedMs = until === 'kept' ? null : performance.now()
  return { checkpoint: found, startedMs, keptMs, publishedMs, phases }
}

async function poll<T>(dock: DockProcess, find: (state: HostState) => T | null): Promise<T> {
  for (const endMs = performance.now() + longestMs; ; ) {
    const found = find(await dock.state())
    if (found !== null) return found
    if (performance.now() > endMs) throw new Error('a checkpoint took too long')
    await wait(lookEveryMs)
  }
}

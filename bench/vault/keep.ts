/** Making one checkpoint through the contract, as a person does, with the time of each step. */
import type { DockProcess } from '../../electron/testing/dock-process.ts'
import type { Checkpoint } from '../../shared/models/checkpoint.ts'
import { applyHostEvent, type HostEvent, type HostState } from '../../shared/models/host-state.ts'
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

const longestMs = 600_000

/** @param until what is waited for @throws Error when it fails */
export async function keepCheckpoint(
  dock: DockProcess,
  guestId: string,
  until: 'kept' | 'published' = 'published',
): Promise<Kept> {
  const phases: Kept['phases'] = {}
  const events = await dock.client.state.watch()
  const startedMs = performance.now()
  const { operationId } = await dock.client.checkpoints.make({ guestId, label: {} })
  let keptMs: number | null = null
  for await (const state of statesOf(events, AbortSignal.timeout(longestMs))) {
    const operation = state.operations.find(({ id }) => id === operationId)
    if (operation?.work.kind !== 'checkpoint') continue
    const { phase, checkpointId } = operation.work
    phases[phase] ??= performance.now()
    if (operation.state.kind === 'running' || operation.state.kind === 'cancelling') continue
    if (operation.state.kind !== 'done') throw new Error(`a checkpoint: ${JSON.stringify(operation.state)}`)
    keptMs ??= performance.now()
    const checkpoint = state.checkpoints.find(({ id }) => id === checkpointId)
    if (checkpoint === undefined || (until === 'published' && checkpoint.place.kind !== 'vault')) continue
    const publishedMs = until === 'kept' ? null : performance.now()
    return { checkpoint, startedMs, keptMs, publishedMs, phases }
  }
  throw new Error('the dock has ended')
}

/** The state, whenever it has changed, as a window gets it: asking for it on and on would take the guest's processor. */
async function* statesOf(
  events: AsyncIterable<HostEvent>,
  signal: AbortSignal,
): AsyncGenerator<HostState, undefined> {
  let state: HostState | null = null
  for await (const event of events) {
    signal.throwIfAborted()
    state = applyHostEvent(state, event)
    if (state !== null) yield state
  }
}

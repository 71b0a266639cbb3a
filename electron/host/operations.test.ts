import { describe, expect, it } from 'vitest'
import { fail } from '../../shared/errors/index.ts'
import type { HostState } from '../../shared/models/host-state.ts'
import { systemClock } from '../platform/clock.ts'
import { silentLog } from '../platform/log.ts'
import { Operations, type RunningOperation } from './operations.ts'
import { StateStore } from './state-store.ts'

const guestId = '11111111-1111-4111-8111-111111111111'
const start = { id: 'op-1', guestId, guestName: 'Mail', work: { kind: 'creating' } } as const

function make(): { operations: Operations; store: StateStore } {
  const store = new StateStore({ operations: [] } as unknown as HostState)
  return { store, operations: new Operations(store, systemClock, silentLog) }
}

/** Work that waits until it is cancelled. */
function untilCancelled(operation: RunningOperation): Promise<void> {
  return new Promise((_resolve, reject) => {
    operation.signal.addEventListener('abort', () => reject(operation.signal.reason))
  })
}

describe('operations', () => {
  it('allow one at a time for each guest', async () => {
    const { operations } = make()
    const first = operations.run(start, untilCancelled)
    expect(() => operations.run({ ...start, id: 'op-2' }, async () => {})).toThrow('Mail is busy')
    expect(() => operations.assertFree('22222222-2222-4222-8222-222222222222', 'Web')).not.toThrow()
    first.operation.cancel()
    await first.ended
    expect(operations.holding(guestId)).toBeNull()
  })

  it('undo in reverse what was done when the work fails, and end with the reason', async () => {
    const { operations, store } = make()
    const undone: string[] = []
    const { ended } = operations.run(start, async ({ undo }) => {
      undo.add('one', () => void undone.push('one'))
      undo.add('two', () => void undone.push('two'))
      throw fail('disk.layer_missing', { layer: 'x' })
    })
    expect((await ended)?.code).toBe('disk.layer_missing')
    expect(undone).toEqual(['two', 'one'])
    expect(store.state.operations[0]?.state).toMatchObject({
      kind: 'failed',
      error: { code: 'disk.layer_missing' },
    })
  })

  it('end as cancelled, undone, when a person cancels', async () => {
    const { operations, store } = make()
    const undone: string[] = []
    const { operation, ended } = operations.run(start, async (running) => {
      running.undo.add('it', () => void undone.push('it'))
      await untilCancelled(running)
    })
    operation.cancel()
    operation.cancel()
    await ended
    expect(undone).toEqual(['it'])
    expect(store.state.operations[0]?.state.kind).toBe('cancelled')
  })

  it('cannot be cancelled after the point of no return, and do not undo what succeeded', async () => {
    const { operations, store } = make()
    const undone: string[] = []
    const gate = Promise.withResolvers<void>()
    const { operation, ended } = operations.run(start, async (running) => {
      running.undo.add('it', () => void undone.push('it'))
      running.pointOfNoReturn()
      await gate.promise
    })
    expect(() => operation.cancel()).toThrow('already been handed over')
    gate.resolve()
    expect(await ended).toBeNull()
    expect(undone).toEqual([])
    expect(store.state.operations[0]?.state.kind).toBe('done')
  })

  it('refuse the point of no return to work that was cancelled just before', async () => {
    const { operations } = make()
    const gate = Promise.withResolvers<void>()
    const { operation, ended } = operations.run(start, async (running) => {
      await gate.promise
      running.pointOfNoReturn()
    })
    operation.cancel()
    gate.resolve()
    expect((await ended)?.code).toBe('host.cancelled')
  })

  it('stay on the screen until dismissed, but not more than twenty of them', async () => {
    const { operations, store } = make()
    for (let n = 0; n < 25; n += 1) {
      await operations.run({ ...start, id: `op-${n}` }, async () => {}).ended
    }
    expect(store.state.operations).toHaveLength(20)
    operations.dismiss('op-24')
    expect(store.state.operations.map(({ id }) => id)).not.toContain('op-24')
  })

  it('of another dock are shown, and never take the place of one that runs here', async () => {
    const { operations, store } = make()
    const { operation, ended } = operations.run(start, untilCancelled)
    operations.mirror({ ...operation.view, guestName: 'Forged' })
    expect(store.state.operations[0]?.guestName).toBe('Mail')
    operation.cancel()
    await ended
  })
})

/** Old checkpoints go, and their space is freed. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { fail } from '../../../shared/errors/index.ts'
import { defaultCheckpointRules } from '../../../shared/models/checkpoint.ts'
import { CheckpointDock, settle } from './testing/checkpoint-dock.ts'

let dock: CheckpointDock
const minuteMs = 60_000
const dayMs = 24 * 3600_000

beforeEach(async () => {
  dock = await (await CheckpointDock.create()).ready()
  const keep = { last: 2, hourly: 0, daily: 0, weekly: 0 }
  await dock.life.checkpoints.rules.change(dock.guestId, { ...defaultCheckpointRules, keep })
})
afterEach(async () => await dock.destroy())

async function make(reason: 'interval' | 'person'): Promise<string> {
  await dock.clock.pass(1000)
  await dock.life.checkpoints.maker.make(dock.guestId, reason).ended
  await settle()
  return dock.state.checkpoints[0]?.id ?? ''
}

const ids = () => dock.state.checkpoints.map(({ id }) => id)
const sweeps = () => dock.vaults.calls.filter((name) => name === 'sweep').length

describe('after a checkpoint', () => {
  it('those go that the rules do not keep; those of a person stay', async () => {
    const own = await make('person')
    await make('interval')
    const second = await make('interval')
    const third = await make('interval')
    expect(ids()).toEqual([third, second, own])
  })

  it('one that a guest is being restored from stays until that is over', async () => {
    const first = await make('interval')
    const { operations } = dock.life
    const over = Promise.withResolvers<void>()
    const work = { kind: 'restore', checkpointId: first, phase: 'running', slowSentence: null } as const
    const other = '22222222-2222-4222-8222-222222222222'
    const restore = operations.run({ id: 'r', guestId: other, guestName: 'Copy', work }, () => over.promise)
    await make('interval')
    const third = await make('interval')
    expect(ids()).toContain(first)
    await expect(dock.life.checkpoints.list.remove(first)).rejects.toMatchObject({
      code: 'vault.in_use',
      message: 'The vault is in use: Copy is being restored from this checkpoint.',
    })
    over.resolve()
    await restore.ended
    const fourth = await make('interval')
    expect(ids()).toEqual([fourth, third])
  })

  it('of a guest that is not here, nothing goes', async () => {
    const first = await make('interval')
    const elsewhere = { ...(dock.state.checkpoints[0] ?? fail('host.unexpected')), guestId: 'x' }
    dock.vaults.emit({
      type: 'upload.published',
      captureId: first,
      checkpoint: elsewhere as never,
      previousId: first,
    })
    await settle()
    expect(ids()).toEqual([first])
  })

  it('a store that does not answer keeps them, and nothing else fails', async () => {
    dock.vaults.before.set('remove', () => {
      throw fail('store.unreachable', { place: 'It' })
    })
    for (let n = 0; n < 3; n += 1) await make('interval')
    expect(ids()).toHaveLength(3)
  })
})

describe('space', () => {
  it('is freed ten minutes after something was deleted', async () => {
    await dock.clock.pass(2 * minuteMs)
    const before = sweeps()
    for (let n = 0; n < 3; n += 1) await make('interval')
    await dock.clock.pass(8 * minuteMs)
    expect(sweeps()).toBe(before)
    await dock.clock.pass(4 * minuteMs)
    await vi.waitFor(() => expect(sweeps()).toBe(before + 1))
    await dock.clock.pass(60 * minuteMs)
    expect(sweeps()).toBe(before + 1)
  })

  it('is freed once a day, also by the next host', async () => {
    await dock.clock.pass(2 * minuteMs)
    expect(sweeps()).toBe(1)
    dock.kill()
    await dock.start()
    await settle()
    await dock.clock.pass(dayMs / 2)
    expect(sweeps()).toBe(1)
    await dock.clock.pass(dayMs / 2 + 2 * minuteMs)
    expect(sweeps()).toBe(2)
  })

  it('that could not be freed is tried again, not every minute', async () => {
    dock.vaults.before.set('sweep', () => {
      throw fail('vault.sweep_unsure', { name: 'checkpoints/x' })
    })
    await dock.clock.pass(30 * minuteMs)
    expect(sweeps()).toBe(1)
    await dock.clock.pass(60 * minuteMs)
    expect(sweeps()).toBe(2)
  })
})

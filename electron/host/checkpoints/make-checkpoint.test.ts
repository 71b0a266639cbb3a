/** Making a checkpoint of a guest that runs, is paused or off; calling it off; a host that dies meanwhile. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fail } from '../../../shared/errors/index.ts'
import { CheckpointDock, settle, until } from './testing/checkpoint-dock.ts'

let dock: CheckpointDock

beforeEach(async () => {
  dock = await (await CheckpointDock.create()).ready()
})
afterEach(async () => await dock.destroy())

const make = (reason: 'person' | 'interval' = 'person') =>
  dock.life.checkpoints.maker.make(dock.guestId, reason)

const captured = () => [...dock.vaults.captures.values()]

describe('a checkpoint', () => {
  it('of a running guest is kept and then published, and the guest runs on, free again', async () => {
    const { operationId, ended } = make()
    expect(dock.guest.view().operationId).toBe(operationId)
    expect(await ended).toBeNull()
    expect(dock.guest.view()).toMatchObject({ operationId: null, state: { kind: 'running' } })
    expect(dock.qemu.state).toBe('running/completed')
    await settle()
    expect(dock.state.checkpoints).toMatchObject([
      { guestId: dock.guestId, reason: 'person', hasMemory: true, place: { kind: 'vault' } },
    ])
    const { id, freezeMs } = dock.state.checkpoints[0] ?? {}
    expect(dock.operation(operationId)).toMatchObject({
      state: { kind: 'done' },
      work: { kind: 'checkpoint', checkpointId: id, freezeMs },
    })
  })

  it('takes the whole stream, told as a pre-copy, with the definition of the guest', async () => {
    await make().ended
    expect(captured()).toMatchObject([
      { start: { qemuVersion: '7.2.0', guest: { name: 'Model' } }, bytes: 15 },
    ])
  })

  it('of a paused guest leaves it paused', async () => {
    await dock.life.guests.act(dock.guestId, 'pause')
    expect(await make().ended).toBeNull()
    expect(dock.guest.state.kind).toBe('paused')
    expect(dock.qemu.running).toBe(false)
    expect(dock.state.checkpoints).toMatchObject([{ hasMemory: true, freezeMs: null }])
  })

  it('of a guest that is off has no memory', async () => {
    await dock.life.guests.act(dock.guestId, 'forceOff')
    expect(await make().ended).toBeNull()
    expect(dock.state.checkpoints).toMatchObject([{ hasMemory: false, freezeMs: null }])
    expect(dock.guest.view()).toMatchObject({ state: { kind: 'stopped' }, operationId: null })
  })

  it('is refused while the guest is held, and holds it itself', async () => {
    dock.qemu.stalls = true
    make()
    expect(() => make()).toThrow('Model is busy: a checkpoint of it is being made.')
    await expect(dock.life.guests.act(dock.guestId, 'pause')).rejects.toMatchObject({ code: 'guest.busy' })
  })

  it('is refused of a guest that has not everything yet of what it was restored from', async () => {
    const restore = {
      ...{ restoreId: 'r', checkpointId: 'c'.repeat(32), link: null, previous: null },
      ...{ memory: 'here' as const, disks: ['disk0'] },
    }
    await dock.guest.changeRecord({ restore })
    expect(() => make()).toThrow('The disk of Model has not fully arrived yet.')
  })

  it('needs a vault', async () => {
    await dock.life.checkpoints.desk.forget()
    expect(() => make()).toThrow('No place for checkpoints has been chosen.')
    expect(dock.state.operations).toEqual([])
  })
})

describe('a checkpoint that is called off', () => {
  it('leaves the guest running and nothing in the vault', async () => {
    dock.qemu.stalls = true
    const { operationId, ended } = make()
    await until(() => captured().some(({ bytes }) => bytes > 0), 'the stream')
    dock.life.operations.find(operationId)?.cancel()
    expect((await ended)?.code).toBe('host.cancelled')
    expect(dock.operation(operationId)?.state.kind).toBe('cancelled')
    expect(captured()).toEqual([])
    expect(dock.state.checkpoints).toEqual([])
    expect(dock.qemu.state).toBe('running/cancelled')
    expect(dock.guest.view()).toMatchObject({ operationId: null, state: { kind: 'running' } })
  })

  it('can be made again at once', async () => {
    dock.qemu.stalls = true
    const { operationId, ended } = make()
    await until(() => captured().some(({ bytes }) => bytes > 0), 'the stream')
    dock.life.operations.find(operationId)?.cancel()
    await ended
    dock.qemu.stalls = false
    expect(await make().ended).toBeNull()
  })

  it('in the moment in which it is published is made', async () => {
    const gate = Promise.withResolvers<void>()
    dock.vaults.before.set('abandonCapture', () => gate.promise)
    let asked = (): void => {}
    const completing = new Promise<void>((resolve) => {
      asked = resolve
    })
    dock.vaults.before.set('completeCapture', () => asked())
    const { operationId, ended } = make()
    await completing
    dock.life.operations.find(operationId)?.cancel()
    await settle()
    gate.resolve()
    expect(await ended).toBeNull()
    expect(dock.operation(operationId)?.state.kind).toBe('done')
    expect(dock.state.checkpoints).toHaveLength(1)
  })

  it('is refused once it is kept, with what to do instead', async () => {
    dock.vaults.publishes = false
    const { operationId, ended } = make()
    await ended
    expect(dock.life.operations.find(operationId)).toBeNull()
    expect(dock.state.checkpoints).toMatchObject([{ place: { kind: 'on-its-way' } }])
  })
})

describe('a checkpoint that fails', () => {
  it.each(['beginCapture', 'memoryCaptured', 'completeCapture'] as const)(
    'in %s leaves the guest as it was, and nothing behind',
    async (method) => {
      const error = fail('vault.spool_full', { needed: '1 GB', path: '/x', free: '1 MB' })
      dock.vaults.before.set(method, () => {
        throw error
      })
      const { operationId, ended } = make()
      expect(await ended).toBe(error)
      expect(dock.operation(operationId)?.state).toMatchObject({
        kind: 'failed',
        error: { code: error.code },
      })
      expect(captured()).toEqual([])
      expect(dock.qemu.running).toBe(true)
      expect(dock.guest.view()).toMatchObject({ operationId: null, state: { kind: 'running' } })
      dock.vaults.before.clear()
      expect(await make().ended).toBeNull()
    },
  )

  it('when QEMU dies, which is told of the guest as well', async () => {
    dock.qemu.stalls = true
    const { ended } = make()
    await until(() => captured().some(({ bytes }) => bytes > 0), 'the stream')
    dock.qemu.kill()
    expect((await ended)?.code).toBe('qemu.gone')
    await until(() => dock.guest.state.kind === 'failed', 'the end of the guest')
    expect(dock.guest.view().operationId).toBeNull()
    expect(captured()).toEqual([])
  })
})

describe('a host that dies while it makes a checkpoint', () => {
  it('leaves the guest to the next one, which lets it go on and makes another', async () => {
    dock.qemu.stalls = true
    make()
    await until(() => captured().some(({ bytes }) => bytes > 0), 'the stream')
    dock.kill()
    const { qemu } = dock
    qemu.stalls = false
    await dock.start()
    await until(() => dock.state.vault.kind === 'ready', 'the vault')
    expect(qemu.running).toBe(true)
    expect(dock.guest.view()).toMatchObject({ operationId: null, state: { kind: 'running' } })
    expect(await make().ended).toBeNull()
  })

  it('and whose guest stood still in that moment, lets it go on', async () => {
    const { qemu } = dock
    qemu.stalls = true
    make()
    await until(() => captured().some(({ bytes }) => bytes > 0), 'the stream')
    dock.kill()
    qemu.freeze()
    await dock.start()
    expect(qemu.running).toBe(true)
    expect(dock.guest.state.kind).toBe('running')
  })
})

describe('checkpoints before something', () => {
  it('fail beside it, and it goes on', async () => {
    const { operations, checkpoints } = dock.life
    dock.vaults.before.set('beginCapture', () => {
      throw fail('store.unreachable', { place: 'It' })
    })
    const work = { kind: 'creating' } as const
    const { ended, operation } = operations.run(
      { id: 'move', guestId: dock.guestId, guestName: 'Model', work },
      (running) => checkpoints.maker.makeBefore(running, dock.guest, 'before-move'),
    )
    expect(await ended).toBeNull()
    const other = dock.state.operations.find(({ id }) => id !== 'move')
    expect(other).toMatchObject({
      work: { kind: 'checkpoint', reason: 'before-move' },
      state: { kind: 'failed', error: { code: 'store.unreachable' } },
    })
    expect(other?.startedAtMs).toBeLessThan(operation.view.startedAtMs)
  })

  it('end with it when it is cancelled', async () => {
    const { operations, checkpoints } = dock.life
    dock.qemu.stalls = true
    const { ended, operation } = operations.run(
      { id: 'move', guestId: dock.guestId, guestName: 'Model', work: { kind: 'creating' } },
      (running) => checkpoints.maker.makeBefore(running, dock.guest, 'before-move'),
    )
    await until(() => captured().some(({ bytes }) => bytes > 0), 'the stream')
    operation.cancel()
    expect((await ended)?.code).toBe('host.cancelled')
    expect(dock.state.operations.map(({ state }) => state.kind)).toEqual(['cancelled', 'cancelled'])
    expect(dock.guest.view()).toMatchObject({ operationId: null, state: { kind: 'running' } })
  })
})

describe('what is on its way', () => {
  it('is shown as an operation that holds no guest, once it takes longer than a second', async () => {
    dock.vaults.publishes = false
    await make().ended
    const captureId = dock.state.checkpoints[0]?.id ?? ''
    const told = (doneBytes: number) =>
      dock.vaults.emit({ type: 'upload.progress', captureId, progress: { doneBytes, totalBytes: 100 } })
    const shown = () => dock.state.operations.find(({ id }) => id === `upload-${captureId}`)
    told(10)
    expect(shown()).toBeUndefined()
    await dock.clock.pass(1500)
    told(50)
    expect(shown()).toMatchObject({
      state: { kind: 'running', cancellable: false },
      progress: { doneBytes: 50, totalBytes: 100 },
      work: { phase: 'uploading' },
    })
    expect(dock.guest.view().operationId).toBeNull()
    dock.vaults.publish(captureId)
    expect(shown()).toBeUndefined()
    expect(dock.state.checkpoints).toMatchObject([{ place: { kind: 'vault' } }])
  })

  it('and published under another id is listed once', async () => {
    dock.vaults.publishes = false
    await make().ended
    dock.vaults.publish(dock.state.checkpoints[0]?.id ?? '', 'f'.repeat(32))
    expect(dock.state.checkpoints.map(({ id }) => id)).toEqual(['f'.repeat(32)])
  })

  it('goes on with the next host, and is shown there', async () => {
    dock.vaults.publishes = false
    await make().ended
    const captureId = dock.state.checkpoints[0]?.id ?? ''
    dock.kill()
    await dock.start()
    await until(() => dock.state.checkpoints.length === 1, 'the list')
    await dock.clock.pass(1500)
    dock.vaults.emit({
      type: 'upload.progress',
      captureId,
      progress: { doneBytes: 1, totalBytes: 2 },
    })
    expect(dock.state.operations).toMatchObject([{ id: `upload-${captureId}`, guestName: 'Model' }])
  })

  it('and failed is told until it is dismissed', async () => {
    dock.vaults.publishes = false
    await make().ended
    const captureId = dock.state.checkpoints[0]?.id ?? ''
    const error = fail('vault.upload_lost').toJSON()
    for (const vault of dock.vaults.vaults.values()) vault.checkpoints.clear()
    dock.vaults.emit({ type: 'upload.failed', captureId, error })
    await settle()
    expect(dock.state.checkpoints).toEqual([])
    const failed = dock.state.operations.find(({ state }) => state.kind === 'failed')
    expect(failed).toMatchObject({ state: { error: { code: 'vault.upload_lost' } } })
    dock.life.operations.dismiss(failed?.id ?? '')
    expect(dock.state.operations.some(({ state }) => state.kind === 'failed')).toBe(false)
  })
})

it('a list that is read while something is told does not undo it', async () => {
  const gate = Promise.withResolvers<void>()
  await make().ended
  await settle()
  const gone = dock.state.checkpoints[0]?.id ?? ''
  // The list as it was before: read, but not delivered yet.
  const [vault] = dock.vaults.vaults.values()
  const before = new Map(vault?.checkpoints)
  dock.vaults.before.set('list', () => gate.promise)
  const refreshed = dock.life.checkpoints.list.refresh()
  await dock.life.checkpoints.list.remove(gone)
  await make().ended
  await settle()
  const made = dock.state.checkpoints[0]?.id ?? ''
  vault?.checkpoints.clear()
  for (const [id, each] of before) vault?.checkpoints.set(id, each)
  gate.resolve()
  await refreshed
  expect(dock.state.checkpoints.map(({ id }) => id)).toEqual([made])
})

it('a checkpoint that another PC deleted is gone here as well when it is deleted', async () => {
  await make().ended
  await settle()
  const id = dock.state.checkpoints[0]?.id ?? ''
  for (const vault of dock.vaults.vaults.values()) vault.checkpoints.clear()
  await dock.life.checkpoints.list.remove(id)
  expect(dock.state.checkpoints).toEqual([])
})

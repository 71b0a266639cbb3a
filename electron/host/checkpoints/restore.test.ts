/** Restores over simulated QEMUs: identity, order, cancelling, what is lost and what is put back. */
import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fail } from '../../../shared/errors/index.ts'
import type { GuestDefinition } from '../../../shared/models/guest-definition.ts'
import { startIncoming, unixUri } from '../../qemu/migration.ts'
import type { VaultService } from '../../vault/service/vault-service.ts'
import { modelGuest } from '../docking/testing/fake-machine.ts'
import {
  type BenchHost,
  benchDockId,
  ended,
  keptFacts,
  RestoreBench,
  serviceOf,
  until,
} from './testing/restore-bench.ts'

const checkpointId = 'c'.repeat(32)
const guestId = '5b1c7a52-55c1-4c26-9f0e-6d3c8b6b1a10'
const { definition: kept } = modelGuest(guestId, benchDockId)

let bench: RestoreBench
let host: BenchHost
/** The restores that were begun and not ended. */
let open: Set<string>

beforeEach(async () => {
  bench = await RestoreBench.make()
  open = new Set()
})
afterEach(async () => await bench.end(host))

/** A vault whose memory arrives when `send` lets it. */
function vault(send: (restoreId: string, socketPath: string) => Promise<void> = deliver): VaultService {
  return serviceOf({
    beginRestore: async (restoreId) => {
      open.add(restoreId)
      return keptFacts(kept)
    },
    sendMemory: async (restoreId, { socketPath }) => await send(restoreId, socketPath),
    endRestore: async (restoreId) => void open.delete(restoreId),
  })
}

async function deliver(restoreId: string, socketPath: string): Promise<void> {
  await devices(socketPath)
  host.desk.tell({ type: 'restore.memory-done', restoreId, error: null })
}

/** What lets the simulated QEMU stand loaded. */
async function devices(socketPath: string): Promise<void> {
  for (;;) {
    const socket = connect(socketPath)
    const sent = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => socket.write('devices\n', () => resolve(true)))
      socket.once('error', () => resolve(false))
    })
    if (sent) return
  }
}

const guestOf = (id: string) => host.guests.get(id)
const present = async (state: 'running' | 'stopped') => {
  const guest = await host.guests.register(
    { ...modelGuest(guestId, benchDockId), definition: { ...kept, name: 'Renamed', cores: 1 } },
    { kind: 'stopped' },
  )
  if (state === 'running') await guest.start()
  return guest
}

describe('a copy', () => {
  it('is on the list at once, then runs under an id, a name and an address of its own', async () => {
    host = await bench.start(vault())
    await present('running')
    const { operationId, guestId: copyId } = await host.restores.restore(checkpointId, 'copy')
    expect(copyId).not.toBe(guestId)
    expect(guestOf(copyId).view()).toMatchObject({ state: { kind: 'preparing' }, operationId })
    expect(await ended(host, operationId)).toMatchObject({ state: { kind: 'done' } })
    const copy = guestOf(copyId)
    await until(() => copy.view().operationId === null)
    expect(copy.view()).toMatchObject({ name: 'Model (copy)', state: { kind: 'running' } })
    expect(copy.definition.macAddress).not.toBe(kept.macAddress)
    expect(copy.record).toMatchObject({ complete: true, bootedAtMs: 1_700_000_000_000 })
    expect(copy.record.restore).toBeUndefined()
    expect(guestOf(guestId).state).toEqual({ kind: 'running' })
    await until(() => open.size === 0)
  })

  it('says why it must be fetched first, and what would change that', async () => {
    const slow = { how: 'whole', slowSentence: 'Slow.' } as const
    host = await bench.start(vault(), { chooseRoute: async () => slow })
    const { operationId } = await host.restores.restore(checkpointId, 'copy')
    expect(await ended(host, operationId)).toMatchObject({
      state: { kind: 'done' },
      work: { slowSentence: 'Slow.' },
    })
  })

  it('leaves nothing behind when it is cancelled before it runs', async () => {
    host = await bench.start(vault(async () => {}))
    const { operationId, guestId: copyId } = await host.restores.restore(checkpointId, 'copy')
    await until(() => bench.qemus.length === 1)
    host.operations.find(operationId)?.cancel()
    expect(await ended(host, operationId)).toMatchObject({ state: { kind: 'cancelled' } })
    expect(host.guests.find(copyId)).toBeNull()
    expect(bench.qemus.some(({ alive }) => alive)).toBe(false)
    await until(() => open.size === 0)
  })

  it('cannot be cancelled any more once it runs, and is busy until its memory is here', async () => {
    host = await bench.start(
      vault(async (_id, path) => {
        for (const qemu of bench.qemus) qemu.loadsFirst = true
        await devices(path)
      }),
    )
    const { operationId, guestId: copyId } = await host.restores.restore(checkpointId, 'copy')
    await until(() => guestOf(copyId).state.kind === 'running')
    expect(() => host.operations.find(operationId)?.cancel()).toThrow(/runs already/)
    await expect(host.guests.act(copyId, 'pause')).rejects.toMatchObject({
      code: 'guest.busy',
      message: expect.stringContaining('it is being restored'),
    })
    for (const restoreId of open) host.desk.tell({ type: 'restore.memory-done', restoreId, error: null })
    for (const qemu of bench.qemus) qemu.memoryArrives()
    expect(await ended(host, operationId)).toMatchObject({ state: { kind: 'done' } })
  })

  it('is gone, and the reason told, when the vault fails before it runs', async () => {
    host = await bench.start(vault(async () => await Promise.reject(fail('vault.damaged'))))
    const { operationId } = await host.restores.restore(checkpointId, 'copy')
    expect(await ended(host, operationId)).toMatchObject({
      state: { kind: 'failed', error: { code: 'vault.damaged' } },
    })
    expect(host.guests.list()).toEqual([])
    expect(bench.qemus.some(({ alive }) => alive)).toBe(false)
  })
})

describe('in the place of the guest', () => {
  it('keeps its state first, then is what was kept, under the name that it has now', async () => {
    host = await bench.start(vault())
    await present('running')
    const [before] = bench.qemus
    const { operationId, guestId: id } = await host.restores.restore(checkpointId, 'same')
    expect(id).toBe(guestId)
    expect(await ended(host, operationId)).toMatchObject({ state: { kind: 'done' } })
    expect(host.kept).toEqual([guestId])
    expect(before?.alive).toBe(false)
    expect(guestOf(guestId).view()).toMatchObject({ name: 'Renamed', state: { kind: 'running' } })
    expect(guestOf(guestId).record.restore).toBeUndefined()
    expect(bench.qemus.filter(({ alive }) => alive)).toHaveLength(1)
  })

  it('is refused while the guest is on another dock, where it would be twice', async () => {
    host = await bench.start(vault())
    const view = (await present('stopped')).view()
    await host.guests.forget(guestId)
    host.store.apply({ type: 'guest.changed', guest: { ...view, dockId: 'b'.repeat(52) } })
    await expect(host.restores.restore(checkpointId, 'same')).rejects.toMatchObject({
      code: 'restore.lives_elsewhere',
      fix: expect.stringContaining('as a copy'),
    })
    expect(open.size).toBe(0)
    expect(host.guests.list()).toEqual([])
  })

  it('comes back under its own id where no guest of it is left', async () => {
    host = await bench.start(vault())
    const { operationId, guestId: id } = await host.restores.restore(checkpointId, 'same')
    await ended(host, operationId)
    expect(id).toBe(guestId)
    expect(guestOf(guestId)).toMatchObject({ name: 'Model', definition: { macAddress: kept.macAddress } })
  })

  it('puts the old one back, switched off, when it is cancelled on the way', async () => {
    host = await bench.start(vault(async () => {}))
    const old = (await present('running')).definition
    const { operationId } = await host.restores.restore(checkpointId, 'same')
    await until(() => bench.qemus.length === 2)
    host.operations.find(operationId)?.cancel()
    expect(await ended(host, operationId)).toMatchObject({ state: { kind: 'cancelled' } })
    expect(guestOf(guestId)).toMatchObject({ definition: old, state: { kind: 'stopped' } })
    expect(guestOf(guestId).record.restore).toBeUndefined()
    await host.guests.act(guestId, 'start')
  })
})

describe('a host that ended while memory was arriving', () => {
  const arriving = async (previous: GuestDefinition | null, hasAll = false) => {
    host = await bench.start(vault())
    const restore = { restoreId: 'r', checkpointId, link: null, memory: 'coming', disks: [] } as const
    await host.guests.register(
      {
        ...modelGuest(guestId, benchDockId),
        restore: {
          ...restore,
          disks: [],
          previous: previous === null ? null : { definition: previous, createdAtMs: 7 },
        },
      },
      { kind: 'stopped' },
    )
    await guestOf(guestId).makeRunDir()
    const { qmp, sockets } = await guestOf(guestId).launch(true)
    if (hasAll) {
      await startIncoming(qmp, unixUri(sockets.incoming))
      await devices(sockets.incoming)
      await until(() => bench.qemus[0]?.state === 'paused/completed')
    }
    host.guests.release()
    host = await bench.start(vault())
    expect(bench.qemus[0]?.alive).toBe(true)
    await host.restores.takeUp()
    expect(bench.qemus[0]?.alive).toBe(hasAll)
    return guestOf(guestId)
  }

  it('is followed by one that lets the guest run when all of it had come', async () => {
    const copy = await arriving(null, true)
    await until(() => copy.record.restore === undefined)
    expect(copy.state).toEqual({ kind: 'running' })
  })

  it('has lost the copy, and says to restore it again', async () => {
    const copy = await arriving(null)
    expect(copy.state).toMatchObject({ kind: 'failed', error: { code: 'restore.memory_lost' } })
  })

  it('has the guest as it was before, switched off', async () => {
    const guest = await arriving({ ...kept, name: 'Before' })
    expect(guest.state).toMatchObject({ kind: 'failed', error: { code: 'restore.memory_lost' } })
    expect(guest.record).toMatchObject({ definition: { name: 'Before' }, createdAtMs: 7 })
    expect(guest.record.restore).toBeUndefined()
    await host.guests.act(guestId, 'start')
    expect(guest.state).toEqual({ kind: 'running' })
  })
})

describe('a host that is to end', () => {
  it('takes nothing back that the next one can go on with', async () => {
    const sent = Promise.withResolvers<void>()
    host = await bench.start(vault(async () => sent.resolve()))
    const { operationId, guestId: copy } = await host.restores.restore(checkpointId, 'copy')
    await sent.promise
    host.restores.close()
    host.desk.tell({
      type: 'restore.memory-done',
      restoreId: [...open][0] ?? '',
      error: fail('store.unreachable', { place: 'there' }).toJSON(),
    })
    await ended(host, operationId)
    expect(bench.qemus[0]?.alive).toBe(true)
    expect(guestOf(copy).record.restore).toMatchObject({ memory: 'coming' })
  })

  it('takes back what it cancels', async () => {
    const sent = Promise.withResolvers<void>()
    host = await bench.start(vault(async () => sent.resolve()))
    const { operationId, guestId: copy } = await host.restores.restore(checkpointId, 'copy')
    await sent.promise
    host.restores.close()
    await host.operations.stopAll(5000)
    expect(await ended(host, operationId)).toMatchObject({ state: { kind: 'cancelled' } })
    expect(bench.qemus[0]?.alive).toBe(false)
    expect(host.guests.find(copy)).toBeNull()
  })

  it('waits for the memory of a guest that runs, and not for what a later host can go on with', async () => {
    host = await bench.start(vault())
    const guest = await present('running')
    const restore = { restoreId: 'r', checkpointId, link: null, disks: ['disk0'], previous: null }
    await guest.changeRecord({ restore: { ...restore, memory: 'coming' } })
    let hasArrived = false
    const arrival = host.restores.memoryArrived(60_000).then(() => {
      hasArrived = true
    })
    await host.restores.memoryArrived(1)
    expect(hasArrived).toBe(false)
    await guest.changeRecord({ restore: { ...restore, memory: 'here' } })
    await arrival
  })
})

describe('a checkpoint that does not fit', () => {
  it('is refused at once, and nothing was changed', async () => {
    const gone = { ...kept, machine: 'pc-q35-2.4' }
    host = await bench.start(
      serviceOf({ beginRestore: async () => keptFacts(gone), endRestore: async () => {} }),
    )
    await expect(host.restores.receive('wdock:x')).rejects.toMatchObject({
      code: 'restore.machine_type_gone',
    })
    expect(host.guests.list()).toEqual([])
    expect(host.store.state.operations).toEqual([])
  })
})

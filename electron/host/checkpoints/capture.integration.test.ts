/** Checkpoints of a real guest, as far as this dock's part goes: what the vault is given, and how the guest fares. */
import { createHash } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { checkImage } from '../../disk/image.ts'
import { NbdClient } from '../../disk/nbd-client.ts'
import { queryNamedBlockNodes } from '../../qemu/qmp/commands.ts'
import { socketPaths } from '../../qemu/sockets.ts'
import { hasDemoGuest } from '../../qemu/test-guests.ts'
import { WitnessReader } from '../../testing/witness.ts'
import type { FrozenDisk } from '../../vault/service/vault-service.ts'
import { CheckpointDock, until } from './testing/checkpoint-dock.ts'

let dock: CheckpointDock
let witness: WitnessReader

async function connectWitness(): Promise<void> {
  witness?.close()
  witness = await WitnessReader.connect(socketPaths(dock.guest.runDir).witness)
}

beforeAll(async () => {
  if (!hasDemoGuest) return
  dock = await CheckpointDock.empty(true)
  await dock.start()
  await dock.life.checkpoints.desk.create(dock.place)
  const { guests, store } = dock.life
  const wanted = { name: 'Real', source: { kind: 'demo' }, cores: 1, network: 'none' } as const
  const { guestId, operationId } = await guests.create({ ...wanted, memoryBytes: 256 * 1024 ** 2 })
  dock.guestId = guestId
  const isMade = () => store.state.operations.find(({ id }) => id === operationId)?.state.kind === 'done'
  await until(isMade, 'the guest', 20_000)
  await guests.act(guestId, 'start')
  await connectWitness()
  await witness.waitForTicks(150, 50_000)
}, 90_000)
afterAll(async () => {
  witness?.close()
  await dock?.destroy()
})

/** Reads it to its end, as the vault does. */
async function readDisk({ nbdSocketPath: socketPath, exportName }: FrozenDisk): Promise<void> {
  const client = await NbdClient.connect({
    ...{ socketPath, exportName },
    contexts: ['base:allocation', 'qemu:allocation-depth'],
  })
  const hash = createHash('sha256')
  read = { bytes: 0, sha256: '', sizeBytes: client.sizeBytes }
  for await (const piece of client.readAllocated()) {
    if (piece.kind !== 'data') continue
    hash.update(piece.bytes)
    read.bytes += piece.bytes.length
  }
  read.sha256 = hash.digest('hex')
  await client.close()
}
let read = { bytes: 0, sha256: '', sizeBytes: 0 }

beforeEach(() => {
  if (dock) dock.vaults.onDisk = readDisk
})

const make = () => dock.life.checkpoints.maker.make(dock.guestId, 'person')

async function overlays(): Promise<string[]> {
  return (await readdir(dock.guest.folder)).filter((name) => /\.(live|done)\./.test(name))
}

async function expectUndisturbed(): Promise<void> {
  expect(dock.guest.view()).toMatchObject({ operationId: null, state: { kind: 'running' } })
  expect(await overlays()).toEqual([])
  const nodes = await queryNamedBlockNodes(dock.guest.requireProcess('asked').qmp)
  expect(nodes.map((node) => node['node-name']).filter((name) => name?.endsWith('-live'))).toEqual([])
  await witness.waitForTicks(30)
  expect(await witness.check()).toMatchObject({ lost: 0, torn: 0, memoryIntact: true, memoryErrors: 0 })
}

describe.skipIf(!hasDemoGuest)('a checkpoint of a running guest', () => {
  it('takes memory and disk while no tick is lost, and leaves the guest its own disk', async () => {
    const from = witness.ticks.length - 1
    const { operationId, ended } = make()
    expect(await ended).toBeNull()
    await expectUndisturbed()
    const ticks = witness.ticks.slice(from).map(({ tick }) => tick)
    expect(ticks, 'no tick is lost').toEqual(ticks.map((_, index) => (ticks[0] ?? 0) + index))
    const capture = [...dock.vaults.captures.values()].at(-1)
    expect(capture?.bytes).toBeGreaterThan(10e6)
    expect(read.bytes).toBeGreaterThan(1e6)
    expect(read.sizeBytes).toBe(dock.guest.definition.disks[0]?.virtualSizeBytes)
    const { freezeMs } = dock.state.checkpoints[0] ?? {}
    expect(freezeMs).toBeGreaterThan(0)
    expect(dock.operation(operationId)?.work).toMatchObject({ freezeMs })
  })

  it('that is called off while its disk is read leaves nothing', async () => {
    const begun = Promise.withResolvers<void>()
    dock.vaults.onDisk = async () => {
      begun.resolve()
      await new Promise(() => {})
    }
    const { operationId, ended } = make()
    await begun.promise
    expect(await overlays()).toHaveLength(1)
    dock.life.operations.find(operationId)?.cancel()
    expect((await ended)?.code).toBe('host.cancelled')
    await expectUndisturbed()
  })

  it('whose host dies while its disk is read is cleaned up by the next one', async () => {
    const begun = Promise.withResolvers<void>()
    dock.vaults.onDisk = async () => {
      begun.resolve()
      await new Promise(() => {})
    }
    make()
    await begun.promise
    dock.kill()
    await dock.start()
    await expect.poll(overlays, { timeout: 10_000 }).toEqual([])
    await expectUndisturbed()
    dock.vaults.onDisk = readDisk
    await until(() => dock.state.vault.kind === 'ready', 'the vault')
    expect(await make().ended).toBeNull()
    await expectUndisturbed()
  })

  it('whose QEMU dies while its disk is read loses nothing that was on its disk', async () => {
    const begun = Promise.withResolvers<void>()
    dock.vaults.onDisk = async () => {
      begun.resolve()
      await new Promise(() => {})
    }
    const { ended } = make()
    await begun.promise
    await witness.waitForTicks(20)
    const { record = 0 } = witness.lastTick ?? {}
    const { pid } = dock.guest.requireProcess('killed').identity
    process.kill(pid, 'SIGKILL')
    expect((await ended)?.code).toBe('qemu.gone')
    await expect.poll(() => dock.guest.state.kind, { timeout: 10_000 }).toBe('failed')
    expect(await overlays()).toHaveLength(1)
    await dock.life.guests.act(dock.guestId, 'start')
    expect(await overlays()).toEqual([])
    await connectWitness()
    await witness.waitForTicks(20, 50_000)
    const check = await witness.check()
    expect(check).toMatchObject({ lost: 0, torn: 0 })
    expect(check.records).toBeGreaterThanOrEqual(record)
  })
})

describe.skipIf(!hasDemoGuest)('a checkpoint of a guest that is off', () => {
  it('reads its disk, which is in use by nobody afterwards', async () => {
    await dock.life.guests.act(dock.guestId, 'forceOff')
    dock.vaults.onDisk = async (disk) => {
      await expect(dock.life.guests.act(dock.guestId, 'start')).rejects.toMatchObject({ code: 'guest.busy' })
      await readDisk(disk)
    }
    expect(await make().ended).toBeNull()
    const first = read
    expect(first.bytes).toBeGreaterThan(1e6)
    expect(await make().ended).toBeNull()
    expect(read, 'nothing was changed by reading').toEqual(first)
    const { topPath = '' } = dock.guest.diskFiles[0] ?? {}
    expect(await checkImage(topPath)).toMatchObject({ sound: true })
    await dock.life.guests.act(dock.guestId, 'start')
    expect(dock.guest.state.kind).toBe('running')
  })
})

/** A real guest, kept in a real vault, brought back: as a copy and in its own place, at once and after a restart. */
import { existsSync } from 'node:fs'
import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkImage } from '../../disk/image.ts'
import { systemClock } from '../../platform/clock.ts'
import { silentLog } from '../../platform/log.ts'
import { systemRandom } from '../../platform/random.ts'
import { setCapabilities } from '../../qemu/migration.ts'
import { queryNamedBlockNodes } from '../../qemu/qmp/commands.ts'
import { socketPaths } from '../../qemu/sockets.ts'
import { demoGuestDir, hasDemoGuest } from '../../qemu/test-guests.ts'
import { type Tick, WitnessReader } from '../../testing/witness.ts'
import type { VaultFolders } from '../../vault/service/vault-service.ts'
import { VaultServiceHere } from '../../vault/service/vault-service-here.ts'
import type { LocalGuest } from '../guests/local-guest.ts'
import { Machine } from '../machine.ts'
import { CheckpointMaker } from './make-checkpoint.ts'
import { rehearse } from './rehearse.ts'
import type { chooseRoute } from './restore-memory.ts'
import {
  BenchDesk,
  type BenchHost,
  benchDockId,
  ended,
  RestoreBench,
  until,
} from './testing/restore-bench.ts'

let bench: RestoreBench
let host: BenchHost
let desk: BenchDesk
let folders: VaultFolders
let vaultKey: Uint8Array
let original: LocalGuest
let machine: Machine
const readers: WitnessReader[] = []
/** What was kept, and the last tick before it. */
let kept: { id: string; hasMemory: boolean; tick: Tick }

async function witnessOf(guest: LocalGuest): Promise<WitnessReader> {
  const reader = await WitnessReader.connect(socketPaths(guest.runDir).witness)
  readers.push(reader)
  return reader
}

async function openVault(): Promise<void> {
  desk = new BenchDesk(new VaultServiceHere({ onEvent: (event) => desk.tell(event) }))
}

async function startHost(changes: { chooseRoute?: typeof chooseRoute } = {}): Promise<void> {
  host = await bench.start(desk.current, { machine, desk, demoGuestDir, ...changes })
}

async function keep(guest: LocalGuest): Promise<string> {
  const parts = {
    desk,
    dock: { id: benchDockId, name: () => 'Desk' },
    ...{ machine, bootFiles: host.bootFiles, pictures: { get: async () => null } },
    ...{ clock: systemClock, random: systemRandom, log: silentLog },
  }
  const published = Promise.withResolvers<string>()
  const stop = desk.onEvent((event) => {
    if (event.type === 'upload.published') published.resolve(event.checkpoint.id)
    if (event.type === 'upload.failed') published.reject(new Error(event.error.message))
  })
  const { guests, operations } = host
  expect(
    await new CheckpointMaker({ ...parts, guests, operations }).make(guest.id, 'person').ended,
  ).toBeNull()
  const id = await published.promise
  stop()
  return id
}

beforeAll(async () => {
  if (!hasDemoGuest) return
  bench = await RestoreBench.make()
  const at = (name: string): string => join(bench.dir, name)
  folders = { spool: at('spool'), cache: at('cache'), azurite: at('azurite'), cacheLimitBytes: 2 ** 30 }
  for (const path of [at('place'), folders.spool, folders.cache, bench.dataDir]) await mkdir(path)
  const places = { cacheDir: folders.cache, dataDir: bench.dataDir }
  machine = new Machine({ ...places, appVersion: '1', log: silentLog, otherDocks: () => [] })
  await openVault()
  vaultKey = (await desk.current.create({ kind: 'folder', path: at('place') }, folders)).vaultKey
  await startHost()
  const size = { cores: 1, memoryBytes: 256 * 1024 ** 2 }
  const wanted = { name: 'Real', source: { kind: 'demo' }, ...size, network: 'user' } as const
  const { guestId, operationId } = await host.guests.create(wanted)
  await ended(host, operationId)
  original = host.guests.get(guestId)
  await host.guests.act(guestId, 'start')
  const witness = await witnessOf(original)
  await witness.waitForTicks(150, 50_000)
  const id = await keep(original)
  kept = { id, hasMemory: true, tick: witness.lastTick ?? expect.fail('no tick') }
}, 90_000)

afterAll(async () => {
  for (const reader of readers) reader.close()
  await bench?.end(host)
})

/** It is the guest that was kept, whole, and needs nothing of the vault any more. */
async function expectRestored(guest: LocalGuest): Promise<void> {
  const witness = await witnessOf(guest)
  const tick = await witness.waitForTicks(20, 20_000)
  expect(tick.boot).toBe(kept.tick.boot)
  expect(await witness.check()).toMatchObject({ lost: 0, torn: 0, memoryIntact: true, memoryErrors: 0 })
  // Its clock was that of the checkpoint; its disk was written down before, and is not frozen.
  await expect.poll(() => lateMs(witness), { timeout: 10_000 }).toBeLessThan(1500)
  expect(await witness.ask('agent')).toMatch(/ flushes=1 frozen=0$/)
  const nodes = await queryNamedBlockNodes(guest.requireProcess('asked').qmp)
  expect(nodes.map((node) => node['node-name'])).not.toContain('disk0-remote')
  expect(guest.definition.disks).toMatchObject([{ layers: [] }])
  expect(guest.record.restore).toBeUndefined()
}

/** By how much the clock in the guest is wrong. */
async function lateMs(witness: WitnessReader): Promise<number> {
  const [, clockMs] = /clock=(\d+)/.exec(await witness.ask('agent')) ?? []
  return Math.abs(Date.now() - Number(clockMs))
}

async function expectCleanDisk(guest: LocalGuest): Promise<void> {
  await host.guests.act(guest.id, 'forceOff')
  expect(await checkImage(guest.topPath('disk0'))).toMatchObject({ clean: true })
}

describe.skipIf(!hasDemoGuest)('a real guest', () => {
  it('is rehearsed beside the guest, which leaves nothing but what it touches first', async () => {
    const environment = { machine, layers: host.layers, bootFiles: host.bootFiles }
    const paths = { data: bench.dataDir, runtime: bench.dir }
    const parts = { desk, environment, paths, clock: systemClock, random: systemRandom, log: silentLog }
    expect(await rehearse(parts, kept.id, new AbortController().signal)).toBeNull()
    expect((await stat(join(bench.dir, 'place', 'warm', kept.id))).size).toBeGreaterThan(500)
    expect(existsSync(join(bench.dir, 'rehearsal'))).toBe(false)
    expect(existsSync(join(bench.dataDir, 'rehearsal'))).toBe(false)
    expect(original.state).toEqual({ kind: 'running' })
  })

  it('is restored as a copy that runs while the rest arrives, beside the guest itself', async () => {
    const { operationId, guestId } = await host.restores.restore(kept.id, 'copy')
    const copy = host.guests.get(guestId)
    await until(() => copy.state.kind === 'running', 30_000)
    const operation = await ended(host, operationId)
    expect(operation).toMatchObject({ state: { kind: 'done' } })
    await until(() => copy.view().operationId === null)
    await expectRestored(copy)
    expect(original.state).toEqual({ kind: 'running' })
    await expectCleanDisk(copy)
    // It starts by itself, from its own disk alone.
    await host.guests.act(guestId, 'start')
    await (await witnessOf(copy)).waitForTicks(20, 30_000)
    await expectCleanDisk(copy)
    await host.guests.remove(guestId)
  })

  it('is restored with all of its memory first, where nothing else is allowed', async () => {
    const { store, restores } = host
    restores.close()
    host.guests.release()
    await startHost({
      chooseRoute: async (qmp) => {
        await setCapabilities(qmp, ['events'])
        return { how: 'whole', slowSentence: 'Slow.' }
      },
    })
    expect(store).not.toBe(host.store)
    const { operationId, guestId } = await host.restores.restore(kept.id, 'copy')
    expect(await ended(host, operationId)).toMatchObject({
      state: { kind: 'done' },
      work: { slowSentence: 'Slow.' },
    })
    const copy = host.guests.get(guestId)
    await until(() => copy.view().operationId === null)
    await expectRestored(copy)
    await expectCleanDisk(copy)
    await host.guests.remove(guestId)
  })

  it('is replaced by what was kept of it, its disk until then in the trash', async () => {
    original = host.guests.get(original.id)
    const before = original.definition
    const { operationId } = await host.restores.restore(kept.id, 'same')
    const operation = await ended(host, operationId)
    expect(operation).toMatchObject({ state: { kind: 'done' } })
    expect(host.kept).toEqual([original.id])
    await until(() => original.view().operationId === null)
    await expectRestored(original)
    const trashed = join(bench.dataDir, 'trash', original.id, `${before.disks[0]?.top}.qcow2`)
    expect((await checkImage(trashed)).sound).toBe(true)
  })

  it('goes on getting its disk after this program was ended and started again', async () => {
    // Nothing of the disk arrives at first.
    const real = desk.current
    const { operationId, guestId } = await host.restores.restore(kept.id, 'copy')
    await until(() => host.guests.get(guestId).record.restore?.memory === 'here', 30_000)
    host.restores.close()
    host.guests.release()
    await real.close()
    const left = host.store.state.operations.find(({ id }) => id === operationId)
    await openVault()
    await startHost()
    const copy = host.guests.get(guestId)
    expect(copy.state).toEqual({ kind: 'running' })
    if (left?.state.kind === 'running') expect(copy.record.restore?.disks).toEqual(['disk0'])
    await host.restores.takeUp()
    expect(copy.view().operationId).not.toBeNull()
    await desk.current.open({ kind: 'folder', path: join(bench.dir, 'place') }, folders, { vaultKey })
    // QEMU looks for its server ever less often, every 16 s in the end.
    await until(() => copy.record.restore === undefined, 60_000)
    await until(() => copy.view().operationId === null)
    await expectRestored(copy)
    await expectCleanDisk(copy)
    await host.guests.remove(guestId)
  }, 100_000)

  it('that was kept switched off comes back switched off, and starts', async () => {
    original = host.guests.get(original.id)
    await host.guests.act(original.id, 'forceOff')
    const id = await keep(original)
    const { operationId, guestId } = await host.restores.restore(id, 'copy')
    expect(await ended(host, operationId)).toMatchObject({ state: { kind: 'done' } })
    const copy = host.guests.get(guestId)
    await until(() => copy.view().operationId === null)
    expect(copy.state).toEqual({ kind: 'stopped' })
    expect(await checkImage(copy.topPath('disk0'))).toMatchObject({ clean: true })
    await host.guests.act(guestId, 'start')
    await (await witnessOf(copy)).waitForTicks(20, 40_000)
    await host.guests.act(guestId, 'forceOff')
  })
})

/** A real move between two real docks when a disk is full or memory is short: refused or undone by name, and clean. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { MigrationCheck } from '../../../shared/models/migration.ts'
import type { Operation } from '../../../shared/models/operation.ts'
import type { DockProcess } from '../../testing/dock-process.ts'
import { FaultRig } from '../../testing/fault-rig.ts'
import { ProcessorWaits } from '../../testing/processor-waits.ts'
import { mountsAllowed, SmallDisk } from '../../testing/small-disk.ts'
import { memoryFreeBytes } from '../memory.ts'
import type { FaultPoint } from './faults.ts'

const mebibyte = 1024 ** 2
/** "Runs on within a second." */
const withinMs = 1000
const canMount = await mountsAllowed()
if (!canMount)
  process.stderr.write('Full disks are not tested: this user may not mount a file system here.\n')

let rig: FaultRig
/** Everything that the destination keeps, and the journals of the source. */
let diskThere: SmallDisk | null = null
let journalsHere: SmallDisk | null = null

beforeAll(async () => {
  rig = await FaultRig.create({ beforeStart: canMount ? mountSmallDisks : async () => undefined })
}, 120_000)
afterAll(async () => {
  await diskThere?.unmount()
  await journalsHere?.unmount()
  await rig?.destroy()
}, 60_000)

async function mountSmallDisks({ laptop, pc }: FaultRig): Promise<void> {
  diskThere = await SmallDisk.mount(pc.dataDir, 320 * mebibyte)
  journalsHere = await SmallDisk.mount(join(laptop.dataDir, 'journal'), 64 * 1024)
}

/** Files that hold a part of something that did not arrive. */
async function halves(dock: DockProcess): Promise<string[]> {
  const files = await readdir(dock.dataDir, { recursive: true })
  return files.filter((name) => /\.(partial|part|tmp)$/.test(name))
}

async function check(guestId: string): Promise<MigrationCheck> {
  await rig.joined()
  const [fromDockId, toDockId] = await Promise.all([rig.laptop.dockId(), rig.pc.dockId()])
  return await rig.laptop.client.migrations.check({ guestId, fromDockId, toDockId })
}

async function moveAway(guestId: string): Promise<Operation> {
  const [fromDockId, toDockId] = await Promise.all([rig.laptop.dockId(), rig.pc.dockId()])
  const request = { guestId, fromDockId, toDockId }
  const { operationId } = await rig.laptop.client.migrations.start(request)
  return await rig.laptop.operationEnd(operationId)
}

/** The guest is where it was, whole, and nothing of it is on the other dock. */
async function expectStayed(): Promise<void> {
  expect(await rig.traces(rig.pc)).toEqual([])
  expect(await halves(rig.pc)).toEqual([])
  expect(await rig.ills(rig.laptop)).toEqual([])
  const witness = await rig.laptop.witness(rig.guestId)
  expect(await witness.check()).toMatchObject({ lost: 0, torn: 0, memoryIntact: true })
  witness.close()
}

describe.skipIf(!canMount)('a full disk (needs mounts)', () => {
  it('is seen by the check, and a move is refused, before anything is sent', async () => {
    await diskThere?.fill()
    const { blockers, estimate } = await check(rig.guestId)
    expect(blockers.map(({ code }) => code)).toEqual(['migration.disk_short'])
    expect(blockers[0]?.fix).toBe('Free some space on Tower.')
    expect(estimate).toBeNull()
    const { state } = await moveAway(rig.guestId)
    expect(state).toMatchObject({ kind: 'failed', error: { code: 'migration.blocked' } })
    await diskThere?.free()
    await expectStayed()
    expect((await check(rig.guestId)).blockers).toEqual([])
  })

  it('where the source keeps its journal: the move is refused, and nothing is begun there', async () => {
    await journalsHere?.fill()
    const { state } = await moveAway(rig.guestId)
    await journalsHere?.free()
    expect(state).toMatchObject({ kind: 'failed', error: { code: 'host.disk_full' } })
    await expectStayed()
  })

  /**
   * The space goes when every check has found enough of it, at `point`. @param goesOn false holds the move there until
   * it ends by itself
   */
  async function fillAt(point: FaultPoint, leftBytes: number, goesOn: boolean): Promise<Operation['state']> {
    const { laptop, pc, guestId } = rig
    const witness = await laptop.witness(guestId)
    const waits = new ProcessorWaits()
    try {
      await witness.waitForTicks(3)
      await rig.hold(laptop, point)
      const operationId = await rig.begin(laptop, pc)
      await rig.held(laptop, point)
      const filledAtMs = performance.now()
      await diskThere?.fill(leftBytes)
      if (goesOn) await rig.release(laptop, point)
      const { state } = await laptop.operationEnd(operationId, 30_000)
      await witness.waitForTicks(5)
      const stood = witness
        .gaps(filledAtMs)
        .map(({ fromMs, lengthMs }) => lengthMs - waits.betweenMs(fromMs, fromMs + lengthMs))
      expect(Math.max(...stood)).toBeLessThan(withinMs)
      return state
    } finally {
      waits.end()
      await rig.release(laptop, point)
      await diskThere?.free()
      witness.close()
    }
  }

  it.each([
    ['a disk layer', mebibyte],
    ['a boot file', 6 * mebibyte],
  ])('in the middle of %s ends the move by name; the guest runs on', async (_what, leftBytes) => {
    const state = await fillAt('copying-layers', leftBytes, true)
    expect(state).toMatchObject({ kind: 'failed', error: { code: 'migration.failed_there' } })
    const error = state.kind === 'failed' ? state.error : null
    expect(error?.message).toMatch(/^Tower could not take Demo: The disk that holds .* is full\.$/)
    expect(error?.fix).toContain('Free some space')
    await expectStayed()
  })

  it.each<[when: string, point: FaultPoint, goesOn: boolean]>([
    ['before the disk is mirrored', 'launched', true],
    ['while each write of the guest goes to both disks', 'mirroring-disk', false],
  ])('%s ends the move by name; the guest runs on', async (_when, point, goesOn) => {
    const state = await fillAt(point, 0, goesOn)
    expect(state).toMatchObject({ kind: 'failed', error: { code: 'disk.mirror_full' } })
    await expectStayed()
  })

  it('that is not full any more takes the guest, without pages, for which it has no room', async () => {
    rig.transfer = 'pages'
    const { work } = await rig.move(rig.laptop, rig.pc)
    expect(work).toMatchObject({ kind: 'migration', transfer: 'plain' })
    rig.transfer = 'auto'
    expect(await rig.traces(rig.laptop)).toEqual([])
    expect(await rig.ills(rig.pc)).toEqual([])
    await rig.move(rig.pc, rig.laptop)
    await expectStayed()
  })
})

describe.skipIf(!canMount)('a disk that fills under a running guest (needs mounts)', () => {
  /** The guest runs on the small disk. @returns once QEMU has stopped it */
  async function standsStill(): Promise<void> {
    const { guests } = await rig.pc.until(
      'the guest stands still',
      (state) => state.guests.some(({ state: { kind } }) => kind === 'paused'),
      30_000,
    )
    const state = guests.find(({ id }) => id === rig.guestId)?.state
    expect(state).toMatchObject({ kind: 'paused', reason: { code: 'guest.disk_full' } })
  }

  it('pauses it, and says why until there is space and it is resumed; it loses nothing', async () => {
    const { laptop, pc, guestId } = rig
    await rig.move(laptop, pc)
    await diskThere?.fill()
    await standsStill()
    // Without more space it does not get far.
    await pc.client.guests.resume({ guestId })
    await standsStill()
    // A host needs some space for itself to start.
    await diskThere?.fill(512 * 1024)
    await pc.kill()
    await pc.start()
    await standsStill()
    await diskThere?.free()
    const { state } = await pc.client.guests.resume({ guestId })
    expect(state).toEqual({ kind: 'running' })
    expect(await rig.ills(pc)).toEqual([])
    await rig.move(pc, laptop)
    await expectStayed()
  })
})

describe('memory that is short', () => {
  it('is seen by the check, and a move is refused, until there is enough of it', async () => {
    const { laptop } = rig
    // It fits with room to spare; then a program takes so much that it does not. What others use meanwhile varies.
    const freeMebibytes = (await memoryFreeBytes()) / mebibyte
    const roomMebibytes = Math.min(1024, freeMebibytes / 6)
    const guestId = await pausedGuest(Math.floor(freeMebibytes - 2 * roomMebibytes) * mebibyte)
    const hog = await hold(Math.floor(3 * roomMebibytes) * mebibyte)
    try {
      const { blockers } = await check(guestId)
      expect(blockers.map(({ code }) => code)).toEqual(['migration.memory_short'])
      expect(blockers[0]?.message).toMatch(/^Tower has .* of memory free; Big needs .*\.$/)
      expect(blockers[0]?.fix).toBe('Close programs or stop guests on Tower.')
      const { state } = await moveAway(guestId)
      expect(state).toMatchObject({ kind: 'failed', error: { code: 'migration.blocked' } })
      expect((await laptop.guest(guestId))?.state.kind).toBe('paused')
      expect(await rig.pc.guest(guestId)).toBeUndefined()
    } finally {
      await hog.release()
    }
    expect((await check(guestId)).blockers).toEqual([])
    await laptop.client.guests.forceOff({ guestId })
    await expectStayed()
  })

  it('counts what a guest that is on its way there will take: two that fit one by one do not come at once', async () => {
    const { laptop } = rig
    const memoryBytes = Math.floor(((await memoryFreeBytes()) / mebibyte) * 0.6) * mebibyte
    const guestId = await pausedGuest(memoryBytes, 'First')
    const secondId = await pausedGuest(memoryBytes, 'Second')
    expect((await check(secondId)).blockers).toEqual([])
    await rig.hold(laptop, 'launched')
    const [fromDockId, toDockId] = await Promise.all([laptop.dockId(), rig.pc.dockId()])
    const { operationId } = await laptop.client.migrations.start({ guestId, fromDockId, toDockId })
    await rig.held(laptop, 'launched')
    const { blockers } = await check(secondId)
    expect(blockers.map(({ code }) => code)).toEqual(['migration.memory_short'])
    await laptop.client.operations.cancel({ operationId })
    expect((await laptop.operationEnd(operationId)).state.kind).toBe('cancelled')
    await rig.release(laptop, 'launched')
    expect((await check(secondId)).blockers).toEqual([])
    for (const id of [guestId, secondId]) await laptop.client.guests.forceOff({ guestId: id })
    await expectStayed()
  })

  /** A guest that has touched next to nothing of its memory. */
  async function pausedGuest(memoryBytes: number, name = 'Big'): Promise<string> {
    const { laptop } = rig
    const source = { kind: 'demo' } as const
    const wanted = { name, source, cores: 1, memoryBytes, network: 'none' } as const
    const { guestId, operationId } = await laptop.client.guests.create(wanted)
    if (operationId !== null) await laptop.operationEnd(operationId)
    await laptop.client.guests.start({ guestId })
    await laptop.client.guests.pause({ guestId })
    return guestId
  }
})

/** A program that keeps so much memory in use. */
async function hold(bytes: number): Promise<{ release(): Promise<void> }> {
  const script = `globalThis.held = Buffer.alloc(${bytes}, 1); process.stdout.write('.'); setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  return {
    release: async () => {
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    },
  }
}

/** A real move between two real docks is struck at every phase: by death, a pulled cable, and second thoughts. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { DockProcess } from '../../testing/dock-process.ts'
import { FaultRig, type RealBlow } from '../../testing/fault-rig.ts'
import { namespacesAllowed } from '../../testing/namespaces.ts'
import type { FaultPoint } from './faults.ts'

const cable = await namespacesAllowed()
/** "Runs on within a second", and what a busy test machine adds. */
const withinMs = 1000

async function trashOf(dock: DockProcess): Promise<string[]> {
  return await readdir(join(dock.dataDir, 'trash')).catch(() => [])
}

type Case = [point: FaultPoint, blow: RealBlow, code: string]

const cases: Case[] = [
  ['copying-layers', 'kill the host there', 'migration.link_lost'],
  ['mirroring-disk', 'kill the QEMU there', 'migration.destination_died'],
  ['copying-memory', 'kill the QEMU there', 'migration.destination_died'],
  ['guest-stopped', 'kill the host there', 'migration.link_lost'],
  ['guest-stopped', 'kill the QEMU there', 'migration.destination_died'],
  ['loaded', 'kill the QEMU there', 'migration.destination_died'],
  ['mirroring-disk', 'stop the host there', 'migration.link_lost'],
  ['launched', 'cancel', 'cancelled'],
  ['loaded', 'cancel', 'cancelled'],
]

const cableCases: Case[] = [
  ['mirroring-disk', 'cut the link', 'migration.link_lost'],
  ['guest-stopped', 'cut the link', 'migration.link_lost'],
]

describe('a move that is struck', () => {
  let rig: FaultRig

  beforeAll(async () => {
    rig = await FaultRig.create()
  }, 120_000)
  afterAll(async () => await rig?.destroy(), 60_000)
  // The next test wants a guest that runs on the laptop, whatever has become of this one.
  afterEach(async ({ task }) => {
    if (task.result?.state !== 'fail') return
    const story = await rig.story()
    await rig.destroy()
    rig = await FaultRig.create()
    throw new Error(`What the docks said of it:\n${story}`)
  }, 120_000)

  async function expectStays(point: FaultPoint, blow: RealBlow, code: string): Promise<void> {
    const { operation, resumedAfterMs } = await rig.strike(point, blow)
    const state = operation?.state
    expect(state?.kind === 'failed' ? state.error.code : state?.kind).toBe(code)
    expect(resumedAfterMs).toBeLessThan(withinMs)
    await rig.repair()
    expect(await rig.traces(rig.pc)).toEqual([])
    expect(await rig.ills(rig.laptop)).toEqual([])
  }

  /** In the history of both docks, and on no screen that nobody knows. */
  async function expectTold(outcome: 'done' | 'failed'): Promise<void> {
    for (const dock of [rig.laptop, rig.pc]) {
      await dock.until('it tells how the move ended', ({ migrations, operations }) => {
        const open = operations.some(
          ({ state }) => state.kind === 'failed' && state.error.code === 'migration.unsettled',
        )
        return migrations[0]?.outcome.kind === outcome && !open
      })
    }
  }

  /** Waits until the guest stands at `dock` for a decision. @returns its migration */
  async function unsettledAt(dock: DockProcess): Promise<string> {
    const { guests } = await dock.until('it waits', (state) =>
      state.guests.some((guest) => guest.state.kind === 'unsettled'),
    )
    const state = guests.find((guest) => guest.id === rig.guestId)?.state
    return state?.kind === 'unsettled' ? state.migrationId : ''
  }

  /** The source has given the guest away, and the host there dies before it hears so. @returns the migration */
  async function loseTheOtherSideAtTheCommit(): Promise<string> {
    const { laptop, pc } = rig
    await rig.hold(laptop, 'given-away')
    const operationId = await rig.begin(laptop, pc)
    await rig.held(laptop, 'given-away')
    await pc.kill()
    await rig.release(laptop, 'given-away')
    await laptop.operationEnd(operationId)
    return operationId
  }

  it.each(cases)('at %s by: %s; the guest runs on and nothing is left there', async (...one) => {
    rig.transfer = 'pages'
    await expectStays(...one).finally(() => {
      rig.transfer = 'auto'
    })
  })

  it.skipIf(!cable).each(cableCases)(
    'at %s by: %s; the guest runs on and nothing is left there (needs network namespaces)',
    expectStays,
  )

  it.each<FaultPoint>(['mirroring-disk', 'loaded'])(
    'the source host is killed at %s: its next start finds the guest and settles the move',
    async (point) => {
      await rig.strike(point, 'kill the host here')
      await rig.repair()
      expect(await rig.ills(rig.laptop)).toEqual([])
      expect(await rig.traces(rig.pc)).toEqual([])
    },
  )

  it('the source host ends in order in mid-move: the guest runs on without it', async () => {
    await rig.strike('guest-stopped', 'stop the host here')
    const witness = await rig.laptop.witness(rig.guestId)
    await witness.waitForTicks(5)
    witness.close()
    await rig.repair()
    expect(await rig.ills(rig.laptop)).toEqual([])
    expect(await rig.traces(rig.pc)).toEqual([])
  })

  it('the commit is lost with the source host: both stand still, and settle when they meet', async () => {
    await rig.strike('given-away', 'kill the host here')
    await rig.pc.until('it waits', ({ guests }) => guests.some((guest) => guest.state.kind === 'unsettled'))
    await rig.repair()
    expect(await rig.traces(rig.laptop)).toEqual([])
    expect(await rig.ills(rig.pc)).toEqual([])
    await expectTold('done')
    await rig.move(rig.pc, rig.laptop)
  })

  it('the answer to the commit is lost with the destination host: it runs there, once', async () => {
    const { laptop, pc } = rig
    await rig.hold(pc, 'committed')
    const operationId = await rig.begin(laptop, pc)
    await rig.held(pc, 'committed')
    await pc.kill()
    await rig.release(pc, 'committed')
    const { state } = await laptop.operationEnd(operationId)
    expect(state).toMatchObject({ kind: 'failed', error: { code: 'migration.unsettled' } })
    expect((await laptop.guest(rig.guestId))?.state.kind).toBe('unsettled')
    await rig.repair()
    expect(await rig.traces(laptop)).toEqual([])
    expect(await rig.ills(pc)).toEqual([])
    await expectTold('done')
    await rig.move(pc, laptop)
  })

  it('a person decides that it runs here: the other side lets go when they meet', async () => {
    const { laptop, pc } = rig
    const migrationId = await loseTheOtherSideAtTheCommit()
    await laptop.client.migrations.settle({ migrationId, choice: 'run-here' })
    expect(await rig.ills(laptop)).toEqual([])
    await rig.repair()
    expect(await rig.traces(pc)).toEqual([])
    expect(await rig.ills(laptop)).toEqual([])
    await expectTold('failed')
  })

  it('a person gives it up there: the source runs on with it when they meet', async () => {
    const { laptop, pc } = rig
    await rig.strike('given-away', 'kill the host here')
    const migrationId = await unsettledAt(pc)
    await pc.client.migrations.settle({ migrationId, choice: 'give-up-here' })
    expect(await rig.traces(pc)).toEqual([])
    expect(await trashOf(pc)).toContain(rig.guestId)
    await rig.repair()
    expect(await rig.ills(laptop)).toEqual([])
    expect(await rig.traces(pc)).toEqual([])
  })

  it('a person gives it up at the source, whose host is started again: it runs there when they meet', async () => {
    const { laptop, pc } = rig
    const migrationId = await loseTheOtherSideAtTheCommit()
    await laptop.client.migrations.settle({ migrationId, choice: 'give-up-here' })
    expect(await laptop.guest(rig.guestId)).toBeUndefined()
    await laptop.kill()
    await rig.repair()
    expect(await rig.ills(pc)).toEqual([])
    expect(await rig.traces(laptop)).toEqual([])
    await rig.move(pc, laptop)
  })

  it('a person takes back that it was given up at the source: it waits to be settled again', async () => {
    const { laptop, pc, guestId } = rig
    const migrationId = await loseTheOtherSideAtTheCommit()
    await laptop.client.migrations.settle({ migrationId, choice: 'give-up-here' })
    const back = await laptop.client.guests.undoRemove({ guestId })
    expect(back.state).toMatchObject({ kind: 'unsettled', migrationId })
    await rig.repair()
    expect(await rig.ills(pc)).toEqual([])
    expect(await rig.traces(laptop)).toEqual([])
    await rig.move(pc, laptop)
  })

  it('a person decides that it runs there: the source lets go when they meet', async () => {
    const { laptop, pc } = rig
    await rig.strike('given-away', 'kill the host here')
    const migrationId = await unsettledAt(pc)
    await pc.client.migrations.settle({ migrationId, choice: 'run-here' })
    const secondThoughts = pc.client.migrations.settle({ migrationId, choice: 'give-up-here' })
    await expect(secondThoughts).rejects.toMatchObject({ code: 'migration.not_found' })
    await rig.repair()
    expect(await rig.traces(laptop)).toEqual([])
    expect(await rig.ills(pc)).toEqual([])
  })

  it('a paused guest arrives paused, and has lost no record and no byte of memory through all of it', async () => {
    const { laptop, pc, guestId } = rig
    await pc.client.guests.pause({ guestId })
    await rig.move(pc, laptop)
    expect((await laptop.guest(guestId))?.state.kind).toBe('paused')
    await laptop.client.guests.resume({ guestId })
    expect(await rig.ills(laptop)).toEqual([])
    const witness = await laptop.witness(guestId)
    expect(await witness.check()).toMatchObject({ lost: 0, torn: 0, memoryIntact: true })
    witness.close()
    expect(await rig.traces(pc)).toEqual([])
  })

  it('a person gives it up at the source, and then it is lost there: it is in the trash there, and off here', async () => {
    const { laptop, pc, guestId } = rig
    const migrationId = await loseTheOtherSideAtTheCommit()
    await laptop.client.migrations.settle({ migrationId, choice: 'give-up-here' })
    expect(await trashOf(laptop)).toContain(guestId)
    process.kill((await pc.qemuPid(guestId)) ?? 0, 'SIGKILL')
    await rig.repair()
    const { guests } = await laptop.until('it is back', (state) =>
      state.guests.some(({ id, state }) => id === guestId && state.kind === 'stopped'),
    )
    expect(guests).toHaveLength(1)
    expect(await rig.traces(pc)).toEqual([])
    const trashed = await readdir(join(pc.dataDir, 'trash', guestId))
    expect(trashed).toContain('guest.json')
    expect(trashed.filter((name) => name.endsWith('.qcow2'))).toHaveLength(1)
    await expectTold('failed')
    await rig.bootAnew(laptop)
    expect(await rig.ills(laptop)).toEqual([])
  })

  it('the pairing ends in mid-move: the guest stays, and nothing is left there', async () => {
    const { laptop, pc } = rig
    await rig.hold(laptop, 'copying-memory')
    const operationId = await rig.begin(laptop, pc)
    await rig.held(laptop, 'copying-memory')
    await pc.client.docks.unpair({ dockId: await laptop.dockId() })
    const { state } = await laptop.operationEnd(operationId)
    await rig.release(laptop, 'copying-memory')
    expect(state).toMatchObject({ kind: 'failed', error: { code: 'migration.link_lost' } })
    expect(await rig.traces(pc)).toEqual([])
    expect(await rig.ills(laptop)).toEqual([])
  })
})

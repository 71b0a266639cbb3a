/** A guest goes over before its memory and is struck while the rest follows: by death and by a pulled cable. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { probeQemu } from '../../qemu/capabilities.ts'
import { probePostCopy } from '../../qemu/post-copy-probe.ts'
import type { DockProcess } from '../../testing/dock-process.ts'
import { FaultRig } from '../../testing/fault-rig.ts'
import { namespacesAllowed } from '../../testing/namespaces.ts'

const cable = await namespacesAllowed()
const cannot = (await probePostCopy(await probeQemu())) !== null

/** What is left after a round does not fit into any pause, and takes seconds to be asked for page by page. */
const load = 'dirty 60 2'

describe.skipIf(cannot)('a move that ends with post-copy', () => {
  let rig: FaultRig

  beforeAll(async () => {
    rig = await FaultRig.create()
    rig.switchover = 'post-copy'
    await ask(rig.laptop, load)
  }, 180_000)
  afterAll(async () => await rig?.destroy(), 60_000)
  afterEach(async ({ task }) => {
    if (task.result?.state !== 'fail') return
    const story = await rig.story()
    throw new Error(`What the docks said of it:\n${story}`)
  }, 120_000)

  async function ask(dock: DockProcess, command: string): Promise<string> {
    const witness = await dock.witness(rig.guestId)
    try {
      await witness.waitForTicks(1, 60_000)
      return await witness.ask(command, 60_000)
    } finally {
      witness.close()
    }
  }

  async function expectIntact(dock: DockProcess): Promise<void> {
    expect(await rig.ills(dock)).toEqual([])
    const witness = await dock.witness(rig.guestId)
    await witness.waitForTicks(1, 60_000)
    expect(await witness.check(60_000)).toMatchObject({
      lost: 0,
      torn: 0,
      memoryIntact: true,
      memoryErrors: 0,
    })
    witness.close()
  }

  /** Begins a move and stops it when the guest runs on the tower, which lacks most of what it changes. */
  async function beginAndHold(): Promise<string> {
    await rig.hold(rig.laptop, 'fetching')
    const operationId = await rig.begin(rig.laptop, rig.pc)
    await rig.held(rig.laptop, 'fetching')
    return operationId
  }

  async function waitsAt(dock: DockProcess): Promise<void> {
    await dock.until('it waits for the link', ({ operations }) =>
      operations.some(({ state, work }) => {
        return state.kind === 'running' && work.kind === 'migration' && work.phase === 'waiting-for-link'
      }),
    )
  }

  /** It has arrived with everything, and goes home for the next test. */
  async function expectArrived(): Promise<void> {
    const { laptop, pc } = rig
    await laptop.until(
      'it is gone',
      ({ guests, info }) => guests.every((guest) => guest.dockId !== info.dockId),
      60_000,
    )
    await expectIntact(pc)
    expect(await rig.traces(laptop)).toEqual([])
    for (const dock of [laptop, pc]) {
      await dock.until('it tells that it arrived', ({ migrations, operations }) => {
        const open = operations.some(({ state }) => state.kind === 'running')
        return migrations[0]?.outcome.kind === 'done' && !open
      })
    }
    await rig.move(pc, laptop)
    await ask(laptop, load)
  }

  /** Its memory is lost, and it boots from its disk on the tower; it goes home for the next test. */
  async function expectLost(): Promise<void> {
    const { laptop, pc } = rig
    for (const dock of [laptop, pc]) {
      await dock.until('it tells that memory is lost', ({ migrations: [newest] }) => {
        return newest?.outcome.kind === 'failed' && newest.outcome.error.code === 'migration.memory_lost'
      })
    }
    const guest = await pc.guest(rig.guestId)
    expect(guest?.state).toMatchObject({ kind: 'failed', error: { code: 'migration.memory_lost' } })
    expect(await rig.traces(laptop)).toEqual([])
    await rig.bootAnew(pc)
    await expectIntact(pc)
    await rig.move(pc, laptop)
    await ask(laptop, load)
  }

  it('arrives whole, and both docks tell that it was used', async () => {
    const { laptop, pc } = rig
    const operation = await rig.move(laptop, pc)
    expect(operation.work).toMatchObject({ switchover: 'post-copy', transfer: 'plain' })
    await expectIntact(pc)
    expect(await rig.traces(laptop)).toEqual([])
    for (const dock of [laptop, pc]) expect((await dock.state()).migrations[0]?.switchover).toBe('post-copy')
    await rig.move(pc, laptop)
    await expectIntact(laptop)
    await ask(laptop, load)
  })
  it('can be cancelled while memory is copied, and not once it runs there; nor can it move on before it is whole', async () => {
    const { laptop, pc } = rig
    const { operation } = await rig.strike('copying-memory', 'cancel')
    expect(operation?.state.kind).toBe('cancelled')
    expect(await rig.traces(pc)).toEqual([])
    const operationId = await beginAndHold()
    await expect(laptop.client.operations.cancel({ operationId })).rejects.toMatchObject({
      code: 'migration.too_late_to_cancel',
    })
    await expect(rig.begin(pc, laptop)).rejects.toMatchObject({ code: 'guest.busy' })
    expect((await laptop.guest(rig.guestId))?.state).toMatchObject({ kind: 'leaving' })
    await rig.release(laptop, 'fetching')
    expect((await laptop.operationEnd(operationId)).state.kind).toBe('done')
    await expectArrived()
  })

  it('runs on at the source when the QEMU there dies before the handover', async () => {
    const { operation } = await rig.strike('loaded', 'kill the QEMU there')
    expect(operation?.state).toMatchObject({ kind: 'failed', error: { code: 'migration.destination_died' } })
    await expectIntact(rig.laptop)
    expect(await rig.traces(rig.pc)).toEqual([])
  })

  it.skipIf(!cable)('runs on at the source when the link breaks before the handover', async () => {
    const { operation } = await rig.strike('loaded', 'cut the link')
    expect(operation?.state).toMatchObject({ kind: 'failed', error: { code: 'migration.link_lost' } })
    await rig.repair()
    await expectIntact(rig.laptop)
    expect(await rig.traces(rig.pc)).toEqual([])
  })

  it.skipIf(!cable)('waits for a link that breaks, and goes on by itself', async () => {
    const { laptop, pc } = rig
    const operationId = await beginAndHold()
    await rig.cut()
    await rig.release(laptop, 'fetching')
    await Promise.all([waitsAt(laptop), waitsAt(pc)])
    await rig.repair()
    expect((await laptop.operationEnd(operationId)).state.kind).toBe('done')
    await expectArrived()
  })

  it('goes on when the host there was killed and is back', async () => {
    const { laptop, pc } = rig
    const operationId = await beginAndHold()
    await pc.kill()
    await rig.release(laptop, 'fetching')
    await waitsAt(laptop)
    await rig.repair()
    expect((await laptop.operationEnd(operationId)).state.kind).toBe('done')
    await expectArrived()
  })

  it('goes on when the host here was killed and is back', async () => {
    const { laptop, pc } = rig
    await beginAndHold()
    await laptop.kill()
    await rig.release(laptop, 'fetching')
    await waitsAt(pc)
    await rig.repair()
    await expectArrived()
  })

  it('loses its memory with the QEMU there, and boots from its disk there', async () => {
    const { laptop, pc } = rig
    const operationId = await beginAndHold()
    process.kill((await pc.qemuPid(rig.guestId)) ?? 0, 'SIGKILL')
    await rig.release(laptop, 'fetching')
    const { state } = await laptop.operationEnd(operationId)
    expect(state).toMatchObject({ kind: 'failed', error: { code: 'migration.memory_lost' } })
    await expectLost()
  })

  it('loses its memory with the QEMU here, and boots from its disk there', async () => {
    const { laptop } = rig
    const operationId = await beginAndHold()
    process.kill((await laptop.qemuPid(rig.guestId)) ?? 0, 'SIGKILL')
    await rig.release(laptop, 'fetching')
    const { state } = await laptop.operationEnd(operationId)
    expect(state).toMatchObject({ kind: 'failed', error: { code: 'migration.memory_lost' } })
    await expectLost()
  })
})

/** Two real docks, one of which is kept ready for a guest that runs on the other. */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { HostState } from '../../../../shared/models/host-state.ts'
import type { MigrationResult } from '../../../../shared/models/operation.ts'
import type { WarmState } from '../../../../shared/models/warmth.ts'
import { DockProcess, makeDocksFolder, makePairedDocks } from '../../../testing/dock-process.ts'

describe('a dock that is kept ready', () => {
  let folder: string
  let laptop: DockProcess
  let pc: DockProcess
  let guestId: string
  let boot: string
  let pair: { guestId: string; dockId: string }

  beforeAll(async () => {
    folder = await makeDocksFolder()
    const common = { namespace: null, bindAddress: '127.0.0.1', discovery: false }
    laptop = new DockProcess({ ...common, home: join(folder, 'a'), name: 'Laptop', port: 47437 })
    pc = new DockProcess({ ...common, home: join(folder, 'b'), name: 'This PC', port: 47438 })
    await makePairedDocks(laptop, pc)
    await Promise.all([laptop.start(), pc.start()])
    guestId = await laptop.startDemoGuest('Demo', 256)
    const witness = await laptop.witness(guestId)
    boot = (await witness.waitForTicks(1)).boot
    witness.close()
    pair = { guestId, dockId: await pc.dockId() }
  }, 120_000)

  afterAll(async () => {
    await Promise.all([laptop?.destroy(), pc?.destroy()])
    await rm(folder, { recursive: true, force: true })
  })

  const online = ({ docks }: HostState): boolean => docks.some(({ presence }) => presence.kind === 'online')

  async function joined(): Promise<void> {
    await Promise.all([laptop, pc].map((dock) => dock.until('the other dock', online)))
  }

  function stateIn(state: HostState): WarmState | undefined {
    return state.warmths.find((each) => each.guestId === guestId)?.state
  }

  async function move(from: DockProcess, to: DockProcess): Promise<MigrationResult> {
    const request = { guestId, fromDockId: await from.dockId(), toDockId: await to.dockId() }
    const { operationId } = await from.client.migrations.start({ ...request, transfer: 'pages' })
    const { state, work } = await from.operationEnd(operationId)
    expect(state).toMatchObject({ kind: 'done' })
    if (work.kind !== 'migration' || work.result === null) throw new Error('no result')
    return work.result
  }

  const filesOf = async (dock: DockProcess): Promise<string[]> => {
    const lists = ['layers', 'boot', 'kept', 'visits'].map((name) =>
      readdir(join(dock.dataDir, name)).catch(() => []),
    )
    return (await Promise.all(lists)).flat()
  }

  it('is asked only where a person has allowed it', async () => {
    await joined()
    await expect(laptop.client.warm.now(pair)).rejects.toMatchObject({ code: 'warm.not_allowed' })
    await laptop.client.warm.allow({ dockId: pair.dockId, allowed: true })
    await pc.client.settings.change({ keptMemoryMiB: 0 })
    await expect(laptop.client.warm.now(pair)).rejects.toMatchObject({ code: 'warm.keeps_nothing' })
    expect(stateIn(await laptop.state())).toMatchObject({
      kind: 'waiting',
      reason: { code: 'warm.keeps_nothing' },
    })
    await pc.client.settings.change({ keptMemoryMiB: 4096 })
    expect(await filesOf(pc)).toEqual([])
  })

  /** What a move that has just ended brought is still being kept. */
  async function forgetAll(dock: DockProcess): Promise<void> {
    await dock.until('kept memory', ({ keptMemory }) => keptMemory.guests.length > 0)
    await vi.waitFor(() => dock.client.keptMemory.forgetAll(), { timeout: 10_000 })
  }

  /** Begins to make the dock ready, and waits until a part of memory has crossed. @returns how that ends */
  async function begun(): Promise<{ ended: Promise<unknown> }> {
    const ended = laptop.client.warm.now(pair).catch((error: unknown) => error)
    await laptop.until(
      'warming',
      (state) => {
        const now = stateIn(state)
        return now?.kind === 'warming' && now.percent > 30
      },
      60_000,
    )
    return { ended }
  }

  /** The guest of this boot goes on, and nothing that it holds was damaged. */
  async function expectWell(dock: DockProcess): Promise<void> {
    const witness = await dock.witness(guestId)
    try {
      expect((await witness.waitForTicks(5)).boot).toBe(boot)
      expect(await witness.check()).toMatchObject({ lost: 0, torn: 0, memoryIntact: true, memoryErrors: 0 })
    } finally {
      witness.close()
    }
  }

  it('loses what it had when that is not allowed any more', { timeout: 120_000 }, async () => {
    await laptop.client.warm.now(pair)
    expect(stateIn(await laptop.state())).toMatchObject({ kind: 'ready' })
    await pc.until('what the other says', (state) => stateIn(state)?.kind === 'ready')
    expect((await filesOf(pc)).length).toBeGreaterThan(2)
    await laptop.client.warm.allow({ dockId: pair.dockId, allowed: false })
    expect(await filesOf(pc)).toEqual([])
    expect((await laptop.state()).keptMemory.guests).toEqual([])
    for (const dock of [laptop, pc]) await dock.until('nothing', ({ warmths }) => warmths.length === 0)
    await laptop.client.warm.allow({ dockId: pair.dockId, allowed: true })
  })

  it('loses what it had when a person there forgets it, and the other one hears of it', {
    timeout: 120_000,
  }, async () => {
    await laptop.client.warm.now(pair)
    await pc.client.keptMemory.forget({ guestId })
    expect(await filesOf(pc)).toEqual([])
    for (const dock of [laptop, pc]) await dock.until('nothing', ({ warmths }) => warmths.length === 0)
  })

  it('may end in the middle, and the guest runs on', { timeout: 120_000 }, async () => {
    const first = await begun()
    await pc.kill()
    expect(await first.ended).toMatchObject({ name: 'WdockError' })
    await expectWell(laptop)
    await laptop.until('what is left', (state) => stateIn(state)?.kind === 'waiting')
    await pc.start()
    await joined()
    const second = await begun()
    await pc.client.settings.change({ keptMemoryMiB: 0 })
    expect(await second.ended).toMatchObject({ name: 'WdockError' })
    expect(await filesOf(pc)).toEqual([])
    await pc.client.settings.change({ keptMemoryMiB: 4096 })
  })

  it('gets what it lacks after the host of the guest was killed in the middle', {
    timeout: 180_000,
  }, async () => {
    const killed = await begun()
    await laptop.kill()
    await killed.ended
    await pc.until('nobody there', ({ warmths }) => warmths.length === 0)
    expect(await readdir(join(pc.dataDir, 'visits')).catch(() => [])).toEqual([])
    await laptop.start()
    expect((await laptop.guest(guestId))?.state.kind).toBe('running')
    await joined()
    await expectWell(laptop)
    await laptop.client.warm.now(pair)
    expect(stateIn(await laptop.state())).toMatchObject({ kind: 'ready' })
  })

  it('has what a move needs, so that the first one is a return', { timeout: 180_000 }, async () => {
    const result = await move(laptop, pc)
    expect(result.memoryBytes).toBeLessThan(8e6)
    await expectWell(pc)
    for (const dock of [laptop, pc]) await dock.until('nothing', ({ warmths }) => warmths.length === 0)
    expect((await pc.state()).keptMemory.guests).toHaveLength(1)
    await move(pc, laptop)
    await expectWell(laptop)
  })

  it('waits for nothing where the guest is moved in the middle', { timeout: 180_000 }, async () => {
    for (const dock of [laptop, pc]) await forgetAll(dock)
    const { ended } = await begun()
    await move(laptop, pc)
    expect(await ended).toMatchObject({ code: 'warm.ended' })
    await expectWell(pc)
  })
})

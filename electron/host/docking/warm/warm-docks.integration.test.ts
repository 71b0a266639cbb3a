/** Two real docks, one of which is kept ready for a guest that runs on the other. */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { HostState } from '../../../../shared/models/host-state.ts'
import type { MigrationResult } from '../../../../shared/models/operation.ts'
import type { WarmState } from '../../../../shared/models/warmth.ts'
import { DockProcess, makeDocksFolder, makePairedDocks } from '../../../testing/dock-process.ts'

describe('a dock that is kept ready', () => {
  let folder: string
  let laptop: DockProcess
  let pc: DockProcess
  let guestId: string
  let pair: { guestId: string; dockId: string }

  beforeAll(async () => {
    folder = await makeDocksFolder()
    const common = { namespace: null, bindAddress: '127.0.0.1', discovery: false }
    laptop = new DockProcess({ ...common, home: join(folder, 'a'), name: 'Laptop', port: 47437 })
    pc = new DockProcess({ ...common, home: join(folder, 'b'), name: 'This PC', port: 47438 })
    await makePairedDocks(laptop, pc)
    await Promise.all([laptop.start(), pc.start()])
    guestId = await laptop.startDemoGuest('Demo', 256)
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

  it('has what a move needs, so that the first one is a return', { timeout: 180_000 }, async () => {
    const before = await laptop.witness(guestId)
    await laptop.client.warm.now(pair)
    const check = await before.check()
    before.close()
    expect(stateIn(await laptop.state())).toMatchObject({ kind: 'ready' })
    await pc.until('what the other says', (state) => stateIn(state)?.kind === 'ready')
    expect((await laptop.guest(guestId))?.state.kind).toBe('running')
    const result = await move(laptop, pc)
    expect(result.memoryBytes).toBeLessThan(8e6)
    const after = await pc.witness(guestId)
    const there = await after.check()
    after.close()
    expect(there).toMatchObject({ lost: 0, torn: 0, memoryIntact: true })
    console.log(JSON.stringify({ check, there, result }))
  })
})

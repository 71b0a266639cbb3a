/** What two real docks keep of the memory of a guest that moved between them, and how they are rid of it. */
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { HostState } from '../../../shared/models/host-state.ts'
import { DockProcess, makeDocksFolder, makePairedDocks } from '../../testing/dock-process.ts'

describe('kept memory on two docks', () => {
  let folder: string
  let laptop: DockProcess
  let pc: DockProcess
  let guestId: string

  beforeAll(async () => {
    folder = await makeDocksFolder()
    const common = { namespace: null, bindAddress: '127.0.0.1', discovery: false }
    laptop = new DockProcess({ ...common, home: join(folder, 'a'), name: 'Laptop', port: 47425 })
    pc = new DockProcess({ ...common, home: join(folder, 'b'), name: 'This PC', port: 47426 })
    await makePairedDocks(laptop, pc)
    await Promise.all([laptop.start(), pc.start()])
    guestId = await laptop.startDemoGuest()
  }, 120_000)

  afterAll(async () => {
    await Promise.all([laptop?.destroy(), pc?.destroy()])
    await rm(folder, { recursive: true, force: true })
  })

  async function move(from: DockProcess, to: DockProcess): Promise<void> {
    await from.until('the other dock', (state) => state.docks.some((dock) => dock.presence.kind === 'online'))
    const request = { guestId, fromDockId: await from.dockId(), toDockId: await to.dockId() }
    const { operationId } = await from.client.migrations.start({ ...request, transfer: 'pages' })
    const { state, work } = await from.operationEnd(operationId)
    expect(state.kind).toBe('done')
    expect(work).toMatchObject({ transfer: 'pages' })
  }

  const isKept = ({ keptMemory }: HostState): boolean => keptMemory.guests.length === 1
  const isForgotten = ({ keptMemory }: HostState): boolean => keptMemory.guests.length === 0
  const keptDir = (dock: DockProcess) => join(dock.guestDir(guestId), '..', '..', 'kept')
  const foldersOf = (dock: DockProcess) => readdir(keptDir(dock))

  it('is shown on both by name, forgotten on demand and when less may be kept', {
    timeout: 120_000,
  }, async () => {
    await move(laptop, pc)
    for (const [dock, other] of [
      [laptop, 'This PC'],
      [pc, 'Laptop'],
    ] as const) {
      const { keptMemory, guests } = await dock.until('what was kept', isKept)
      const name = guests.find(({ id }) => id === guestId)?.name
      expect(keptMemory.guests).toMatchObject([{ guestId, guestName: name, dockName: other }])
      expect(keptMemory.totalBytes).toBeGreaterThan(10 * 2 ** 20)
      const note = JSON.parse(await readFile(join(keptDir(dock), guestId, 'note.json'), 'utf8'))
      expect(note).toMatchObject({ guestId, guestName: name })
    }
    await laptop.client.keptMemory.forget({ guestId })
    await pc.client.settings.change({ keptMemoryMiB: 0 })
    expect(isForgotten(await laptop.client.state.get())).toBe(true)
    expect(isForgotten(await pc.client.state.get())).toBe(true)
    expect([...(await foldersOf(laptop)), ...(await foldersOf(pc))]).toEqual([])
    await pc.client.settings.change({ keptMemoryMiB: 4096 })
  })

  it('goes on both when they are paired no more, with the name that it was kept under until then', {
    timeout: 120_000,
  }, async () => {
    await move(pc, laptop)
    await Promise.all([laptop, pc].map((dock) => dock.until('what was kept', isKept)))
    await laptop.stop()
    const { keptMemory } = await pc.until('the guest out of sight', ({ guests }) => guests.length === 0)
    expect(keptMemory.guests).toMatchObject([{ guestId, guestName: expect.any(String), dockName: 'Laptop' }])
    await laptop.start()
    await pc.until('the other dock', ({ docks }) => docks.some(({ presence }) => presence.kind === 'online'))
    await pc.client.docks.unpair({ dockId: await laptop.dockId() })
    await Promise.all([laptop, pc].map((dock) => dock.until('nothing kept', isForgotten)))
    expect([...(await foldersOf(laptop)), ...(await foldersOf(pc))]).toEqual([])
  })
})

/** A real guest moves between two real docks on this machine, and through what can go wrong on the way. */
import { execFile } from 'node:child_process'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DockProcess, makeDocksFolder, makePairedDocks } from '../../testing/dock-process.ts'

const run = promisify(execFile)

describe('a running guest moves between two docks', () => {
  let folder: string
  let laptop: DockProcess
  let pc: DockProcess
  let guestId: string

  beforeAll(async () => {
    folder = await makeDocksFolder()
    const common = { namespace: null, bindAddress: '127.0.0.1', discovery: false }
    laptop = new DockProcess({ ...common, home: join(folder, 'a'), name: 'Laptop', port: 47421 })
    pc = new DockProcess({ ...common, home: join(folder, 'b'), name: 'This PC', port: 47422 })
    await makePairedDocks(laptop, pc)
    await Promise.all([laptop.start(), pc.start()])
    guestId = await laptop.startDemoGuest()
  }, 120_000)

  afterAll(async () => {
    await Promise.all([laptop?.destroy(), pc?.destroy()])
    await rm(folder, { recursive: true, force: true })
  })

  /** Moves the guest by a click on `clicker`. @returns the ended operation */
  async function move(clicker: DockProcess, from: DockProcess, to: DockProcess) {
    await clicker.until('the other dock', (state) =>
      state.docks.some((dock) => dock.presence.kind === 'online'),
    )
    const request = { guestId, fromDockId: await from.dockId(), toDockId: await to.dockId() }
    const { operationId } = await clicker.client.migrations.start(request)
    return await clicker.operationEnd(operationId)
  }

  it('keeps its boot, memory, disk and ticks, there and back, whoever clicks', {
    timeout: 120_000,
  }, async () => {
    const before = await laptop.witness(guestId)
    const first = await before.waitForTicks(5)
    before.close()
    const there = await move(pc, laptop, pc)
    expect(there.state.kind).toBe('done')
    const onPc = await pc.witness(guestId)
    const tick = await onPc.waitForTicks(5)
    expect(tick.boot).toBe(first.boot)
    expect(tick.tick).toBeGreaterThan(first.tick)
    const checked = await onPc.check()
    expect(checked).toMatchObject({ lost: 0, torn: 0, memoryIntact: true })
    onPc.close()
    expect(await laptop.guest(guestId)).toBeUndefined()
    const back = await move(pc, pc, laptop)
    expect(back.state.kind).toBe('done')
    const again = await laptop.witness(guestId)
    expect((await again.waitForTicks(5)).boot).toBe(first.boot)
    expect(await again.check()).toMatchObject({ lost: 0, torn: 0, memoryIntact: true })
    again.close()
    const tops = await readdir(laptop.guestDir(guestId))
    const top = tops.find((name) => name.endsWith('.qcow2')) ?? ''
    await run('qemu-img', ['check', '-U', join(laptop.guestDir(guestId), top)])
  })
})

/**
 * A checkpoint that was made under the QEMU of this PC comes back on a PC with a newer one. `WDOCK_NEWER_QEMU` names the
 * folder with the programs of that one (an unpacked package of a later Debian will do).
 */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DockProcess, makeDocksFolder } from '../../testing/dock-process.ts'
import type { WitnessReader } from '../../testing/witness.ts'

const newer = process.env.WDOCK_NEWER_QEMU

let folder: string
let here: DockProcess
let there: DockProcess
let witness: WitnessReader

beforeAll(async () => {
  if (newer === undefined) throw new Error('WDOCK_NEWER_QEMU names the folder of a newer QEMU’s programs')
  folder = await makeDocksFolder()
  const dock = (name: string, env: Record<string, string>): DockProcess =>
    new DockProcess({
      ...{ home: join(folder, name), name, env },
      ...{ port: 0, namespace: null, bindAddress: '127.0.0.1', discovery: false },
    })
  here = dock('older', {})
  there = dock('newer', { PATH: `${newer}:${process.env.PATH}` })
  await Promise.all([here.start(), there.start()])
}, 60_000)

afterAll(async () => {
  witness?.close()
  await Promise.all([here?.destroy(), there?.destroy()])
  if (folder !== undefined) await rm(folder, { recursive: true, force: true, maxRetries: 5 })
})

const version = async (dock: DockProcess): Promise<number> => {
  const state = await dock.until('what QEMU can do', ({ docks }) =>
    docks.some(({ presence, capabilities }) => presence.kind === 'here' && capabilities !== null),
  )
  const own = state.docks.find(({ presence }) => presence.kind === 'here')
  return Number.parseFloat(own?.capabilities?.qemuVersion ?? '')
}

describe('a checkpoint under an older QEMU', () => {
  it('goes on from its instant under a newer one, whole, while the guest itself is not disturbed', async () => {
    expect(await version(there)).toBeGreaterThan(await version(here))
    const guestId = await here.startDemoGuest('Demo', 256)
    const place = { kind: 'folder', path: join(folder, 'vault') } as const
    await mkdir(place.path)
    const { phrase } = await here.client.vault.create(place)
    await here.client.checkpoints.make({ guestId, label: {} })
    const kept = await here.until('the checkpoint', ({ checkpoints }) =>
      checkpoints.some((each) => each.place.kind === 'vault'),
    )
    const checkpointId = kept.checkpoints[0]?.id ?? expect.fail('none')
    await there.client.vault.open({ place, phrase })
    await there.until('the list', ({ checkpoints }) => checkpoints.some(({ id }) => id === checkpointId))
    const { operationId, guestId: copyId } = await there.client.checkpoints.restore({
      checkpointId,
      as: 'copy',
    })
    expect((await there.operationEnd(operationId)).state).toMatchObject({ kind: 'done' })
    const original = await here.witness(guestId)
    const { boot } = await original.waitForTicks(5)
    expect(await original.check()).toMatchObject({ lost: 0, torn: 0, memoryIntact: true })
    original.close()
    witness = await there.witness(copyId)
    expect((await witness.waitForTicks(20)).boot).toBe(boot)
    expect(await witness.check()).toMatchObject({ lost: 0, torn: 0, memoryIntact: true, memoryErrors: 0 })
  }, 180_000)
})

/** Checkpoints as a person makes them: a real host, a real guest, a real vault in a folder, asked over the contract. */
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Checkpoint, defaultCheckpointRules } from '../../../shared/models/checkpoint.ts'
import type { HostState } from '../../../shared/models/host-state.ts'
import { hasDemoGuest } from '../../qemu/test-guests.ts'
import { DockProcess, makeDocksFolder } from '../../testing/dock-process.ts'
import type { WitnessReader } from '../../testing/witness.ts'

let folder: string
let dock: DockProcess
let guestId: string
let witness: WitnessReader
let phrase: string
const place = () => ({ kind: 'folder', path: join(folder, 'vault') }) as const

async function stateWhere(
  holds: (state: HostState) => boolean,
  what: string,
  withinMs = 20_000,
): Promise<HostState> {
  for (const endMs = performance.now() + withinMs; ; ) {
    const state = await dock.client.state.get()
    if (holds(state)) return state
    if (performance.now() > endMs)
      throw new Error(`${what} did not come: ${JSON.stringify(state.operations)}`)
    await new Promise((resolve) => setTimeout(resolve, 30))
  }
}

/** Makes one and waits until it is in the vault. */
async function make(name = ''): Promise<Checkpoint> {
  const label = name === '' ? {} : { name }
  const { operationId } = await dock.client.checkpoints.make({ guestId, label })
  const { state, work } = await dock.operationEnd(operationId)
  expect(state).toMatchObject({ kind: 'done' })
  const id = work.kind === 'checkpoint' ? work.checkpointId : ''
  const found = (all: readonly Checkpoint[]) => all.find((each) => each.id === id)
  const { checkpoints } = await stateWhere(
    (now) => found(now.checkpoints)?.place.kind === 'vault',
    'the checkpoint in the vault',
  )
  return found(checkpoints) as Checkpoint
}

async function expectUndisturbed(): Promise<void> {
  const { guests } = await dock.client.state.get()
  expect(guests).toMatchObject([{ operationId: null, state: { kind: 'running' } }])
  expect((await readdir(dock.guestDir(guestId))).filter((name) => name.includes('.live'))).toEqual([])
  await witness.waitForTicks(20)
  expect(await witness.check()).toMatchObject({ lost: 0, torn: 0, memoryIntact: true, memoryErrors: 0 })
}

beforeAll(async () => {
  if (!hasDemoGuest) return
  folder = await makeDocksFolder()
  await mkdir(place().path)
  const common = { namespace: null, bindAddress: '127.0.0.1', discovery: false, port: 0, name: 'Dock' }
  dock = new DockProcess({ ...common, home: join(folder, 'a') })
  await dock.start()
  const created = await dock.client.guests.create({
    ...{ name: 'Demo', source: { kind: 'demo' }, cores: 1, network: 'none' },
    memoryBytes: 256 * 1024 ** 2,
  })
  guestId = created.guestId
  await dock.operationEnd(created.operationId ?? '')
  await dock.client.guests.start({ guestId })
  witness = await dock.witness(guestId)
  await witness.waitForTicks(150, 50_000)
}, 90_000)

afterAll(async () => {
  witness?.close()
  await dock?.destroy()
  await rm(folder, { recursive: true, force: true })
})

describe.skipIf(!hasDemoGuest)('checkpoints of a real guest', () => {
  it('need a place, which is looked at before it is chosen', async () => {
    await expect(dock.client.checkpoints.make({ guestId, label: {} })).rejects.toMatchObject({
      code: 'vault.none',
    })
    expect(await dock.client.vault.look(place())).toEqual({ kind: 'empty' })
    phrase = (await dock.client.vault.create(place())).phrase
    expect(phrase.split(' ')).toHaveLength(24)
    expect((await dock.client.state.get()).vault).toMatchObject({ kind: 'ready', phraseSeen: false })
    expect(await dock.client.vault.phrase()).toEqual({ phrase })
    expect(await dock.client.vault.look(place())).toEqual({ kind: 'vault' })
  })

  it('reach the vault while the guest runs on, and the second one adds little', async () => {
    const first = await make('First')
    expect(first).toMatchObject({ guestId, label: { name: 'First' }, hasMemory: true, hasPicture: true })
    expect(first.freezeMs).toBeGreaterThan(0)
    await expectUndisturbed()
    const second = await make()
    await expectUndisturbed()
    expect(second.addedBytes).toBeLessThan(first.addedBytes / 3)
    expect(second.wholeBytes).toBeGreaterThan(first.wholeBytes / 2)
    const picture = await dock.client.checkpoints.picture({ checkpointId: second.id })
    expect(
      Buffer.from(picture?.pngBase64 ?? '', 'base64')
        .subarray(1, 4)
        .toString(),
    ).toBe('PNG')
  })

  it('are whole when they are read back', async () => {
    expect(await dock.client.vault.check({ readData: true })).toMatchObject({ checkpoints: 2, damaged: [] })
    expect(await dock.client.vault.stats()).toMatchObject({ checkpoints: 2 })
  })

  it('are made on quitting where the rules say so, before the host ends', async () => {
    await dock.client.checkpoints.changeRules({ guestId, rules: { ...defaultCheckpointRules, onQuit: true } })
    witness.close()
    await dock.stop()
    await dock.start()
    witness = await dock.witness(guestId)
    const { checkpoints } = await stateWhere((now) => now.checkpoints[0]?.reason === 'quit', 'the list')
    expect(checkpoints[0]).toMatchObject({ hasMemory: true, guestId })
    await expectUndisturbed()
  })

  it('are made of a guest that is off as well', async () => {
    witness.close()
    await dock.client.guests.forceOff({ guestId })
    const off = await make('Off')
    expect(off).toMatchObject({ hasMemory: false, freezeMs: null, hasPicture: false })
  })

  it('can be named, deleted, and seen again by whoever has the phrase', async () => {
    const before = (await dock.client.state.get()).checkpoints
    const [newest, second] = before
    await dock.client.checkpoints.relabel({
      checkpointId: newest?.id ?? '',
      change: { name: 'Renamed', pinned: true },
    })
    await dock.client.checkpoints.remove({ checkpointId: second?.id ?? '' })
    await dock.client.vault.sweep()
    await dock.client.vault.forget()
    expect(await dock.client.state.get()).toMatchObject({ vault: { kind: 'none' }, checkpoints: [] })
    const wrong = phrase.replace(/^\S+/, 'zoo')
    await expect(dock.client.vault.open({ place: place(), phrase: wrong })).rejects.toThrow()
    await dock.client.vault.open({ place: place(), phrase })
    const { checkpoints } = await stateWhere((now) => now.checkpoints.length > 0, 'the list')
    expect(checkpoints).toHaveLength(before.length - 1)
    expect(checkpoints[0]?.label).toMatchObject({ name: 'Renamed', pinned: true })
    expect(await dock.client.vault.check({ readData: true })).toMatchObject({ damaged: [] })
  })
})

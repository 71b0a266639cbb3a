/** Guests of a whole host over simulated QEMUs: a disk that is full, and the trash. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { pause, World } from '../docking/testing/world.ts'
import type { LocalGuest } from './local-guest.ts'

let world: World

beforeEach(async () => {
  world = await World.create({ running: true })
})
afterEach(async () => await world.destroy())

function guest(): LocalGuest {
  return world.a.guests.get(world.guestId)
}

async function until(holds: () => boolean): Promise<void> {
  for (const endMs = performance.now() + 2000; !holds(); await pause(2)) {
    if (performance.now() > endMs) throw new Error(`still ${JSON.stringify(guest().state)}`)
  }
}

const full = { kind: 'paused', reason: { code: 'guest.disk_full' } }

describe('a guest whose write found no space', () => {
  beforeEach(async () => {
    world.qemus[0]?.runOutOfSpace()
    await until(() => guest().state.kind === 'paused' && JSON.stringify(guest().state).includes('reason'))
  })

  it('is paused with the reason and what to do', () => {
    expect(guest().state).toMatchObject({
      ...full,
      reason: { message: 'The disk of the PC that Model runs on is full.' },
    })
    expect(JSON.stringify(guest().state)).toContain('Free some space there, then resume Model')
  })

  it('goes on when it is resumed, and stands again, with the reason, while there is no space', async () => {
    await world.a.guests.act(world.guestId, 'resume')
    expect(guest().state).toEqual({ kind: 'running' })
    world.qemus[0]?.runOutOfSpace()
    await until(() => guest().state.kind === 'paused')
    await until(() => 'reason' in guest().state)
    expect(guest().state).toMatchObject(full)
  })

  it('is shown with the reason by the next host as well', async () => {
    world.a.kill()
    await world.a.start()
    expect(guest().state).toMatchObject(full)
  })
})

describe('a guest that a person paused', () => {
  it('is paused without a reason', async () => {
    await world.a.guests.act(world.guestId, 'pause')
    await pause(20)
    expect(guest().state).toEqual({ kind: 'paused' })
  })
})

describe('the trash', () => {
  const off = { kind: 'stopped' } as const

  it('gives back a guest that was given up on its way here, as a guest of this PC that is off', async () => {
    const arrival = { migrationId: world.guestId, fromDockId: world.b.id }
    await guest().changeRecord({ arrival })
    await world.a.guests.giveUp(world.guestId)
    expect(world.a.guests.list()).toEqual([])
    expect(world.a.qemus()).toEqual([])
    await world.a.guests.undoRemove(world.guestId, off)
    expect(guest().state).toEqual(off)
    expect(guest().record).toMatchObject({ arrival: null, bootedAtMs: null })
  })

  it('keeps an earlier copy of a guest beside a later one, and gives back the later one', async () => {
    const { guests } = world.a
    const { record } = guest()
    await guests.giveUp(world.guestId)
    await guests.register({ ...record, definition: { ...record.definition, name: 'Later' } }, off)
    await expect(guests.undoRemove(world.guestId, off)).rejects.toMatchObject({ code: 'guest.came_back' })
    await guests.remove(world.guestId)
    expect((await guests.undoRemove(world.guestId, off)).name).toBe('Later')
    await expect(guests.undoRemove(world.guestId, off)).rejects.toMatchObject({ code: 'guest.came_back' })
    expect(await world.a.trashed()).toEqual([`${world.guestId}.1`])
  })

  it('does not give back what it does not have, nor a guest that lives on another PC', async () => {
    const { guests, store } = world.a
    const view = guest().view()
    await guests.giveUp(world.guestId)
    store.apply({ type: 'guest.changed', guest: { ...view, dockId: world.b.id } })
    const error = { code: 'guest.lives_elsewhere', message: expect.stringContaining('Tower') }
    await expect(guests.undoRemove(world.guestId, off)).rejects.toMatchObject(error)
    expect(await world.a.trashed()).toEqual([world.guestId])
    const unknown = '00000000-0000-4000-8000-000000000001'
    await expect(guests.undoRemove(unknown, off)).rejects.toMatchObject({ code: 'guest.not_found' })
  })
})

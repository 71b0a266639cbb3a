/** Checkpoints that nobody asks for. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fail } from '../../../shared/errors/index.ts'
import { type CheckpointRules, defaultCheckpointRules } from '../../../shared/models/checkpoint.ts'
import { Automatic } from './automatic.ts'
import type { PowerState } from './power.ts'
import { CheckpointDock, settle, until } from './testing/checkpoint-dock.ts'

let dock: CheckpointDock
let automatic: Automatic
let power: PowerState
const minuteMs = 60_000

beforeEach(async () => {
  dock = await (await CheckpointDock.create()).ready()
  power = { onBattery: false, percent: 80 }
  automatic = build()
})
afterEach(async () => {
  automatic.close()
  await dock.destroy()
})

/** The host's own looks as well, every half minute; this one only when it is told to. */
function build(): Automatic {
  const { checkpoints, guests, operations } = dock.life
  checkpoints.automatic.close()
  return new Automatic({
    ...checkpoints,
    ...{ guests, operations, clock: dock.clock, readPower: async () => power },
    log: { ...silent },
  })
}

const nothing = (): void => {}
const silent = {
  ...{ debug: nothing, info: nothing, warn: nothing, error: nothing },
  child: () => silent,
  flush: async () => {},
}

async function rules(change: Partial<CheckpointRules>): Promise<void> {
  await dock.life.checkpoints.rules.change(dock.guestId, { ...defaultCheckpointRules, ...change })
}

const made = () => dock.state.checkpoints.map(({ reason }) => reason)

async function look(): Promise<void> {
  await automatic.look()
  await settle()
}

describe('at intervals', () => {
  beforeEach(() => rules({ everyMinutes: 30 }))

  it('one is made when so many minutes have passed since the last, or since the guest was started', async () => {
    await dock.clock.pass(29 * minuteMs)
    await look()
    expect(made()).toEqual([])
    await dock.clock.pass(minuteMs)
    await look()
    expect(made()).toEqual(['interval'])
    await dock.clock.pass(29 * minuteMs)
    await look()
    expect(made()).toHaveLength(1)
    await dock.clock.pass(minuteMs)
    await look()
    expect(made()).toHaveLength(2)
  })

  it('none is made of a guest that is paused or off, or without a rule', async () => {
    await dock.clock.pass(60 * minuteMs)
    await dock.life.guests.act(dock.guestId, 'pause')
    await look()
    await dock.life.guests.act(dock.guestId, 'forceOff')
    await look()
    await dock.life.guests.act(dock.guestId, 'start')
    await dock.clock.pass(60 * minuteMs)
    await rules({ everyMinutes: null })
    await look()
    expect(made()).toEqual([])
  })

  it('none is made while the last is still on its way, nor of a guest that is busy', async () => {
    dock.vaults.publishes = false
    await dock.clock.pass(30 * minuteMs)
    await look()
    await dock.clock.pass(30 * minuteMs)
    await look()
    expect(made()).toEqual(['interval'])
    dock.vaults.publish(dock.state.checkpoints[0]?.id ?? '')
    dock.qemu.stalls = true
    const { operationId } = dock.life.checkpoints.maker.make(dock.guestId, 'person')
    await look()
    expect(dock.state.operations.filter(({ work }) => work.kind === 'checkpoint')).toHaveLength(2)
    dock.life.operations.find(operationId)?.cancel()
  })

  it('what fails is tried again after ten minutes, then after twenty, and so on', async () => {
    dock.vaults.before.set('beginCapture', () => {
      throw fail('vault.spool_full', { needed: '1 GB', path: '/x', free: '1 MB' })
    })
    await dock.clock.pass(30 * minuteMs)
    const attempts = () => dock.vaults.calls.filter((name) => name === 'beginCapture').length
    await look()
    await look()
    expect(attempts()).toBe(1)
    await dock.clock.pass(10 * minuteMs)
    await look()
    expect(attempts()).toBe(2)
    await dock.clock.pass(10 * minuteMs)
    await look()
    expect(attempts()).toBe(2)
    await dock.clock.pass(10 * minuteMs)
    await look()
    expect(attempts()).toBe(3)
    dock.vaults.before.clear()
    await dock.clock.pass(40 * minuteMs)
    await look()
    expect(made()).toEqual(['interval'])
  })

  it('a clock that was set back does not end them', async () => {
    await dock.clock.pass(30 * minuteMs)
    await look()
    const future = dock.state.checkpoints[0]
    if (future === undefined) throw new Error('none was made')
    const checkpoint = { ...future, atMs: dock.clock.nowMs() + 10 * 3600_000 }
    dock.life.store.apply({ type: 'checkpoint.changed', checkpoint })
    await dock.clock.pass(30 * minuteMs)
    await look()
    expect(made()).toHaveLength(2)
  })

  it('the host looks by itself', async () => {
    automatic.start()
    await dock.clock.pass(31 * minuteMs)
    await until(() => made().length === 1, 'the checkpoint')
  })
})

describe('on low battery', () => {
  it('one is made each time that it runs low, and by default', async () => {
    await look()
    power = { onBattery: true, percent: 16 }
    await look()
    expect(made()).toEqual([])
    power = { onBattery: true, percent: 15 }
    await look()
    await look()
    expect(made()).toEqual(['low-battery'])
    power = { onBattery: true, percent: 18 }
    await look()
    power = { onBattery: true, percent: 12 }
    await look()
    expect(made()).toHaveLength(1)
    power = { onBattery: false, percent: 12 }
    await look()
    power = { onBattery: true, percent: 12 }
    await look()
    expect(made()).toHaveLength(2)
  })

  it('none is made where the rules say so', async () => {
    await rules({ onLowBattery: false })
    power = { onBattery: true, percent: 5 }
    await look()
    expect(made()).toEqual([])
  })
})

describe('before sleep and on quitting', () => {
  it('one is made of each running guest whose rules say so', async () => {
    await automatic.beforeSleep(5000)
    await automatic.onQuit(5000)
    expect(made()).toEqual([])
    await rules({ beforeSleep: true, onQuit: true })
    await automatic.beforeSleep(5000)
    expect(made()).toEqual(['sleep'])
    await automatic.onQuit(5000)
    expect(made().sort()).toEqual(['quit', 'sleep'])
  })

  it('neither waits longer than there is time', async () => {
    await rules({ beforeSleep: true })
    dock.qemu.stalls = true
    const done = automatic.beforeSleep(5000)
    await dock.clock.pass(5000)
    await done
    expect(dock.state.operations.map(({ state }) => state.kind)).toEqual(['running'])
  })
})

describe('before a move', () => {
  const move = async () => {
    const { operations } = dock.life
    const { ended } = operations.run(
      { id: 'move', guestId: dock.guestId, guestName: 'Model', work: { kind: 'creating' } },
      (running) => automatic.beforeMove(dock.guest, running),
    )
    expect(await ended).toBeNull()
    await settle()
  }

  it('one is made where the rules say so, and no other time', async () => {
    await move()
    expect(made()).toEqual([])
    await rules({ beforeMove: true })
    await move()
    expect(made()).toEqual(['before-move'])
  })

  it('a vault that does not open is told, and the guest moves', async () => {
    await rules({ beforeMove: true })
    const error = fail('store.folder_missing', { path: '/x' }).toJSON()
    dock.life.store.apply({ type: 'vault.changed', vault: { kind: 'failed', placeSentence: '', error } })
    await move()
    expect(dock.state.operations.map(({ state }) => state.kind)).toEqual(['done', 'failed'])
  })
})

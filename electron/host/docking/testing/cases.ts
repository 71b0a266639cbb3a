/**
 * Cases of the model check: one move, and what befalls it at which steps. Promises that a case is told by one line
 * that runs it again, and that its verdict names what is broken.
 */
import { pause, World } from './world.ts'

export type Blow =
  | 'kill the source'
  | 'kill the destination'
  | 'kill both'
  | 'cut the link'
  | 'kill the QEMU there'
  | 'cancel'
  | 'stop the source'
  | 'stop the destination'

export const blows: readonly Blow[] = [
  'kill the source',
  'kill the destination',
  'kill both',
  'cut the link',
  'kill the QEMU there',
  'cancel',
]

export interface ModelCase {
  running: boolean
  /** Whoever clicks: the dock the guest is on, or the other one. */
  pull: boolean
  blows: readonly Strike[]
}

export interface Strike {
  /** Steps from the start of the move, or from the moment at which everything had arrived: the handover. */
  from: 'start' | 'loaded'
  step: number
  blow: Blow
  /** What was brought down comes up again after this; null: only at the end. */
  mendAfterMs: number | null
}

export interface Verdict {
  /** Empty when all is well. */
  wrong: string[]
  steps: number
  story: readonly string[]
}

export async function runCase(plan: ModelCase): Promise<Verdict> {
  const world = await World.create({ running: plan.running })
  try {
    const strikes = plan.blows.map((blow) => ({ ...blow, done: false }))
    let operationId = ''
    world.onStep = (step) => {
      for (const strike of strikes) {
        const fromStep = strike.from === 'start' ? 0 : world.loadedAtStep
        if (strike.done || fromStep === null || step < fromStep + strike.step) continue
        strike.done = true
        world.story.push(`  BLOW: ${strike.blow}`)
        hit(world, strike.blow, operationId)
        if (strike.mendAfterMs !== null) setTimeout(() => void mend(world), strike.mendAfterMs)
      }
    }
    const request = { guestId: world.guestId, fromDockId: world.a.id, toDockId: world.b.id }
    await Promise.race([
      (plan.pull ? world.b : world.a).docking.move(request).then(
        (started) => {
          operationId = started.operationId
        },
        () => undefined,
      ),
      pause(300),
    ])
    await untilQuiet(world)
    const steps = world.steps
    const settled = await world.heal()
    return { wrong: await judge(world, plan, settled), steps, story: world.story }
  } finally {
    await world.destroy()
  }
}

function hit(world: World, blow: Blow, operationId: string): void {
  switch (blow) {
    case 'kill the source':
      world.a.kill()
      return
    case 'kill the destination':
      world.b.kill()
      return
    case 'kill both':
      world.a.kill()
      world.b.kill()
      return
    case 'cut the link':
      world.link.cut()
      return
    case 'kill the QEMU there':
      // Once it is at home there, its death is no affair of the move any more.
      if (world.b.isArriving(world.guestId)) for (const qemu of world.b.qemus()) qemu.kill()
      return
    case 'cancel':
      if (world.a.isUp) world.a.docking.cancel(operationId).catch(() => undefined)
      return
    case 'stop the source':
      if (world.a.isUp) void world.a.docking.close()
      return
    case 'stop the destination':
      if (world.b.isUp) void world.b.docking.close()
      return
  }
}

async function mend(world: World): Promise<void> {
  await world.a.start()
  await world.b.start()
  world.link.raise()
}

/** Until nothing more happens by itself. */
async function untilQuiet(world: World): Promise<void> {
  const endMs = performance.now() + 2000
  for (let quiet = 0, last = -1; quiet < 3 && performance.now() < endMs; quiet += 1) {
    if (world.steps !== last || world.isMoving) quiet = 0
    last = world.steps
    await pause(8)
  }
}

async function judge(world: World, plan: ModelCase, settled: boolean): Promise<string[]> {
  const wrong: string[] = []
  const check = (holds: boolean, what: string): void => {
    if (!holds) wrong.push(what)
  }
  const guests = [...world.a.guests.list(), ...world.b.guests.list()]
  const states = guests.map((guest) => guest.state.kind).join(', ')
  check(!world.ranTwice, 'the guest ran on two docks at once')
  for (const untruth of world.untruths()) wrong.push(`not true: ${untruth}`)
  check(settled, `it was not settled when the docks met (${states})`)
  check(guests.length === 1, `there are ${guests.length} guests (${states})`)
  const alive = world.qemus.filter((qemu) => qemu.alive)
  check(alive.length === 1, `${alive.length} QEMUs are alive`)
  check(guests[0]?.state.kind === (plan.running ? 'running' : 'paused'), `the guest is ${states}`)
  check(alive[0]?.running === plan.running, `its QEMU is ${alive[0]?.state}`)
  return wrong
}

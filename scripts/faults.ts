/**
 * Strikes moves at random, for as long as wanted:
 *
 *   npm run faults -- [--seed N] [--count N] [--real]
 *
 * Without `--real`: the logic of two hosts over a simulated network and simulated QEMUs, up to three blows a move.
 * With `--real`: one real guest between two real docks, one blow a move. Prints each case that fails, with what runs
 * it again, and exits 1 when there was one.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { FaultPoint } from '../electron/host/docking/faults.ts'
import { type Blow, blows, type ModelCase, runCase } from '../electron/host/docking/testing/cases.ts'
import { FaultRig, type RealBlow } from '../electron/testing/fault-rig.ts'
import { randomFrom } from './lib/random-from.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '100' },
    real: { type: 'boolean', default: false },
  },
})
const firstSeed = Number(values.seed)
const count = Number(values.count)
const allBlows: readonly Blow[] = [...blows, 'stop the source', 'stop the destination']
const mostSteps = { start: 110, loaded: 25 }

let failed = 0
if (values.real) await strikeRealMoves()
else await strikeModelMoves()
process.stdout.write(`${count - failed} passed, ${failed} failed\n`)
process.exitCode = failed === 0 ? 0 : 1

async function strikeModelMoves(): Promise<void> {
  for (let seed = firstSeed; seed < firstSeed + count; seed += 1) {
    const plan = modelCase(randomFrom(seed))
    const { wrong, story } = await runCase(plan)
    if (wrong.length > 0) report(seed, [JSON.stringify(plan), ...wrong, ...story])
  }
}

function modelCase(below: (limit: number) => number): ModelCase {
  const howMany = 1 + below(3)
  return {
    running: below(4) > 0,
    pull: below(2) === 0,
    blows: Array.from({ length: howMany }, () => {
      const from = below(2) === 0 ? 'start' : 'loaded'
      return {
        from,
        step: below(mostSteps[from]),
        blow: allBlows[below(allBlows.length)] ?? 'cancel',
        mendAfterMs: below(3) === 0 ? null : below(60),
      }
    }),
  }
}

async function strikeRealMoves(): Promise<void> {
  const rig = await FaultRig.create()
  try {
    for (let seed = firstSeed; seed < firstSeed + count; seed += 1) {
      const { point, blow } = realCase(randomFrom(seed), rig.namespaces !== null)
      process.stdout.write(`seed ${seed}: at ${point}: ${blow}\n`)
      const wrong = await strikeOnce(rig, point, blow).catch((error: unknown) => [String(error)])
      if (wrong.length > 0) report(seed, [`at ${point}: ${blow}`, ...wrong])
    }
  } finally {
    await rig.destroy()
  }
}

function realCase(below: (limit: number) => number, cable: boolean): { point: FaultPoint; blow: RealBlow } {
  const points: readonly FaultPoint[] = [
    'preparing',
    'launched',
    'mirroring-disk',
    'copying-memory',
    'guest-stopped',
    'loaded',
    'given-away',
  ]
  const real: readonly RealBlow[] = [
    'kill the host there',
    'kill the host here',
    'stop the host there',
    'stop the host here',
    'cancel',
    ...(cable ? (['cut the link'] as const) : []),
  ]
  const point = points[below(points.length)] ?? 'loaded'
  const hasQemuThere = point !== 'preparing'
  const choice = [...real, ...(hasQemuThere ? (['kill the QEMU there'] as const) : [])]
  const blow = choice[below(choice.length)] ?? 'cancel'
  return { point, blow: blow === 'cancel' && point === 'given-away' ? 'kill the host here' : blow }
}

/** @returns what is wrong afterwards: the guest must run on exactly one dock, and the other must be clean */
async function strikeOnce(rig: FaultRig, point: FaultPoint, blow: RealBlow): Promise<string[]> {
  const { laptop, pc } = rig
  await rig.strike(point, blow)
  await rig.repair()
  for (let tries = 0; tries < 200; tries += 1) {
    const [here, there] = await Promise.all([laptop.guest(rig.guestId), pc.guest(rig.guestId)])
    const [one, other] = here === undefined ? [there, here] : [here, there]
    if (other === undefined && one?.state.kind === 'running' && one.operationId === null) break
    await wait(50)
  }
  const moved = (await laptop.guest(rig.guestId)) === undefined
  const [home, away] = moved ? [pc, laptop] : [laptop, pc]
  const wrong = [...(await rig.ills(home)), ...(await rig.traces(away))]
  if (moved) await rig.move(pc, laptop)
  return wrong
}

function report(seed: number, lines: readonly string[]): void {
  failed += 1
  process.stdout.write(`FAILED, again with --seed ${seed} --count 1\n  ${lines.join('\n  ')}\n`)
}

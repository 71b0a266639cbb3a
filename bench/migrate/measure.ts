/**
 * Measures one move of a guest from outside: by the ticks that reach two readers on one clock, and by what the
 * interfaces of the link count. Promises the same yardstick for whoever does the moving. Relies on the witness
 * of the demo guest, which says nothing while the guest stands still.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { NamespacePair } from '../../electron/testing/namespaces.ts'
import { type Tick, WitnessReader } from '../../electron/testing/witness.ts'
import type { Move } from './plan.ts'

export interface Route {
  fromSocket: string
  toSocket: string
}

/** The longest move measured here takes half a minute. */
const moveTimeoutMs = 180_000
const quietMs = 300

/** @param decide starts the move; may return before its end */
export async function measureMove(
  pair: NamespacePair,
  route: Route,
  decide: () => Promise<void>,
): Promise<Move> {
  const here = await WitnessReader.connect(route.fromSocket)
  await here.waitForTicks(10)
  await wait(quietMs)
  const sentBefore = await sentBytes(pair)
  const decidedMs = performance.now()
  const arrival = firstTick(route.toSocket)
  arrival.catch(() => undefined)
  await decide()
  const { there, tick: first } = await arrival
  const wireBytes = (await sentBytes(pair)) - sentBefore
  const last = here.lastTick
  here.close()
  there.close()
  assertSameGuest(last, first)
  return { totalMs: first.atMs - decidedMs, freezeMs: first.atMs - (last?.atMs ?? Number.NaN), wireBytes }
}

async function firstTick(socketPath: string): Promise<{ there: WitnessReader; tick: Tick }> {
  const there = await WitnessReader.connect(socketPath, { connectTimeoutMs: moveTimeoutMs })
  await there.waitForTicks(1, moveTimeoutMs)
  const [tick] = there.ticks
  if (tick === undefined) throw new Error('a tick was announced and is not there')
  return { there, tick }
}

/** The figures are worth nothing when the guest did not live through the move. */
function assertSameGuest(last: Tick | null, first: Tick): void {
  if (last === null || last.boot !== first.boot || first.tick <= last.tick) {
    throw new Error(`the guest did not live through its move: ${JSON.stringify({ last, first })}`)
  }
}

async function sentBytes(pair: NamespacePair): Promise<number> {
  const { a, b } = await pair.sentBytes()
  return a + b
}

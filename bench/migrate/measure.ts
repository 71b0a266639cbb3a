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
  const over = new AbortController()
  try {
    const [first] = await Promise.all([firstTick(route.toSocket, over.signal), decide()])
    const wireBytes = (await sentBytes(pair)) - sentBefore
    const last = here.lastTick
    assertSameGuest(last, first)
    return { totalMs: first.atMs - decidedMs, freezeMs: first.atMs - last.atMs, wireBytes }
  } finally {
    over.abort()
    here.close()
  }
}

/** Listens as soon as there is somebody to listen to; gives up when the move has failed. */
async function firstTick(socketPath: string, signal: AbortSignal): Promise<Tick> {
  for (;;) {
    signal.throwIfAborted()
    const there = await WitnessReader.connect(socketPath, { connectTimeoutMs: 100 }).catch(() => null)
    if (there === null) continue
    const close = (): void => there.close()
    signal.addEventListener('abort', close, { once: true })
    await there.waitForTicks(1, moveTimeoutMs)
    close()
    const [tick] = there.ticks
    if (tick === undefined) throw new Error('a tick was announced and is not there')
    return tick
  }
}

/** The figures are worth nothing when the guest did not live through the move. */
function assertSameGuest(last: Tick | null, first: Tick): asserts last is Tick {
  if (last === null || last.boot !== first.boot || first.tick <= last.tick) {
    throw new Error(`the guest did not live through its move: ${JSON.stringify({ last, first })}`)
  }
}

async function sentBytes(pair: NamespacePair): Promise<number> {
  const { a, b } = await pair.sentBytes()
  return a + b
}

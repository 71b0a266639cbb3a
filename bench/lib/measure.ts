/**
 * Measures one move of a guest from outside: by the ticks that reach two readers on one clock, and by what the
 * interfaces of the link count. Promises the same yardstick for whoever does the moving. Relies on the witness
 * of the demo guest, which says nothing while the guest stands still.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { NamespacePair } from '../../electron/testing/namespaces.ts'
import { type Tick, WitnessReader } from '../../electron/testing/witness.ts'
import type { Outcome } from './move.ts'

interface Route {
  fromSocket: string
  toSocket: string
}

/** What whoever moves the guest tells, and is told. */
export interface Marks {
  /** Memory begins to cross now. */
  memoryStarted(): void
  /** Fires when the move is to be given up; the guest is to run on where it is. */
  giveUp: AbortSignal
}

/** Whether the guest left or stays. */
export type Departure = 'left' | 'stayed'

export interface Plan {
  route: Route
  /** From when memory begins to cross; null for ever. */
  giveUpAfterMs: number | null
  /** Moves the guest; may return before it ticks there. */
  move(marks: Marks): Promise<Departure>
}

/** Longer than any move that is not given up. */
const arrivalTimeoutMs = 180_000
const quietMs = 300

/** @throws when the move fails, or the guest did not live through it */
export async function measureMove(
  pair: NamespacePair,
  { route, giveUpAfterMs, move }: Plan,
): Promise<Outcome> {
  const here = await WitnessReader.connect(route.fromSocket)
  await here.waitForTicks(10)
  await wait(quietMs)
  const sentBefore = await sentBytes(pair)
  const decidedMs = performance.now()
  const over = new AbortController()
  const start = startOf(giveUpAfterMs)
  try {
    const arrival = firstTick(route.toSocket, over.signal)
    arrival.catch(() => undefined)
    if ((await move(start.marks)) === 'stayed') {
      await here.waitForTicks(10)
      return { kind: 'gave-up', afterMs: giveUpAfterMs ?? 0 }
    }
    const first = await arrival
    const wireBytes = (await sentBytes(pair)) - sentBefore
    const last = here.lastTick
    assertSameGuest(last, first)
    const since = (ms: number): number => first.atMs - ms
    const [totalMs, memoryMs, freezeMs] = [since(decidedMs), since(start.atMs()), since(last.atMs)]
    return { kind: 'arrived', move: { totalMs, memoryMs, freezeMs, wireBytes } }
  } finally {
    over.abort()
    start.forget()
    here.close()
  }
}

/** When memory begins to cross, and the time after which that is given up. */
function startOf(giveUpAfterMs: number | null) {
  const giveUp = new AbortController()
  let timer: NodeJS.Timeout | undefined
  let startedMs: number | null = null
  const memoryStarted = (): void => {
    startedMs ??= performance.now()
    if (giveUpAfterMs !== null) timer ??= setTimeout(() => giveUp.abort(), giveUpAfterMs)
  }
  const atMs = (): number => {
    if (startedMs === null) throw new Error('nobody told when memory began to cross')
    return startedMs
  }
  const marks: Marks = { memoryStarted, giveUp: giveUp.signal }
  return { marks, atMs, forget: () => clearTimeout(timer) }
}

/** Listens as soon as there is somebody to listen to; gives up when the move has failed. */
async function firstTick(socketPath: string, signal: AbortSignal): Promise<Tick> {
  for (;;) {
    signal.throwIfAborted()
    const there = await WitnessReader.connect(socketPath, { connectTimeoutMs: 100 }).catch(() => null)
    if (there === null) continue
    const close = (): void => there.close()
    signal.addEventListener('abort', close, { once: true })
    await there.waitForTicks(1, arrivalTimeoutMs)
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

/**
 * How fast a guest's memory is copied the first time round. On a PC with few processors, copying at full speed takes a
 * guest that works a good part of its own; copied in short bursts it hardly feels it, and nobody minds that it takes
 * a second longer. Promises full speed for a guest that has little to do, where processors are plenty, and for what
 * changed meanwhile: a slow copy would never catch up with it. Relies on the settings being borrowed (settings.ts).
 */
import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { setTimeout as wait } from 'node:timers/promises'
import { queryMigration, setParameters } from '../migration.ts'
import { queryCpusFast } from '../qmp/commands.ts'
import type { QmpSession } from '../qmp/session.ts'
import { progressPollMs } from './capture-run.ts'

/** QEMU sends a tenth of this at full speed, then rests for what is left of 100 ms (`migration_rate_limit`). */
const gentleBytesPerSecond = 48_000_000
/** Long enough to tell a guest that works from one that was woken by a timer. */
const sampleMs = 100
/** Of one processor. An emulated guest at rest takes a sixth of one for its timers. */
const busyShare = 0.35
/** QEMU's copying, and reading and packing in the host. */
const neededProcessors = 3
/** QEMU counts its look at what there is to copy, then each look at what changed. */
const firstRound = 1

/** Whether copying would take a guest its processors. @param busy those it uses now, 1.0 for each */
export function isCramped(busy: number, processors: number): boolean {
  return busy >= busyShare && processors - busy < neededProcessors
}

/** What is asked of this PC. */
interface Processors {
  count: number
  /** For how long these threads have run so far, ns. */
  runNs(threads: readonly number[]): Promise<number>
}

/**
 * Sets the gentle pace for a copy that is about to begin.
 * @param processors for tests; those of this PC
 * @returns what takes it off again in time, to be called when the copy has begun; done early when `over` fires
 * @throws qemu.command_failed, qemu.gone; the latter also from what was returned
 */
export async function easeOff(
  qmp: QmpSession,
  over: AbortSignal,
  { count, runNs }: Processors = { count: availableParallelism(), runNs: runNsHere },
): Promise<() => Promise<void>> {
  const threads = (await queryCpusFast(qmp)).map((cpu) => cpu['thread-id'])
  await setParameters(qmp, { maxBandwidthBytesPerSecond: gentleBytesPerSecond })
  const [fromMs, before] = [performance.now(), await runNs(threads)]
  return async () => {
    await pause(sampleMs - (performance.now() - fromMs), over)
    const busy = ((await runNs(threads)) - before) / ((performance.now() - fromMs) * 1e6)
    if (isCramped(busy, count)) await untilSecondRound(qmp, over)
    if (!over.aborted) await setParameters(qmp, { maxBandwidthBytesPerSecond: 0 })
  }
}

async function untilSecondRound(qmp: QmpSession, over: AbortSignal): Promise<void> {
  while (!over.aborted && (await queryMigration(qmp)).dirtySyncCount <= firstRound) {
    await pause(progressPollMs, over)
  }
}

async function pause(ms: number, over: AbortSignal): Promise<void> {
  await wait(Math.max(0, ms), undefined, { signal: over }).catch(() => {})
}

/** The first number of /proc/TID/schedstat (Linux, sched-stats); none where that is not there. */
async function runNsHere(threads: readonly number[]): Promise<number> {
  const texts = threads.map((thread) => readFile(`/proc/${thread}/schedstat`, 'utf8').catch(() => '0'))
  return (await Promise.all(texts)).reduce((sum, text) => sum + Number.parseInt(text, 10), 0)
}

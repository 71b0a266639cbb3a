/**
 * Sends the memory of a running guest once over, slowly, while it runs on: an ordinary pre-copy that is cancelled when
 * the first round over memory is through, so that there is no switchover. Promises that QEMU is never left to stop the
 * guest for it, that the guest is not throttled, and that capabilities and parameters are those found afterwards,
 * however it ended. What a host that died left of it is settled as that of a capture (memory.ts), by the same note.
 * Relies on nobody else migrating the guest meanwhile. A page may change while it is sent or afterwards: who keeps
 * it finds that out at the next move.
 */
import { readFile } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { fail } from '../../../shared/errors/index.ts'
import { Disposer } from '../../platform/dispose.ts'
import type { Log } from '../../platform/log.ts'
import {
  type MigrationProgress,
  queryMigration,
  setParameters,
  startMigration,
  unixUri,
} from '../migration.ts'
import { queryCpusFast, queryStatus } from '../qmp/commands.ts'
import type { QmpSession } from '../qmp/session.ts'
import { cancelAndWait, hasEnded } from './capture-run.ts'
import { leaveNote, readNote, removeNote } from './note.ts'
import { goOn } from './run-state.ts'
import { borrowSettings } from './settings.ts'

/** What is known at one look; counters since the start. */
export interface TrickleSample {
  atMs: number
  progress: MigrationProgress
  /**
   * For what share of the time since the last look the guest's processors stood in the queue for one of this PC's, beyond
   * what they did before this began; 0.02 is a guest that is slower by 2 %.
   */
  slowdown: number
}

export interface TrickleOptions {
  /** Where the receiver already listens. */
  socketPath: string
  /** Of QEMU's stream, in bytes a second. */
  firstPace: number
  /** Called every `lookEveryMs`. @returns the pace from here on */
  look: (sample: TrickleSample) => number
  lookEveryMs: number
  /** Ends it at once. */
  signal: AbortSignal
  log: Log
}

/** QEMU counts its look at what there is to send, then each look at what changed. */
const secondRound = 2
/**
 * So short that no page fits into it: QEMU switches over only when not one page has changed since its last look, and
 * 0 would let it do so without looking.
 */
const downtimeLimitMs = 1
/** With it QEMU stops short of the switchover, and a cancel lets the guest run on. */
const capabilities = ['pause-before-switchover']

/**
 * @returns whether all of memory has been sent once; false when the signal fired before
 * @throws qemu.cannot_capture for a guest that does not run, qemu.migration_failed when the receiver closed its socket,
 * qemu.command_failed, qemu.gone, qemu.silent
 */
export async function trickleMemory(qmp: QmpSession, options: TrickleOptions): Promise<boolean> {
  const { running, status } = await queryStatus(qmp)
  if (!running || (await readNote(qmp)) !== null) throw fail('qemu.cannot_capture', { status })
  const queue = await ProcessorQueue.open(qmp, options.lookEveryMs, options.signal)
  const undo = new Disposer()
  const rounds = new Rounds(qmp)
  try {
    await leaveNote(qmp, 'running')
    undo.add('remove the note', () => removeNote(qmp, 'running'))
    undo.add('give the settings back', await borrowSettings(qmp, { capabilities, downtimeLimitMs }))
    undo.add('let the guest run on', () => runOn(qmp))
    undo.add('cancel the migration', () => cancelAndWait(qmp))
    await setParameters(qmp, { maxBandwidthBytesPerSecond: options.firstPace })
    if (options.signal.aborted) return false
    await startMigration(qmp, unixUri(options.socketPath))
    await watch(qmp, { queue, over: rounds.over, options })
    // Looked at once, so that what is said is what happened, whichever came first.
    return rounds.isThrough
  } finally {
    rounds.close()
    for (const failure of await undo.run()) {
      options.log.warn('a guest’s QEMU was not tidied up', { step: failure.name, error: failure.error })
    }
  }
}

/** Told by QEMU the moment the first round is over, or the migration is: a look would come too late. */
class Rounds {
  readonly #over = new AbortController()
  readonly #stop: () => void
  isThrough = false

  constructor(qmp: QmpSession) {
    this.#stop = qmp.onEvent(({ name, data }) => {
      if (name === 'MIGRATION_PASS' && Number(data.pass) >= secondRound) this.#through()
      // It had nothing left to send: nothing changed meanwhile.
      if (name === 'MIGRATION' && data.status === 'pre-switchover') this.#through()
      if (name === 'MIGRATION' && (data.status === 'failed' || data.status === 'cancelled'))
        this.#over.abort()
    })
  }

  /** Fires when the first round is over, or nothing goes on. */
  get over(): AbortSignal {
    return this.#over.signal
  }

  close(): void {
    this.#stop()
  }

  #through(): void {
    this.isThrough = true
    this.#over.abort()
  }
}

interface Watch {
  queue: ProcessorQueue
  over: AbortSignal
  options: TrickleOptions
}

async function watch(qmp: QmpSession, { queue, over, options }: Watch): Promise<void> {
  const either = AbortSignal.any([over, options.signal])
  let pace = options.firstPace
  while (!either.aborted) {
    await wait(options.lookEveryMs, undefined, { signal: either }).catch(() => undefined)
    if (either.aborted) break
    const progress = await queryMigration(qmp)
    if (hasEnded(progress.status)) break
    const wanted = options.look({ atMs: performance.now(), progress, slowdown: await queue.slowdown() })
    if (wanted !== pace && !either.aborted) await setParameters(qmp, { maxBandwidthBytesPerSecond: wanted })
    pace = wanted
  }
  if (options.signal.aborted) return
  const { status, errorDescription } = await queryMigration(qmp)
  if (status !== 'failed') return
  throw fail(
    'qemu.migration_failed',
    { status },
    errorDescription === null ? {} : { detail: errorDescription },
  )
}

/** A guest that a person paused meanwhile stays so; one that QEMU stopped to switch over does not. */
async function runOn(qmp: QmpSession): Promise<void> {
  const { status } = await queryStatus(qmp)
  if (status === 'postmigrate' || status === 'finish-migrate') await goOn(qmp, 'running')
}

/** How much the guest's processors wait for those of this PC, beside how much they did before. */
class ProcessorQueue {
  readonly #threads: readonly number[]
  #calmShare = 0
  #atMs = performance.now()
  #waitedMs = 0

  private constructor(threads: readonly number[]) {
    this.#threads = threads
  }

  static async open(qmp: QmpSession, calmMs: number, signal: AbortSignal): Promise<ProcessorQueue> {
    const queue = new ProcessorQueue((await queryCpusFast(qmp)).map((cpu) => cpu['thread-id']))
    await queue.slowdown()
    await wait(calmMs, undefined, { signal }).catch(() => undefined)
    queue.#calmShare = await queue.slowdown()
    return queue
  }

  /** Since the last call, as the mean of the processors. */
  async slowdown(): Promise<number> {
    const waitedMs = await waitedBy(this.#threads)
    const atMs = performance.now()
    const tookMs = Math.max(1, atMs - this.#atMs) * Math.max(1, this.#threads.length)
    const share = (waitedMs - this.#waitedMs) / tookMs
    this.#atMs = atMs
    this.#waitedMs = waitedMs
    return Math.max(0, share - this.#calmShare)
  }
}

/** The second number of /proc/TID/schedstat (Linux, sched-stats) is the time in the queue, ns; 0 where it is not there. */
async function waitedBy(threads: readonly number[]): Promise<number> {
  const texts = threads.map((thread) => readFile(`/proc/${thread}/schedstat`, 'utf8').catch(() => ''))
  const waits = (await Promise.all(texts)).map((text) => Number.parseInt(text.split(' ')[1] ?? '0', 10))
  return waits.reduce((sum, ns) => sum + ns, 0) / 1e6
}

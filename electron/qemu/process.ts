/**
 * A QEMU process of ours: started detached, so that it outlives the host, and found again by a later host.
 * Promises that a process which was started is either recorded in its folder or gone, that an early death is
 * told in QEMU's own words, and that everyone who asked is told of its end. Relies on Linux's /proc.
 */
import { createHash } from 'node:crypto'
import { open, readFile, rm } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { z } from 'zod'
import { fail, isCode, WdockError } from '../../shared/errors/index.ts'
import type { GuestDefinition } from '../../shared/models/guest-definition.ts'
import { fsFailure, readJson, systemErrorCode, writeJsonAtomic } from '../platform/atomic-file.ts'
import type { Log } from '../platform/log.ts'
import {
  bootId,
  endProcess,
  isAlive,
  type ProcessExit,
  type ProcessIdentity,
  processIdentity,
  signalProcess,
  spawnDetached,
  stayAliveFor,
  waitUntilDead,
} from '../platform/processes.ts'
import { buildCommandLine, type LaunchSpec } from './command-line.ts'
import { makeDoor, openDoor } from './door.ts'
import { cont, quit as qmpQuit, queryUuid } from './qmp/commands.ts'
import { QmpSession } from './qmp/session.ts'
import { maxSocketDirBytes, type SocketPaths, socketPaths } from './sockets.ts'

const runRecord = z.object({
  version: z.literal(1),
  guestId: z.uuid(),
  /** Null between the start and the moment the process is known: then qemu.pid tells. */
  identity: z.object({ pid: z.number().int(), startTicks: z.number() }).nullable(),
  bootId: z.string(),
  dir: z.string(),
  definitionHash: z.string(),
  incoming: z.boolean(),
  startedAt: z.string(),
})
export type RunRecord = z.infer<typeof runRecord>

export interface QemuExit extends ProcessExit {
  /** QEMU's reason: `guest-shutdown`, `host-qmp-quit`, …; null when it did not say goodbye. */
  shutdownReason: string | null
  /** The end of what it printed. */
  stderrTail: string
}

export interface LaunchOptions {
  log: Log
  /** How long QEMU may take until it answers. Default 20 s. */
  timeoutMs?: number
}

const stderrTailBytes = 4096

export class QemuProcess {
  readonly identity: ProcessIdentity
  readonly qmp: QmpSession
  readonly sockets: SocketPaths
  readonly record: RunRecord
  readonly #exit: Promise<QemuExit>
  #exited: QemuExit | null = null
  #shutdownReason: string | null = null

  constructor(
    record: RunRecord,
    identity: ProcessIdentity,
    qmp: QmpSession,
    ended: Promise<ProcessExit> | null,
  ) {
    this.record = record
    this.identity = identity
    this.qmp = qmp
    this.sockets = socketPaths(record.dir)
    qmp.onEvent((event) => {
      if (event.name === 'SHUTDOWN' && typeof event.data.reason === 'string') {
        this.#shutdownReason = event.data.reason
      }
    })
    this.#exit = this.#watch(ended)
  }

  get guestId(): string {
    return this.record.guestId
  }

  get isRunning(): boolean {
    return this.#exited === null && isAlive(this.identity)
  }

  /** Waits until the process has ended; this program stays alive for it. @returns what is known of why */
  async waitForExit(): Promise<QemuExit> {
    return await stayAliveFor(this.#exit)
  }

  /**
   * Calls `listener` once when the process ends, at once when it has; this program may end before that.
   * @returns a function that ends that
   */
  onExit(listener: (exit: QemuExit) => void): () => void {
    let wanted = true
    void this.#exit.then((exit) => {
      if (wanted) listener(exit)
    })
    return () => {
      wanted = false
    }
  }

  /**
   * Asks QEMU to end, then ends it. @param options.graceMs for its answer, and again for its end: one that waits for memory
   * which nobody sends any more does neither. @returns once it is gone, its sockets and notes removed.
   */
  async quit(options: { graceMs: number }): Promise<QemuExit> {
    if (!this.qmp.isClosed) {
      const asked = qmpQuit(this.qmp).catch(() => {})
      await Promise.race([asked, wait(options.graceMs, undefined, { ref: false })])
    }
    if (!(await waitUntilDead(this.identity, options.graceMs))) await this.kill()
    const exit = await this.waitForExit()
    await removeRunFiles(this.record.dir)
    return exit
  }

  /** SIGKILL. @returns once it is gone. */
  async kill(): Promise<QemuExit> {
    await endProcess(this.identity, { graceMs: 0 })
    return await this.waitForExit()
  }

  /** Lets go of the process, which runs on: for a host that ends. */
  release(): void {
    this.qmp.close()
  }

  async #watch(ended: Promise<ProcessExit> | null): Promise<QemuExit> {
    const unknown: ProcessExit = { code: null, signal: null }
    const gone = new Promise<void>((resolve) => this.qmp.onClose(() => resolve()))
    // A child reports its own end. Of an adopted one the monitor tells: it closes when QEMU ends. Neither this
    // nor the waiting below keeps the program alive: a host may end while its guests run on.
    const exit = await (ended ?? gone.then(() => unknown))
    for (let pauseMs = 10; isAlive(this.identity); pauseMs = Math.min(pauseMs * 2, 1000)) {
      await wait(pauseMs, undefined, { ref: false })
    }
    this.qmp.close()
    const stderrTail = await readTail(this.sockets.log)
    this.#exited = { ...exit, shutdownReason: this.#shutdownReason, stderrTail }
    return this.#exited
  }
}

/** The hash that tells whether a running QEMU still has the definition on disk. */
export function definitionHash(definition: GuestDefinition): string {
  return createHash('sha256').update(JSON.stringify(definition)).digest('hex')
}

/**
 * Starts QEMU for `spec` and waits until it answers. A guest that is not `incoming` then runs.
 * @throws qemu.missing; qemu.start_failed with the end of what QEMU printed in the detail; nothing is left of
 * the process then
 */
export async function launchQemu(spec: LaunchSpec, options: LaunchOptions): Promise<QemuProcess> {
  if (Buffer.byteLength(spec.dir) > maxSocketDirBytes) {
    throw fail('host.bad_input', { why: `the folder ${spec.dir} is too long for unix sockets` })
  }
  const args = buildCommandLine(spec)
  const sockets = socketPaths(spec.dir)
  await removeRunFiles(spec.dir)
  if (spec.lateMemory === true) await makeDoor(sockets)
  const record = newRecord(spec)
  await writeJsonAtomic(sockets.runFile, record)
  const started = await spawnDetached(spec.binary, args, { cwd: spec.dir, logPath: sockets.log }).catch(
    async (error) => {
      await removeRunFiles(spec.dir)
      throw startFailure(error)
    },
  )
  const { identity, exited } = started
  options.log.info('qemu started', { guestId: spec.definition.id, pid: identity.pid, args })
  try {
    record.identity = identity
    await writeJsonAtomic(sockets.runFile, record)
    const qmp = await connectWhenReady(sockets.qmp, exited, options.timeoutMs ?? 20_000)
    if (spec.lateMemory === true) await openDoor(sockets)
    const qemu = new QemuProcess(record, identity, qmp, exited)
    if (!spec.incoming) await cont(qmp)
    return qemu
  } catch (error) {
    const tail = await endEarly(identity, sockets.log)
    await removeRunFiles(spec.dir)
    options.log.warn('qemu did not start', { guestId: spec.definition.id, error, tail })
    throw isCode(error, 'qemu.start_failed') || isCode(error, 'qemu.gone') || isCode(error, 'qemu.silent')
      ? fail('qemu.start_failed', {}, { detail: tail || (error.detail ?? error.message), cause: error })
      : error
  }
}

function newRecord(spec: LaunchSpec): RunRecord {
  return {
    version: 1,
    guestId: spec.definition.id,
    identity: null,
    bootId: bootId(),
    dir: spec.dir,
    definitionHash: definitionHash(spec.definition),
    incoming: spec.incoming,
    startedAt: new Date().toISOString(),
  }
}

function startFailure(error: unknown): WdockError {
  const options = { detail: String(error), cause: error }
  if (systemErrorCode(error) === 'ENOENT') return fail('qemu.missing', {}, options)
  if (error instanceof WdockError) return error
  return fail('qemu.start_failed', {}, options)
}

async function endEarly(identity: ProcessIdentity, logPath: string): Promise<string> {
  await endProcess(identity, { graceMs: 0 })
  return await readTail(logPath)
}

/** Tries until QEMU's monitor answers, the process ends, or time is up. */
async function connectWhenReady(
  socketPath: string,
  exited: Promise<ProcessExit>,
  timeoutMs: number,
): Promise<QmpSession> {
  const early: { exit: ProcessExit | null } = { exit: null }
  void exited.then((exit) => {
    early.exit = exit
  })
  const end = performance.now() + timeoutMs
  for (;;) {
    try {
      return await QmpSession.connect(socketPath, { timeoutMs: Math.max(1, end - performance.now()) })
    } catch (error) {
      if (early.exit) throw fail('qemu.start_failed', {}, { detail: exitWords(early.exit), cause: error })
      if (!isCode(error, 'qemu.gone') || performance.now() >= end) throw error
    }
    await wait(20)
  }
}

function exitWords({ code, signal }: ProcessExit): string {
  return signal === null ? `exit code ${code}` : `ended by ${signal}`
}

/**
 * Finds a QEMU that an earlier host started. @returns null when it has ended, or never came up, or the record
 * is of an earlier boot. The folder is then left as it is, its log included: `removeRunFiles` cleans it.
 * @throws host.state_unreadable; qemu.silent when the process lives but does not answer within `timeoutMs`
 */
export async function adoptQemu(
  runFile: string,
  options: { timeoutMs?: number } = {},
): Promise<QemuProcess | null> {
  const record = await readJson(runFile, runRecord)
  if (!record || record.bootId !== bootId()) return null
  const sockets = socketPaths(record.dir)
  const identity = record.identity ?? (await identityFromPidFile(sockets.pidFile, record.guestId))
  if (!identity || !isAlive(identity)) return null
  const qmp = await QmpSession.connect(sockets.qmp, { timeoutMs: options.timeoutMs ?? 5000 }).catch(
    (error) => {
      if (!isAlive(identity)) return null
      throw error
    },
  )
  if (!qmp) return null
  if ((await queryUuid(qmp)) !== record.guestId) {
    qmp.close()
    throw fail('host.state_unreadable', { path: runFile }, { detail: 'another guest answers on this socket' })
  }
  return new QemuProcess({ ...record, identity }, identity, qmp, null)
}

/** A pid from a file may be anyone's by now: its command line must name the guest. */
async function identityFromPidFile(path: string, guestId: string): Promise<ProcessIdentity | null> {
  try {
    const pid = Number((await readFile(path, 'utf8')).trim())
    const identity = processIdentity(pid)
    const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8')
    return identity && commandLine.split('\0').includes(guestId) ? identity : null
  } catch {
    return null
  }
}

/** Ends a process that is recorded but does not answer, without QMP. @returns false when there was none. */
export async function killRecorded(runFile: string): Promise<boolean> {
  const record = await readJson(runFile, runRecord)
  if (!record || record.bootId !== bootId()) return false
  const identity =
    record.identity ?? (await identityFromPidFile(socketPaths(record.dir).pidFile, record.guestId))
  if (!identity || !isAlive(identity)) return false
  signalProcess(identity, 'SIGKILL')
  return await waitUntilDead(identity, 10_000)
}

/** Removes what a QEMU that has ended leaves in its folder. */
export async function removeRunFiles(dir: string): Promise<void> {
  const { log: _log, ...rest } = socketPaths(dir)
  try {
    await Promise.all(Object.values(rest).map((path) => rm(path, { force: true })))
    await rm(socketPaths(dir).log, { force: true })
  } catch (error) {
    throw fsFailure(error, dir)
  }
}

/** The last 4 KiB of a log; empty when there is none. */
async function readTail(path: string): Promise<string> {
  try {
    const file = await open(path, 'r')
    try {
      const { size } = await file.stat()
      const length = Math.min(size, stderrTailBytes)
      const { buffer } = await file.read(Buffer.alloc(length), 0, length, size - length)
      return buffer.toString('utf8').trim()
    } finally {
      await file.close()
    }
  } catch {
    return ''
  }
}

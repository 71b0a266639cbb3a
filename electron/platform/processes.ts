/**
 * Processes of this machine. A pid alone is reused; a pid with its start time names one process for the whole
 * boot. Promises that a detached child outlives us and that a tool run ends in time. Relies on Linux's /proc.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { fsFailure, systemErrorCode } from './atomic-file.ts'

/** One process, unmistakably, for as long as the machine is up. */
export interface ProcessIdentity {
  pid: number
  /** Field 22 of /proc/PID/stat: start time in clock ticks since boot (proc(5)). */
  startTicks: number
}

/** The identity of a living process; null when there is none, or only a zombie. */
export function processIdentity(pid: number): ProcessIdentity | null {
  if (!Number.isSafeInteger(pid) || pid <= 0) return null
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return null
  }
  const startTicks = startOfLiving(stat)
  return startTicks === null ? null : { pid, startTicks }
}

/**
 * When a process started, in clock ticks since boot; null when nothing of it lives. A process that is killed looks like a
 * zombie as soon as its first thread has ended, while the others still hold its files, locks and sockets: it lives
 * until the last one is gone. @param stat what /proc/PID/stat says (proc(5))
 */
export function startOfLiving(stat: string): number | null {
  // The command name may hold spaces and brackets: count fields from the last closing bracket.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const state = fields[0]
  const threads = Number(fields[17])
  const startTicks = Number(fields[19])
  if (!Number.isFinite(startTicks) || state === 'X') return null
  return state === 'Z' && threads <= 1 ? null : startTicks
}

export function isAlive(identity: ProcessIdentity): boolean {
  return processIdentity(identity.pid)?.startTicks === identity.startTicks
}

/** The id of this boot; start times of two boots cannot be compared. */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}

/** Sends a signal unless the process is gone. A pid that was reused is never hit. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): void {
  if (!isAlive(identity)) return
  try {
    process.kill(identity.pid, signal)
  } catch (error) {
    if (systemErrorCode(error) !== 'ESRCH') throw error
  }
}

/** Waits until the process is gone. @returns false when it still lives after `timeoutMs`. */
export async function waitUntilDead(identity: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  const end = performance.now() + timeoutMs
  while (isAlive(identity)) {
    if (performance.now() >= end) return false
    await wait(20)
  }
  return true
}

/** SIGTERM, then SIGKILL after `graceMs`. @returns once the process is gone (10 s at most after SIGKILL). */
export async function endProcess(identity: ProcessIdentity, options: { graceMs: number }): Promise<void> {
  if (options.graceMs > 0) {
    signalProcess(identity, 'SIGTERM')
    if (await waitUntilDead(identity, options.graceMs)) return
  }
  signalProcess(identity, 'SIGKILL')
  await waitUntilDead(identity, 10_000)
}

/** Waits, and keeps this process alive meanwhile, also where `promise` hangs on a timer or child that does not. */
export async function stayAliveFor<T>(promise: Promise<T>): Promise<T> {
  const hold = setInterval(() => {}, 60_000)
  try {
    return await promise
  } finally {
    clearInterval(hold)
  }
}

export interface DetachedOptions {
  cwd: string
  /** Receives stdout and stderr, appended; 0600. */
  logPath: string
  env?: NodeJS.ProcessEnv
}

export interface ProcessExit {
  /** Exit code; null when a signal ended it, or when it is not known. */
  code: number | null
  signal: NodeJS.Signals | null
}

export interface DetachedProcess {
  identity: ProcessIdentity
  /** Resolves when it ends, as long as this process lives. */
  exited: Promise<ProcessExit>
}

/**
 * Starts a process in a session of its own (setsid), stdin from /dev/null, output to a file: it outlives this
 * process. @throws the system error of the start (ENOENT: no such program)
 */
export async function spawnDetached(
  command: string,
  args: readonly string[],
  options: DetachedOptions,
): Promise<DetachedProcess> {
  let log: number
  try {
    log = openSync(options.logPath, 'a', 0o600)
  } catch (error) {
    throw fsFailure(error, options.logPath)
  }
  let child: ChildProcess
  try {
    child = spawn(command, [...args], {
      cwd: options.cwd,
      detached: true,
      stdio: ['ignore', log, log],
      ...(options.env ? { env: options.env } : {}),
    })
  } finally {
    closeSync(log)
  }
  const exited = new Promise<ProcessExit>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }))
  })
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', reject)
  })
  child.on('error', () => {})
  child.unref()
  const pid = child.pid ?? 0
  // Already gone: an identity that no living process has.
  return { identity: processIdentity(pid) ?? { pid, startTicks: -1 }, exited }
}

export { runTool, ToolEnded, type ToolResult } from './run-tool.ts'

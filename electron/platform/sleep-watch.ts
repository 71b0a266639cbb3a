/**
 * Tells when this PC is about to sleep, and makes it wait a moment for what is to be done first: an inhibitor lock of
 * kind `delay` (logind's documentation of inhibitor locks), which logind honours for 5 s at most (InhibitDelayMaxSec).
 * Promises that the PC is never kept awake longer than the work takes. Relies on the programs `systemd-inhibit` and
 * `gdbus`; where one is missing it does nothing, and says so in the log.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Log } from './log.ts'

export interface SleepWatchOptions {
  /** What is to be done before the PC sleeps; never rejects. */
  beforeSleep: () => Promise<void>
  log: Log
  /** For tests: how the programs are started. */
  start?: typeof spawn
}

/** What may be done in those moments, in milliseconds: a little less than logind's 5 s. */
export const sleepDelayMs = 4500

const lockArgs = [
  '--what=sleep',
  '--mode=delay',
  '--who=Wireless Dock+',
  '--why=Checkpoints of running guests are being made',
  // Ends with the pipe to it, so with this program as well.
  'cat',
]
const monitorArgs = [
  'monitor',
  '--system',
  '--dest=org.freedesktop.login1',
  '--object-path=/org/freedesktop/login1',
]
const signalOf = /PrepareForSleep \((true|false),?\)/

export class SleepWatch {
  readonly #options: SleepWatchOptions
  #monitor: ChildProcess | null = null
  #lock: ChildProcess | null = null
  #isWanted = false

  constructor(options: SleepWatchOptions) {
    this.#options = options
  }

  /** Begins or ends to watch. */
  want(wanted: boolean): void {
    if (wanted === this.#isWanted) return
    this.#isWanted = wanted
    if (wanted) this.#begin()
    else this.close()
  }

  close(): void {
    this.#isWanted = false
    this.#monitor?.kill()
    this.#monitor = null
    this.#letGo()
  }

  #begin(): void {
    const monitor = this.#spawn('gdbus', monitorArgs)
    this.#monitor = monitor
    if (monitor.stdout === null) return
    createInterface({ input: monitor.stdout }).on('line', (line) => {
      const said = signalOf.exec(line)?.[1]
      if (said === 'true') void this.#onSleep()
      if (said === 'false') this.#hold()
    })
    this.#hold()
  }

  async #onSleep(): Promise<void> {
    this.#options.log.info('the PC is about to sleep')
    try {
      await this.#options.beforeSleep()
    } finally {
      this.#letGo()
    }
  }

  #hold(): void {
    if (this.#lock !== null || !this.#isWanted) return
    this.#lock = this.#spawn('systemd-inhibit', lockArgs)
  }

  #letGo(): void {
    this.#lock?.stdin?.end()
    this.#lock = null
  }

  #spawn(program: string, args: readonly string[]): ChildProcess {
    const { log, start = spawn } = this.#options
    const child = start(program, args, { stdio: ['pipe', 'pipe', 'ignore'] })
    child.on('error', (error) => log.info('the sleep of this PC cannot be watched', { program, error }))
    // Writing to one that has ended, or never began, is no failure.
    child.stdin?.on('error', () => {})
    return child
  }
}

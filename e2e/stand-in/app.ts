/** `electron.app`: the life cycle, with Electron's order of events at the end. */
import { EventEmitter } from 'node:events'
import { mkdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onPoke, record } from './desktop-log.ts'
import { loud, preventable } from './loud.ts'
import { takeInstanceLock } from './single-instance.ts'

/** Windows, as far as the life cycle must know them. */
export interface ClosableWindow {
  /** False when the app kept it open. */
  close(): boolean
}

export const openWindows = new Set<ClosableWindow>()
/** Run one after the other when the process ends by `exit`. */
export const atExit: (() => Promise<void>)[] = []

async function runAll(tasks: readonly (() => Promise<void>)[]): Promise<void> {
  for (const task of tasks) await task().catch((error: unknown) => process.stderr.write(`${String(error)}\n`))
}

class AppStandIn extends EventEmitter {
  readonly isPackaged = false
  readonly name = 'wireless-dock-plus'
  readonly #paths = new Map<string, string>()
  readonly #ready: Promise<void>
  #isReady = false
  #ending = false

  constructor() {
    super()
    // The first turn of the event loop is the app's own: it registers its schemes before Electron is ready.
    this.#ready = new Promise((resolve) => {
      setTimeout(() => {
        this.#isReady = true
        this.emit('ready', {})
        resolve()
      }, 20)
    })
  }

  whenReady = (): Promise<void> => this.#ready
  isReady = (): boolean => this.#isReady
  getVersion = (): string => process.env.npm_package_version ?? '0.1.0'
  getName = (): string => this.name
  enableSandbox = (): void => {
    if (this.#isReady) throw new Error('enableSandbox must be called before the app is ready')
    record.sandboxEnabled = true
  }
  setPath = (name: string, path: string): void => {
    this.#paths.set(name, path)
  }
  getPath = (name: string): string => {
    const path = this.#paths.get(name) ?? (name === 'temp' ? tmpdir() : undefined)
    if (path === undefined) throw new Error(`The stand-in for Electron has no path ${name}`)
    return path
  }
  setAsDefaultProtocolClient = (scheme: string): boolean => {
    record.protocolClients.push(scheme)
    return true
  }

  /** Electron starts the app again after its end; tests do it themselves. */
  relaunch = (): void => {}

  requestSingleInstanceLock = (): boolean =>
    takeInstanceLock(this.getPath('userData'), process.argv, (argv) => {
      this.emit('second-instance', {}, argv, process.cwd(), null)
    })

  quit = (): void => {
    if (this.#ending) return
    const before = preventable({})
    this.emit('before-quit', before)
    if (before.defaultPrevented) return
    for (const window of [...openWindows]) if (!window.close()) return
    const will = preventable({})
    this.emit('will-quit', will)
    if (!will.defaultPrevented) this.exit(0)
  }

  exit = (code = 0): void => {
    if (this.#ending) return
    this.#ending = true
    this.emit('quit', {}, code)
    void runAll(atExit).then(() => process.exit(code))
  }
}

const standIn = new AppStandIn()
onPoke('quit', () => standIn.quit())

/** The profile of the stand-in's Chromium; removed at the end. */
export function profileDir(): string {
  const dir = join(standIn.getPath('userData'), 'stand-in-chromium')
  mkdirSync(dir, { recursive: true })
  atExit.push(async () => rmSync(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }))
  return dir
}

export const app = loud('app', standIn)

/**
 * Windows that a program without Electron opens: the page in the installed Chromium, without tabs or address bar,
 * or the window of an installed Wireless Dock+. For Chromium it promises a profile of our own, so that nothing of
 * the person's is touched, and no background traffic. The address with its token stands on a command line that
 * others on this PC can read: it is of use to this user's programs only, for the local server answers no one else.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, constants, mkdirSync, readlinkSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fail } from '../../shared/errors/index.ts'
import type { Environment } from '../platform/paths.ts'
import { processIdentity } from '../platform/processes.ts'
import { sandboxArguments } from './sandbox.ts'

export interface WindowOptions {
  url: string
  /** Profiles are kept below this folder. */
  profileRoot: string
  env: Environment
  /** True where the window outlives this process; false where it is closed by it. */
  detached: boolean
}

export interface BrowserWindow {
  /** Resolves when the person has closed it. */
  closed: Promise<void>
  close(): void
}

const programs = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome', 'microsoft-edge']

/** True where a window can be shown. */
export function hasDisplay(env: Environment): boolean {
  return Boolean(env.DISPLAY || env.WAYLAND_DISPLAY)
}

/** The path of Chromium or a relative of it; null where there is none. `WDOCK_BROWSER` names another. */
export function findBrowser(env: Environment): string | null {
  const names = env.WDOCK_BROWSER ? [env.WDOCK_BROWSER] : programs
  const folders = (env.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
  const paths = names.flatMap((name) => (name.includes('/') ? [name] : folders.map((dir) => join(dir, name))))
  return paths.find(isProgram) ?? null
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** @throws command.no_display, command.no_browser */
export async function openWindow(options: WindowOptions): Promise<BrowserWindow> {
  const { env, url } = options
  if (!hasDisplay(env)) throw fail('command.no_display', { url })
  const program = findBrowser(env)
  if (program === null) throw fail('command.no_browser', { url })
  const profileDir = freeProfile(options.profileRoot)
  const child = spawn(program, windowArguments(url, profileDir), {
    env: { ...env },
    detached: options.detached,
    stdio: 'ignore',
  })
  const closed = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  await started(child).catch((error: unknown) => {
    throw fail('command.no_browser', { url }, { detail: String(error), cause: error })
  })
  if (options.detached) child.unref()
  const close = (): void => void child.kill('SIGTERM')
  if (!options.detached) closeWithUs(child, close)
  return { closed, close }
}

export interface OwnWindowOptions {
  /** Electron's program. */
  program: string
  /** The view to show, as a `wdock:` link. */
  link: string
  /** Where else to look, for the error. */
  url: string
  env: Environment
}

/** Starts the window of an installed Wireless Dock+, or brings it to the front. @throws command.no_display */
export async function openOwnWindow({ program, link, url, env }: OwnWindowOptions): Promise<void> {
  if (!hasDisplay(env)) throw fail('command.no_display', { url })
  const args = [...sandboxArguments(), link]
  const child = spawn(program, args, { env: { ...env }, detached: true, stdio: 'ignore' })
  await started(child)
  child.unref()
}

function windowArguments(url: string, profileDir: string): string[] {
  const sandbox = sandboxArguments()
  return [
    `--app=${url}`,
    `--user-data-dir=${profileDir}`,
    '--class=wireless-dock',
    '--window-size=1180,780',
    '--no-first-run',
    '--no-default-browser-check',
    '--disable-background-networking',
    '--disable-breakpad',
    '--disable-component-update',
    '--disable-default-apps',
    '--disable-extensions',
    '--disable-features=Translate,MediaRouter,OptimizationHints,AutofillServerCommunication',
    '--disable-sync',
    '--metrics-recording-only',
    '--password-store=basic',
    ...sandbox,
    // Keeps Chromium from warning about a sandbox that was given up.
    ...(sandbox.length > 0 ? ['--test-type'] : []),
  ]
}

/** The first profile that no living Chromium holds: a held one would hand the page on and end at once. */
function freeProfile(root: string): string {
  for (let n = 1; ; n += 1) {
    const dir = join(root, n === 1 ? 'browser' : `browser-${n}`)
    if (!isHeld(dir)) {
      mkdirSync(dir, { recursive: true, mode: 0o700 })
      return dir
    }
  }
}

/** Chromium's `SingletonLock` is a link to `<host name>-<pid>`. */
function isHeld(profileDir: string): boolean {
  try {
    const owner = readlinkSync(join(profileDir, 'SingletonLock'))
    return processIdentity(Number(owner.slice(owner.lastIndexOf('-') + 1))) !== null
  } catch {
    return false
  }
}

function started(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', reject)
  })
}

function closeWithUs(child: ChildProcess, close: () => void): void {
  process.once('exit', close)
  child.once('exit', () => process.off('exit', close))
}

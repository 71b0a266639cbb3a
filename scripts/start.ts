/**
 * `npm start`: the daily program. Promises a window: Electron's own where its binary is, else the same page in
 * the installed Chromium, on the host that already runs or on one of its own. Closing a window on another's host
 * ends this program; its own host goes on until Ctrl-C unless the settings say otherwise. Running guests go on in
 * every case.
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { runAgent } from '../electron/agent.ts'
import { hasDisplay, openWindow } from '../electron/browser/open-window.ts'
import { sandboxArguments } from '../electron/browser/sandbox.ts'
import { findHost } from '../electron/ipc/connect.ts'
import type { HostFile } from '../electron/ipc/host-file.ts'
import { resolvePaths } from '../electron/platform/paths.ts'
import { isCode, toWdockError } from '../shared/errors/index.ts'
import { findElectron } from './lib/electron-binary.ts'

const root = join(import.meta.dirname, '..')

function runElectron(program: string): Promise<number> {
  const args = [...sandboxArguments(), join(root, 'dist', 'main.mjs'), ...process.argv.slice(2)]
  const child = spawn(program, args, { stdio: 'inherit' })
  // A terminal's Ctrl-C reaches the child by itself; a signal to this process alone is passed on.
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal)
  process.on('SIGINT', () => {}).on('SIGTERM', pass)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => resolve(code ?? 1))
  })
}

async function runInChromium(): Promise<number> {
  process.stderr.write("Electron's own window is not installed here; opening the same page in Chromium.\n")
  const running = await findHost(process.env)
  if (running !== null) return await attach(running)
  return await runAgent({ env: process.env, window: 'ours', json: false })
}

/** A window on a host that was there before, and stays. */
async function attach(host: HostFile): Promise<number> {
  const url = `${host.url}#token=${host.token}`
  process.stdout.write(`Wireless Dock+ is running already. Its page: ${url}\n`)
  if (!hasDisplay(process.env)) {
    process.stderr.write('There is no display here. Open the address above in a browser on this PC.\n')
    return 0
  }
  const profileRoot = resolvePaths(process.env).config
  const window = await openWindow({ url, profileRoot, env: process.env, detached: false })
  process.once('SIGINT', () => window.close()).once('SIGTERM', () => window.close())
  await window.closed
  return 0
}

try {
  const electron = findElectron()
  process.exitCode = electron === null ? await runInChromium() : await runElectron(electron)
} catch (thrown) {
  const error = toWdockError(thrown)
  const detail = isCode(error, 'host.unexpected') ? (error.detail ?? '') : ''
  process.stderr.write(`${[error.message, error.fix, detail].join('\n').trim()}\n`)
  process.exitCode = 1
}

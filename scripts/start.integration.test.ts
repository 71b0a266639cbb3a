/** `npm start` where Electron is missing: what closing its window does. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { connectToHost, findHost } from '../electron/ipc/connect.ts'
import { choosePaths } from '../electron/platform/paths.ts'

let home: string
let env: NodeJS.ProcessEnv
let program: ChildProcess
let said: string

beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'wst-'))
  // A window that stays open until a file says that the person has closed it.
  const browser = join(home, 'browser')
  writeFileSync(browser, `#!/bin/sh\nwhile [ ! -e '${home}/close' ]; do sleep 0.05; done\n`, { mode: 0o755 })
  env = {
    ...process.env,
    WDOCK_HOME: home,
    WDOCK_PORT: '0',
    WDOCK_BIND: '127.0.0.1',
    WDOCK_DISCOVERY: 'off',
    WDOCK_BROWSER: browser,
    DISPLAY: ':9',
    ELECTRON_OVERRIDE_DIST_PATH: join(home, 'no-electron'),
  }
  program = start()
  await expect.poll(() => findHost(env), { timeout: 10_000 }).not.toBeNull()
})

afterEach(async () => {
  writeFileSync(join(home, 'close'), '')
  if (program.exitCode === null) {
    program.kill('SIGTERM')
    await once(program, 'exit')
  }
  rmSync(choosePaths(env).runtime, { recursive: true, force: true })
  rmSync(home, { recursive: true, force: true })
})

function start(): ChildProcess {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'start.ts')], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  said = ''
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  return child
}

const closeWindow = () => writeFileSync(join(home, 'close'), '')

it('goes on for other PCs when its window is closed, and says so', async () => {
  closeWindow()
  await expect.poll(() => said, { timeout: 5000 }).toContain('The window is closed. Wireless Dock+ goes on')
  const { client, close } = await connectToHost(env)
  expect((await client.state.get()).settings.whenClosed).toBe('stay')
  await close()
})

it('shows the host that runs when it is started again, and leaves it running', async () => {
  const again = start()
  await expect.poll(() => said, { timeout: 5000 }).toContain('opening the same page in Chromium')
  closeWindow()
  if (again.exitCode === null) await once(again, 'exit')
  expect(again.exitCode).toBe(0)
  expect(await findHost(env)).not.toBeNull()
})

it('ends with its window where the settings say so', async () => {
  const { client, close } = await connectToHost(env)
  await client.settings.change({ whenClosed: 'quit' })
  await close()
  closeWindow()
  if (program.exitCode === null) await once(program, 'exit')
  expect(program.exitCode).toBe(0)
  expect(await findHost(env)).toBeNull()
})

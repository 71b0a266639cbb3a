import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { z } from 'zod'
import { connectToHost } from './ipc/connect.ts'
import { hostFilePath } from './ipc/host-file.ts'
import { resolvePaths } from './platform/paths.ts'

let root: string
let running: ChildProcess[] = []

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'wdock-agent-'))
})
afterEach(async () => {
  for (const child of running) if (child.exitCode === null && child.kill('SIGKILL')) await once(child, 'exit')
  running = []
  rmSync(resolvePaths({ WDOCK_HOME: root }).runtime, { recursive: true, force: true })
  rmSync(root, { recursive: true, force: true })
})

const firstLine = z.union([
  z.object({ ready: z.literal(true), url: z.string(), pageUrl: z.string(), pid: z.number() }),
  z.object({ error: z.object({ code: z.string() }) }),
])

/** Starts a host on the test's folders. @returns the process and its ready line, or its failure */
async function startAgent(program: string, ...args: string[]) {
  const child = spawn(process.execPath, [join(import.meta.dirname, program), ...args, '--json'], {
    env: {
      ...process.env,
      WDOCK_HOME: root,
      WDOCK_BIND: '127.0.0.1',
      WDOCK_DISCOVERY: 'off',
      WDOCK_PORT: '0',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  running.push(child)
  const [line] = await once(createInterface({ input: child.stdout }), 'line')
  return { child, said: firstLine.parse(JSON.parse(String(line))) }
}

async function exitCodeOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  return child.exitCode
}

it('a host without a window serves until SIGTERM, through a closed terminal, and clears up', async () => {
  const { child, said } = await startAgent('headless.ts')
  expect(said).toMatchObject({ ready: true, pid: child.pid })
  child.kill('SIGHUP')
  const { client, close, host } = await connectToHost({ WDOCK_HOME: root })
  expect((await client.state.get()).info.dataDir).toBe(join(root, 'data'))
  const policy = (await fetch(host.url)).headers.get('content-security-policy')
  expect(policy).toContain("default-src 'none'")
  await close()
  child.kill('SIGTERM')
  expect(await exitCodeOf(child)).toBe(0)
  expect(existsSync(hostFilePath(resolvePaths({ WDOCK_HOME: root }).runtime))).toBe(false)
})

it('a second host on the same folders is refused by name, and the first goes on', async () => {
  await startAgent('headless.ts')
  const second = await startAgent('headless.ts')
  expect(second.said).toMatchObject({ error: { code: 'host.already_running' } })
  expect(await exitCodeOf(second.child)).toBe(1)
  const { client, close } = await connectToHost({ WDOCK_HOME: root })
  await client.state.get()
  await close()
})

it('wdock agent ends when a face asks it to quit', async () => {
  const { child } = await startAgent('cli/wdock.ts', 'agent')
  const { client, closed } = await connectToHost({ WDOCK_HOME: root })
  await client.host.quit()
  await closed
  expect(await exitCodeOf(child)).toBe(0)
})

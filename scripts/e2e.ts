/**
 * Runs the end-to-end flows: `node scripts/e2e.ts [arguments of playwright test]`. Where network namespaces may be
 * made, "Laptop" gets one and everything else of the run — "This PC", its windows, the test itself — the other, so
 * that the two docks are two PCs on one cable, and runs at the same time do not see each other. Where not, both docks
 * share one address and its ports: runs wait for each other, and the flows that pull the cable say that they did not
 * run. Promises to end in order at a signal, with nothing left.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { systemErrorCode } from '../electron/platform/atomic-file.ts'
import { createNamespacePair, type NamespacePair, namespacesAllowed } from '../electron/testing/namespaces.ts'

const root = join(import.meta.dirname, '..')
const interruption = new AbortController()
const { signal } = interruption
let running: ChildProcess | null = null
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    interruption.abort()
    // The only signal at which Playwright still runs what tidies up.
    running?.kill('SIGINT')
  })
}

/** @returns the exit code */
async function runPlaywright(pair: NamespacePair | null): Promise<number> {
  signal.throwIfAborted()
  const playwright = join(root, 'node_modules', '@playwright', 'test', 'cli.js')
  const command = [process.execPath, playwright, 'test', ...process.argv.slice(2)]
  const [program = '', ...args] = pair === null ? command : ['ip', 'netns', 'exec', pair.b.name, ...command]
  const env = pair === null ? process.env : { ...process.env, WDOCK_E2E_PAIR: pair.id }
  running = spawn(program, args, { cwd: root, env, stdio: 'inherit' })
  const [code] = (await once(running, 'exit')) as [number | null]
  return code ?? 1
}

async function runOnTwoPcs(): Promise<number> {
  const pair = await createNamespacePair()
  try {
    return await runPlaywright(pair)
  } finally {
    await pair.destroy()
  }
}

async function runOnOneAddress(): Promise<number> {
  process.stderr.write('Network namespaces are not allowed here: both docks share one address.\n')
  const giveBack = await takeTheAddress()
  try {
    return await runPlaywright(null)
  } finally {
    giveBack()
  }
}

/**
 * Waits until no other run has the docks' ports. A socket in the abstract namespace of Linux reaches as far as a port
 * does, and goes with its process. @returns what gives the ports back
 */
async function takeTheAddress(): Promise<() => void> {
  for (let attempt = 1; ; attempt += 1) {
    const server = createServer().listen('\0wdock-e2e-one-address')
    try {
      await once(server, 'listening')
      return () => server.close()
    } catch (error) {
      if (systemErrorCode(error) !== 'EADDRINUSE') throw error
      if (attempt === 1) process.stderr.write('Another run has it: this one waits for its end.\n')
      await wait(200, undefined, { signal })
    }
  }
}

try {
  process.exitCode = await ((await namespacesAllowed()) ? runOnTwoPcs() : runOnOneAddress())
} catch (error) {
  if (!signal.aborted) throw error
  process.exitCode = 130
}

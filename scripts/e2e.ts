/**
 * Runs the end-to-end flows: `node scripts/e2e.ts [arguments of playwright test]`. Where network namespaces may be
 * made, "Laptop" gets one and everything else of the run — "This PC", its windows, the test itself — the other, so
 * that the two docks are two PCs on one cable. Where not, both docks share one address, and the flows that pull
 * the cable say that they did not run.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createNamespacePair, type NamespacePair, namespacesAllowed } from '../electron/testing/namespaces.ts'

const root = join(import.meta.dirname, '..')

async function runPlaywright(pair: NamespacePair | null): Promise<number> {
  const playwright = join(root, 'node_modules', '@playwright', 'test', 'cli.js')
  const command = [process.execPath, playwright, 'test', ...process.argv.slice(2)]
  const [program = '', ...args] = pair === null ? command : ['ip', 'netns', 'exec', pair.b.name, ...command]
  const env = pair === null ? process.env : { ...process.env, WDOCK_E2E_PAIR: pair.id }
  const child = spawn(program, args, { cwd: root, env, stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal))
  const [code] = (await once(child, 'exit')) as [number | null]
  return code ?? 1
}

const pair = (await namespacesAllowed()) ? await createNamespacePair() : null
if (pair === null)
  process.stderr.write('Network namespaces are not allowed here: both docks share one address.\n')
try {
  process.exitCode = await runPlaywright(pair)
} finally {
  await pair?.destroy()
}

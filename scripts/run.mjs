/**
 * Runs one of the project's programs under Node 24, after setting up what it needs:
 *
 *   node scripts/run.mjs <demo|start|wdock|test|e2e-electron|bench-NAME> [arguments…]
 *
 * Promises: stdout belongs to the program; a signal reaches it once, and this process waits for its clean-up
 * and ends with its exit code. Needs no npm packages itself.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { node24, repository } from './lib/npm.mjs'
import { Advice, report } from './lib/progress.mjs'
import { setup } from './setup.mjs'

/** Ctrl-C in a terminal arrives twice, from the terminal and from npm: the second within this time is the same. */
const SAME_SIGNAL_MS = 700
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP']

/** @param {string} name @param {string[]} args @returns {{ script: string, purpose: string }} */
function targetOf(name, args) {
  const bench = /^bench-([a-z-]+)$/.exec(name ?? '')?.[1]
  if (bench !== undefined) return { script: `bench/${bench}.ts`, purpose: 'test' }
  const targets = {
    demo: { script: 'scripts/demo.ts', purpose: args.includes('--headless') ? 'headless' : 'demo' },
    start: { script: 'scripts/start.ts', purpose: 'start' },
    wdock: { script: 'dist/wdock.mjs', purpose: 'wdock' },
    test: { script: 'scripts/test.mjs', purpose: 'test' },
    'e2e-electron': { script: 'scripts/e2e-electron.ts', purpose: 'test' },
  }
  const target = Object.hasOwn(targets, name) ? targets[name] : undefined
  if (target === undefined)
    throw new Advice(`Usage: run.mjs <${Object.keys(targets).join('|')}|bench-NAME> […]`, 2)
  return target
}

/** Its own process group, so that the terminal's Ctrl-C reaches the program only through here. */
function runProgram(script, args, cwd) {
  const PATH = `${dirname(node24)}${delimiter}${process.env.PATH ?? ''}`
  const env = { ...process.env, PATH }
  const child = spawn(node24, [script, ...args], { cwd, env, stdio: 'inherit', detached: true })
  let forwarded = { signal: '', atMs: 0 }
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      const atMs = Date.now()
      if (forwarded.signal === signal && atMs - forwarded.atMs < SAME_SIGNAL_MS) return
      forwarded = { signal, atMs }
      child.kill(signal)
    })
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve(code ?? 128 + (constants.signals[signal] ?? 0)))
  })
}

async function main([name, ...args]) {
  const { script, purpose } = targetOf(name, args)
  const quiet = purpose === 'wdock' || args.includes('--json')
  await setup(purpose, { quiet })
  const path = join(repository, script)
  if (!existsSync(path)) throw new Advice(`${script} does not exist in this version.`, 2)
  // npm changes to the repository; file names on the command line mean the folder where it was typed.
  const cwd = purpose === 'wdock' ? (process.env.INIT_CWD ?? process.cwd()) : repository
  process.exitCode = await runProgram(path, args, cwd)
}

await main(process.argv.slice(2)).catch(report)

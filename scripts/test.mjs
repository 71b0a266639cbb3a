/**
 * The whole test run: lint and layer rules, types, dead code, unit, integration, flows; then a look at what was
 * left behind. Every stage runs even when one before it failed.
 *
 *   node scripts/test.mjs [stage…]      a stage by its first word: lint, types, dead, unit, integration, e2e
 *
 * Promises: the last line is `N passed, N failed` (and `, N skipped`); exit code 0 only if nothing failed. Relies
 * on what setup.mjs installs, and on the environment being inherited by whatever a test starts.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { endMarked, leftovers, ourNamespaces } from './lib/leftovers.mjs'
import { repository } from './lib/npm.mjs'
import { countOf, stages } from './lib/test-stages.mjs'

const runId = randomBytes(6).toString('hex')
const marker = `WDOCK_TEST_RUN=${runId}`
// A short name: paths of unix sockets below it may have 107 bytes.
const temporary = mkdtempSync(join(tmpdir(), 'wt-'))
const reports = mkdtempSync(join(tmpdir(), 'wt-reports-'))
const namespacesBefore = ourNamespaces()
const total = { passed: 0, failed: 0, skipped: 0 }
/** @type {import('node:child_process').ChildProcess | null} */
let running = null
let interrupted = false

/** @param {import('./lib/test-stages.mjs').Stage} stage @returns {Promise<boolean>} */
function runStage(stage) {
  const own = join(repository, 'node_modules/.bin')
  const child = spawn(join(own, stage.command[0]), stage.command.slice(1), {
    cwd: repository,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env,
      ...stage.env,
      PATH: `${own}${delimiter}${process.env.PATH ?? ''}`,
      TMPDIR: temporary,
      WDOCK_TEST_RUN: runId,
    },
  })
  running = child
  return new Promise((resolve) => {
    child.on('error', (error) => {
      process.stdout.write(`${error.message}\n`)
      resolve(false)
    })
    child.on('close', (code) => resolve(code === 0))
  })
}

/** @param {import('./lib/test-stages.mjs').Stage} stage */
async function judge(stage) {
  if (stage.needs !== undefined && !existsSync(join(repository, stage.needs))) return
  process.stdout.write(`\n=== ${stage.name} ===\n`)
  const startedAtMs = Date.now()
  const counts = countOf(stage, await runStage(stage))
  for (const key of Object.keys(total)) total[key] += counts[key]
  const seconds = ((Date.now() - startedAtMs) / 1000).toFixed(1)
  process.stdout.write(`--- ${stage.name}: ${counts.passed} passed, ${counts.failed} failed, ${seconds} s\n`)
}

async function lookForLeftovers() {
  process.stdout.write('\n=== nothing left behind ===\n')
  const left = await leftovers({ marker, namespacesBefore, temporary })
  for (const line of left) process.stdout.write(`${line}\n`)
  endMarked(marker)
  total[left.length === 0 ? 'passed' : 'failed'] += 1
  process.stdout.write(`--- ${left.length === 0 ? 'nothing' : `${left.length} left`}\n`)
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    interrupted = true
    running?.kill(signal)
  })
}

mkdirSync(temporary, { recursive: true })
const wanted = process.argv.slice(2)
const chosen = stages(reports).filter(
  ({ name }) => wanted.length === 0 || wanted.includes(name.split(' ')[0]),
)
try {
  for (const stage of chosen) if (!interrupted) await judge(stage)
  await lookForLeftovers()
} finally {
  for (const folder of [temporary, reports]) rmSync(folder, { recursive: true, force: true })
}
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : ''
process.stdout.write(`\n${total.passed} passed, ${total.failed} failed${skipped}\n`)
process.exitCode = interrupted ? 130 : total.failed > 0 || chosen.length === 0 ? 1 : 0

/**
 * The whole test run: lint and layer rules, types, dead code, unit, integration, flows; then a look at what was
 * left behind. Every stage runs even when one before it failed; some run side by side.
 *
 *   node scripts/test.mjs [stage…]      stages by their first word: lint, types, dead, unit, integration,
 *                                       integration-moves, integration-disks,
 *                                       integration-vault, e2e
 *
 * Promises: what failed, also where it passed at the second try, is named once more at the end; the last line is `N passed, N failed` (and `, N skipped`); exit
 * code 0 only if nothing failed. Relies on what setup.mjs installs, and on the environment being inherited by whatever
 * a test starts.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { endMarked, leftovers, ourNamespaces } from './lib/leftovers.mjs'
import { repository } from './lib/npm.mjs'
import { StageRunner } from './lib/stage-runner.mjs'
import { outcomeOf, rounds, stages } from './lib/test-stages.mjs'

const runId = randomBytes(6).toString('hex')
const marker = `WDOCK_TEST_RUN=${runId}`
// A short name: paths of unix sockets below it may have 107 bytes.
const temporary = mkdtempSync(join(tmpdir(), 'wt-'))
const reports = mkdtempSync(join(tmpdir(), 'wt-reports-'))
const namespacesBefore = ourNamespaces()
const total = { passed: 0, failed: 0, skipped: 0 }
/** What failed, told once more at the end, where it is looked for. */
const failures = []
/** What passed at the second try only. */
const shaky = []
const programs = join(repository, 'node_modules/.bin')
const print = (text) => process.stdout.write(text)

const runner = new StageRunner({
  programs,
  cwd: repository,
  env: {
    ...process.env,
    PATH: `${programs}${delimiter}${process.env.PATH ?? ''}`,
    TMPDIR: temporary,
    // Hosts that tests start from their sources start in half the time.
    NODE_COMPILE_CACHE: join(repository, 'node_modules/.cache/compiled'),
    WDOCK_TEST_RUN: runId,
  },
  folder: reports,
  lanes: availableParallelism(),
  print,
  began: (stage) => print(`\n=== ${stage.name} ===\n`),
  ended: (stage, { ok, seconds }) => {
    const counts = outcomeOf(stage, ok)
    failures.push(...counts.failures.map((failure) => ({ stage: stage.name, ...failure })))
    shaky.push(...counts.shaky.map((failure) => ({ stage: stage.name, ...failure })))
    for (const key of Object.keys(total)) total[key] += counts[key]
    const figures = `${counts.passed} passed, ${counts.failed} failed, ${seconds.toFixed(1)} s`
    print(`--- ${stage.name}: ${figures}\n`)
  },
})

/** Lines of one failure at the end. */
const longestStory = 60
function tellWhole(what, { stage, name, why }) {
  const lines = why.split('\n').slice(0, longestStory)
  print(`\n=== ${what}: ${stage}: ${name.replace(`${repository}/`, '')} ===\n${lines.join('\n')}\n`)
}
const inShort = ({ stage, name, why }) =>
  `- ${stage}: ${name.replace(`${repository}/`, '')}: ${why.split('\n', 1)[0]}`

async function lookForLeftovers() {
  print('\n=== nothing left behind ===\n')
  const left = await leftovers({ marker, namespacesBefore, temporary })
  for (const line of left) print(`${line}\n`)
  endMarked(marker)
  total[left.length === 0 ? 'passed' : 'failed'] += 1
  if (left.length > 0) failures.push({ stage: 'nothing left behind', name: 'left', why: left.join('\n') })
  print(`--- ${left.length === 0 ? 'nothing' : `${left.length} left`}\n`)
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => runner.interrupt(signal))

const wanted = process.argv.slice(2)
const chosen = stages(reports)
  .filter(({ name }) => wanted.length === 0 || wanted.includes(name.split(' ')[0]))
  .filter(({ needs }) => needs === undefined || existsSync(resolve(repository, needs)))
try {
  for (const round of rounds(chosen)) {
    if (runner.interrupted) break
    if (round.length > 1) print(`\nSide by side: ${round.map(({ name }) => name).join(', ')}\n`)
    await runner.run(round)
  }
  await lookForLeftovers()
} finally {
  for (const folder of [temporary, reports]) rmSync(folder, { recursive: true, force: true })
}
for (const each of shaky) tellWhole('failed at the first try', each)
for (const each of failures) tellWhole('failed', each)
if (shaky.length > 0) print(`\nPassed at the second try:\n${shaky.map(inShort).join('\n')}\n`)
if (failures.length > 1) print(`\nIn short:\n${failures.map(inShort).join('\n')}\n`)
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : ''
print(`\n${total.passed} passed, ${total.failed} failed${skipped}\n`)
process.exitCode = runner.interrupted ? 130 : total.failed > 0 || chosen.length === 0 ? 1 : 0

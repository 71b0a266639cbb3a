/**
 * The stages of `npm test`, in order, which of them run side by side, and how the outcome of each is read from its
 * report: counts, and what failed. A stage without a reporter is one check. A stage that fails without naming a failed
 * test still counts as one failure.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * @typedef {{ passed: number, failed: number, skipped: number }} Counts
 * @typedef {{ count: (report: any) => Counts, failures: (report: any) => Failure[],
 *   shaky: (report: any) => Failure[] }} Reader  `shaky`: what passed at the second try
 * @typedef {{ name: string, why: string }} Failure  `why` as the test runner said it, may be long or empty
 * @typedef {{ name: string, command: string[], beside?: string, needs?: string, env?: Record<string, string>,
 *   report?: string, reader?: Reader }} Stage
 */

/** @type {Reader} */
const vitestReader = {
  count: (report) => ({
    passed: report.numPassedTests,
    failed: report.numFailedTests,
    skipped: report.numPendingTests + (report.numTodoTests ?? 0),
  }),
  shaky: ({ testResults }) =>
    testResults.flatMap(({ name: file, assertionResults }) =>
      assertionResults
        .filter((test) => test.status === 'passed' && test.failureMessages.length > 0)
        .map((test) => ({ name: `${file} › ${test.fullName}`, why: test.failureMessages.join('\n') })),
    ),
  failures: ({ testResults }) =>
    testResults.flatMap(({ name: file, status, message, assertionResults }) => {
      const failed = assertionResults.filter((test) => test.status === 'failed')
      if (failed.length === 0 && status === 'failed') return [{ name: file, why: message }]
      return failed.map((test) => ({
        name: `${file} › ${test.fullName}`,
        why: test.failureMessages.join('\n'),
      }))
    }),
}

/** @type {Reader} */
const playwrightReader = {
  count: ({ stats }) => ({
    passed: stats.expected + stats.flaky,
    failed: stats.unexpected,
    skipped: stats.skipped,
  }),
  shaky: ({ suites }) => suites.flatMap((suite) => toldSpecs(suite, (spec) => spec.ok)),
  failures: ({ suites }) => suites.flatMap((suite) => toldSpecs(suite, (spec) => !spec.ok)),
}

/** Those of which some try failed. @returns {Failure[]} */
function toldSpecs({ specs = [], suites = [] }, isMeant) {
  const errorsOf = (spec) => spec.tests.flatMap((test) => test.results.flatMap(({ errors }) => errors))
  const found = specs
    .filter(isMeant)
    .map((spec) => ({ spec, errors: errorsOf(spec) }))
    .filter(({ spec, errors }) => !spec.ok || errors.length > 0)
  return [
    ...found.map(({ spec, errors }) => ({
      name: `${spec.file} › ${spec.title}`,
      why: errors.map(({ message }) => message).join('\n'),
    })),
    ...suites.flatMap((suite) => toldSpecs(suite, isMeant)),
  ]
}

/** The program that `findElectron` of electron-binary.ts looks for, for a Node that cannot read that. */
const electronBinary = () =>
  join(process.env.ELECTRON_OVERRIDE_DIST_PATH || 'node_modules/electron/dist', 'electron')

/**
 * Unit tests have the machine to themselves: they use both cores. What starts real programs mostly waits, for guests that
 * boot, windows and timers: those stages run side by side, the longest first.
 * @param {string} folder for the reports @returns {Stage[]}
 */
export function stages(folder) {
  const vitest = (project, more = {}) => {
    const report = join(folder, `${project}.json`)
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
    const command = ['vitest', 'run', '--project', project, ...reporters]
    return { name: project, command, needs: 'vitest.config.ts', report, reader: vitestReader, ...more }
  }
  // A flow that has a stage of its own keeps the pictures of its failures in a folder of its own.
  const playwright = (project, flow = null, needs = 'playwright.config.ts') => {
    const name = flow === null ? project : `${project}-${flow}`
    const report = join(folder, `e2e-${name}.json`)
    const command = ['node', 'scripts/e2e.ts', `--project=${project}`, '--reporter=list,json']
    if (flow !== null) command.push(`--output=test-results/${name}`, `flows/${flow}`)
    const env = { PLAYWRIGHT_JSON_OUTPUT_NAME: report, PLAYWRIGHT_JSON_OUTPUT_FILE: report }
    return { name: `e2e ${name}`, command, beside: 'programs', needs, env, report, reader: playwrightReader }
  }
  return [
    {
      name: 'lint and layer rules',
      command: ['biome', 'check', '--error-on-warnings', '.'],
      beside: 'sources',
    },
    { name: 'types', command: ['tsc', '--noEmit'], beside: 'sources' },
    { name: 'dead code', command: ['knip'], beside: 'sources', needs: 'knip.json' },
    vitest('unit'),
    vitest('integration', { beside: 'programs' }),
    vitest('integration-moves', { beside: 'programs' }),
    // Moving in both faces, the others in one; `npm run e2e` runs all in both.
    playwright('electron-face'),
    vitest('integration-disks', { beside: 'programs' }),
    vitest('integration-vault', { beside: 'programs' }),
    playwright('browser', 'move'),
    playwright('stand-in', 'move'),
    playwright('stand-in', 'checkpoints'),
    playwright('browser', 'lending'),
    playwright('electron', null, electronBinary()),
  ]
}

/** Neighbours that are `beside` the same run side by side, everything else alone. @param {Stage[]} list @returns {Stage[][]} */
export function rounds(list) {
  const found = []
  for (const stage of list) {
    const last = found.at(-1)
    if (stage.beside !== undefined && stage.beside === last?.[0]?.beside) last.push(stage)
    else found.push([stage])
  }
  return found
}

/**
 * @param {Stage} stage @param {boolean} ok whether its command ended with 0
 * @returns {Counts & { failures: Failure[], shaky: Failure[] }}
 */
export function outcomeOf(stage, ok) {
  const unnamed = { name: stage.name, why: 'It failed without naming a test: see what it printed.' }
  const single = {
    passed: ok ? 1 : 0,
    failed: ok ? 0 : 1,
    skipped: 0,
    failures: ok ? [] : [unnamed],
    shaky: [],
  }
  if (stage.reader === undefined || stage.report === undefined || !existsSync(stage.report)) return single
  try {
    const report = JSON.parse(readFileSync(stage.report, 'utf8'))
    const counts = stage.reader.count(report)
    const shaky = stage.reader.shaky(report)
    if (ok) return { ...counts, failures: [], shaky }
    const failures = stage.reader.failures(report)
    return {
      ...counts,
      failed: Math.max(counts.failed, 1),
      failures: failures.length > 0 ? failures : [unnamed],
      shaky,
    }
  } catch {
    return { ...single, passed: 0, failed: 1, failures: [unnamed] }
  }
}

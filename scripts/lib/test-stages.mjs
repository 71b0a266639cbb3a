/**
 * The stages of `npm test`, in order, and how the outcome of each is counted. A stage without a reporter is one
 * check. A stage that fails without naming a failed test still counts as one failure.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * @typedef {{ passed: number, failed: number, skipped: number }} Counts
 * @typedef {{ name: string, command: string[], needs?: string, env?: Record<string, string>,
 *   report?: string, count?: (report: any) => Counts }} Stage
 */

/** @returns {Counts} */
const fromVitest = (report) => ({
  passed: report.numPassedTests,
  failed: report.numFailedTests,
  skipped: report.numPendingTests + (report.numTodoTests ?? 0),
})

/** A flow that passed at the second try passed. @returns {Counts} */
const fromPlaywright = ({ stats }) => ({
  passed: stats.expected + stats.flaky,
  failed: stats.unexpected,
  skipped: stats.skipped,
})

/** @param {string} folder for the reports @returns {Stage[]} */
export function stages(folder) {
  const vitest = (project) => {
    const report = join(folder, `${project}.json`)
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
    const command = ['vitest', 'run', '--project', project, ...reporters]
    return { name: project, command, needs: 'vitest.config.ts', report, count: fromVitest }
  }
  const flows = join(folder, 'e2e.json')
  return [
    { name: 'lint and layer rules', command: ['biome', 'check', '--error-on-warnings', '.'] },
    { name: 'types', command: ['tsc', '--noEmit'] },
    { name: 'dead code', command: ['knip'], needs: 'knip.json' },
    vitest('unit'),
    vitest('integration'),
    {
      name: 'e2e',
      command: ['node', 'scripts/e2e.ts', '--reporter=list,json'],
      needs: 'playwright.config.ts',
      env: { PLAYWRIGHT_JSON_OUTPUT_NAME: flows, PLAYWRIGHT_JSON_OUTPUT_FILE: flows },
      report: flows,
      count: fromPlaywright,
    },
  ]
}

/** @param {Stage} stage @param {boolean} ok whether its command ended with 0 @returns {Counts} */
export function countOf(stage, ok) {
  const single = { passed: ok ? 1 : 0, failed: ok ? 0 : 1, skipped: 0 }
  if (stage.count === undefined || stage.report === undefined || !existsSync(stage.report)) return single
  try {
    const counts = stage.count(JSON.parse(readFileSync(stage.report, 'utf8')))
    return ok || counts.failed > 0 ? counts : { ...counts, failed: 1 }
  } catch {
    return { ...single, passed: 0, failed: 1 }
  }
}

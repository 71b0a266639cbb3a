/**
 * `npm run bench:links [-- --quick] [--only NAME] [--rounds N] [--keep] [--json]`: how long a guest takes across a slow link:
 * ours on a first visit, on a return and to a warm dock, beside QEMU's own ways, on the same guest and the same shaped link,
 * in turns in one run; each promise beside its figure, and the paper's Figure 4. NAME is `goals`, `figure`, or what the guest
 * does: `idle`, `fill`, `dirty`, `terminal`, `video`, `mixed`. `--keep` writes a run of everything, or of one of both parts, to
 * bench/results. Needs root for
 * network namespaces. Promises that nothing is left running, whatever ends it.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { namespacesAllowed } from '../electron/testing/namespaces.ts'
import { currentCommit, describeMachine } from './lib/machine.ts'
import {
  type BenchRow,
  markdownCells,
  markdownTable,
  provenance,
  textCells,
  textTable,
} from './lib/report.ts'
import { type Peak, ResidentWatch } from './lib/resident.ts'
import { type TwoSides, withTwoSides } from './lib/two-sides.ts'
import {
  type FigurePoint,
  figureCells,
  figureNote,
  figurePointOf,
  figureRuns,
  type LinksReport,
} from './links/figure.ts'
import { figurePicture } from './links/picture.ts'
import {
  type Case,
  type Choice,
  chosenCases,
  type FigureCase,
  type GoalCase,
  loads,
  parts,
  type Samples,
  workloads,
} from './links/plan.ts'
import { runCase } from './links/rounds.ts'
import { dirtyRateRow, goalRows, residentRow } from './links/rows.ts'
import { Work } from './links/work.ts'

const resultsDir = join(import.meta.dirname, 'results')

const tell = (text: string): void => void process.stderr.write(`${text}\n`)

/** What one case gave. */
interface Result<Of extends Case> {
  of: Of
  samples: Samples
  dirtyBytesPerS: number
}

/** Guests that have booted anew do what the cases say. @throws when one was harmed */
async function runAll<Of extends Case>(
  cases: readonly Of[],
): Promise<{ results: Result<Of>[]; peaks: Peak[] }> {
  if (cases.length === 0) return { results: [], peaks: [] }
  return await withTwoSides(async (sides: TwoSides) => {
    const resident = new ResidentWatch(sides.ours.hosts)
    const work = new Work(sides)
    const results: Result<Of>[] = []
    for (const of of cases) {
      const before = results.at(-1)
      const isSame = before?.of.load === of.load
      if (!isSame) await work.begin(of.load)
      const dirtyBytesPerS = isSame ? before.dirtyBytesPerS : await work.dirtyRate()
      if (!isSame) tell(`${of.load}: ${dirtyBytesPerS / 1024 ** 2} MiB change in a second, as QEMU says`)
      results.push({ of, samples: await runCase(sides, of, tell), dirtyBytesPerS })
      await sides.assertIntact()
    }
    return { results, peaks: resident.end() }
  })
}

async function measure(cases: readonly Case[]): Promise<LinksReport> {
  const [machine, commit] = await Promise.all([describeMachine(), currentCommit()])
  const date = new Date().toISOString()
  const goals = await runAll(cases.filter((of): of is GoalCase => of.part === 'goals'))
  const figure = await runAll(cases.filter((of): of is FigureCase => of.part === 'figure'))
  const rows = [...rowsOf(goals.results), ...residentRows([...goals.peaks, ...figure.peaks])]
  return { bench: 'links', commit, date, machine, rows, figure: figure.results.map(pointOf) }
}

function pointOf({ of, samples, dirtyBytesPerS }: Result<FigureCase>): FigurePoint {
  return figurePointOf(of, samples, dirtyBytesPerS)
}

function rowsOf(results: readonly Result<GoalCase>[]): BenchRow[] {
  if (results.length === 0) return []
  const atRest = (link: number | null) =>
    results.find(({ of }) => of.load === 'fill' && of.megabitsPerS === link)?.samples.first ?? []
  const measured = results.flatMap(({ of, samples }) => goalRows(of, samples, atRest(of.megabitsPerS)))
  const rates = loads.flatMap((load) => {
    const one = results.find(({ of }) => of.load === load)
    return one === undefined ? [] : [dirtyRateRow(one.of, one.dirtyBytesPerS)]
  })
  return [...measured, ...rates]
}

/** The highest of both parts. */
function residentRows(peaks: readonly Peak[]): BenchRow[] {
  const names = [...new Set(peaks.map(({ name }) => name))]
  return names.flatMap((name) => {
    const own = peaks.filter((peak) => peak.name === name)
    const most = (bytes: (peak: Peak) => number): number => Math.max(...own.map(bytes))
    return [
      residentRow(
        name,
        'host',
        most(({ hostBytes }) => hostBytes),
      ),
      residentRow(
        name,
        'helpers',
        most(({ helperBytes }) => helperBytes),
      ),
    ]
  })
}

const rowsNote =
  '“memory” is from when memory begins to cross, for plain QEMU its `migrate`, to the guest’s first tick there, “total” from the decision, before a QEMU is started there, “downtime” between two ticks, “>” was given up.'

function textOf(report: LinksReport): string {
  const figure = report.figure.length === 0 ? [] : [textCells(figureCells(report.figure)), figureNote]
  return [textTable(report), rowsNote, ...figure].join('\n\n')
}

async function keep(report: LinksReport): Promise<void> {
  await mkdir(resultsDir, { recursive: true })
  await writeFile(join(resultsDir, 'links.json'), `${JSON.stringify(report, null, 2)}\n`)
  const figure = [
    '## The figure of the paper',
    '![How long a guest takes to another PC](links.svg)',
    markdownCells(figureCells(report.figure)),
    `${figureNote} ${figureRuns(report.figure)} ${provenance(report)}`,
  ]
  const text = [
    '# Slow links',
    markdownTable(report),
    rowsNote,
    ...(report.figure.length === 0 ? [] : figure),
  ]
  await writeFile(join(resultsDir, 'links.md'), `${text.join('\n\n')}\n`)
  if (report.figure.length > 0) await writeFile(join(resultsDir, 'links.svg'), figurePicture(report.figure))
}

/** @returns null where the command line makes no sense */
function choiceOf(values: { only?: string; quick?: boolean; rounds?: string }): Choice | null {
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds)
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0)) return null
  return { only: values.only, isQuick: values.quick === true, rounds }
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      quick: { type: 'boolean' },
      rounds: { type: 'string' },
      keep: { type: 'boolean' },
      json: { type: 'boolean' },
    },
  })
  if (!(await namespacesAllowed())) {
    tell('This measurement needs two network namespaces: run it as root, or where `ip netns add` is allowed.')
    return 2
  }
  const choice = choiceOf(values)
  const cases = choice === null ? [] : chosenCases(choice)
  if (cases.length === 0) {
    const names = [...parts, ...loads, ...workloads].join(', ')
    tell(`There is no such measurement. --only takes one of ${names}; --rounds a number.`)
    return 2
  }
  const isPart = values.only === undefined || parts.some((part) => part === values.only)
  if (values.keep === true && (!isPart || values.quick === true)) {
    tell('Only a run of everything, or of one of both parts, is kept.')
    return 2
  }
  const report = await measure(cases)
  if (values.keep === true) await keep(report)
  process.stdout.write(`${values.json === true ? JSON.stringify(report) : textOf(report)}\n`)
  return 0
}

process.exitCode = await main().catch((error: unknown) => {
  tell(error instanceof Error ? (error.stack ?? error.message) : String(error))
  return 1
})

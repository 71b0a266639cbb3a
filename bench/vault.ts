/**
 * `npm run bench:vault [-- --only ROW,…] [--quick] [--keep] [--json]`: what checkpoints cost and how soon they are back, each
 * figure beside what it is to reach. `--keep` writes a full run to bench/results and the picture to docs. Promises that
 * nothing is left running, whatever ends it.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { currentCommit, describeMachine } from './lib/machine.ts'
import { type BenchReport, type BenchRow, markdownTable, textTable } from './lib/report.ts'
import { measureFigures } from './vault/figures.ts'
import { measureIncremental } from './vault/incremental.ts'
import { measureLink } from './vault/lend.ts'
import { measureList } from './vault/list.ts'
import { downtimePicture, pointsOf } from './vault/picture.ts'
import { chosenRows, type Repetitions, type RowName, repetitions, rowNames } from './vault/plan.ts'
import { measureRate } from './vault/rate.ts'
import { measureAgain, measureRestore } from './vault/restore.ts'
import { endAllRigs } from './vault/rig.ts'
import { measureSlowdown } from './vault/slowdown.ts'
import { measureStall } from './vault/stall.ts'

type Measure = (times: Repetitions, tell: (text: string) => void) => Promise<BenchRow[]>

const measures: Readonly<Record<RowName, Measure>> = {
  stall: measureStall,
  slowdown: measureSlowdown,
  incremental: measureIncremental,
  rate: measureRate,
  restore: measureRestore,
  again: measureAgain,
  list: measureList,
  link: measureLink,
  figures: measureFigures,
}

const resultsDir = join(import.meta.dirname, 'results')
const picturePath = join(import.meta.dirname, '..', 'docs', 'checkpoint-downtime.svg')

const tell = (text: string): void => void process.stderr.write(`${text}\n`)

/** The figures have a table of their own. */
interface Reports {
  vault: BenchReport
  figures: BenchReport
}

async function measureAll(names: readonly RowName[], times: Repetitions): Promise<Reports> {
  const about = {
    commit: await currentCommit(),
    date: new Date().toISOString(),
    machine: await describeMachine(),
  }
  const rows: BenchRow[] = []
  const figures: BenchRow[] = []
  for (const name of names) {
    const measured = await Promise.race([measures[name](times, tell), interrupted.promise])
    ;(name === 'figures' ? figures : rows).push(...measured)
  }
  return {
    vault: { bench: 'vault', ...about, rows },
    figures: { bench: 'vault-figures', ...about, rows: figures },
  }
}

const interrupted = Promise.withResolvers<never>()
interrupted.promise.catch(() => {})

function endOnSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => interrupted.reject(new Error(`ended by ${signal}`)))
  }
}

async function keep({ vault, figures }: Reports): Promise<void> {
  await mkdir(resultsDir, { recursive: true })
  for (const report of [vault, figures]) {
    const path = join(resultsDir, `${report.bench}.json`)
    await writeFile(path, `${JSON.stringify(report, null, 2)}\n`)
  }
  const text = [
    '# Checkpoints',
    markdownTable(vault),
    '## Downtime against the size of the state',
    markdownTable(figures),
  ]
  await writeFile(join(resultsDir, 'vault.md'), `${text.join('\n\n')}\n`)
  await writeFile(picturePath, downtimePicture(pointsOf(figures.rows)))
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      quick: { type: 'boolean' },
      keep: { type: 'boolean' },
      json: { type: 'boolean' },
    },
  })
  const names = chosenRows(values.only)
  const isQuick = values.quick === true
  const isWhole = names?.length === rowNames.length && !isQuick
  if (names === null || (values.keep === true && !isWhole)) {
    tell(names === null ? `Rows are ${rowNames.join(', ')}.` : 'Only a full run of all rows is kept.')
    return 2
  }
  endOnSignals()
  try {
    const reports = await measureAll(names, repetitions(isQuick))
    if (values.keep === true) await keep(reports)
    const { vault, figures } = reports
    const shown = { ...vault, rows: [...vault.rows, ...figures.rows] }
    process.stdout.write(`${values.json === true ? JSON.stringify(shown) : textTable(shown)}\n`)
    return 0
  } finally {
    await endAllRigs()
  }
}

const code = await main().catch((error: unknown) => {
  tell(error instanceof Error ? (error.stack ?? error.message) : String(error))
  return 1
})
// Whatever was under way when a signal came.
process.exit(code)

/**
 * `npm run bench:migrate [-- --quick] [--link MBIT] [--json]`: our migration beside plain QEMU-to-QEMU TCP, on the same guest
 * and the same shaped link, in turns in one run. A full run is kept in bench/results; `--link` measures one link alone. Needs root for network
 * namespaces. Promises that nothing is left running, whatever ends it.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { namespacesAllowed } from '../electron/testing/namespaces.ts'
import { currentCommit, describeMachine } from './lib/machine.ts'
import { arrived, type Move, turns } from './lib/move.ts'
import { type BenchReport, type BenchRow, linkName, markdownTable, textTable } from './lib/report.ts'
import { type Side, type TwoSides, withTwoSides } from './lib/two-sides.ts'
import { type Case, type Load, planCases, rowsOf } from './migrate/plan.ts'

const resultsDir = join(import.meta.dirname, 'results')
const fillMebibytes = 150

const tell = (text: string): void => void process.stderr.write(`${text}\n`)

async function runCase(sides: TwoSides, of: Case): Promise<BenchRow[]> {
  const { pair, ours, peer } = sides
  await pair.shape(of.megabitsPerS * 1e6)
  const moves = new Map<Side, Move[]>([
    [ours, []],
    [peer, []],
  ])
  for (let round = 0; round < of.rounds; round += 1) {
    for (const side of turns<Side>(round, ours, peer)) {
      const move = await sides.during(side, async () => arrived(await side.move()))
      moves.get(side)?.push(move)
      const { totalMs, freezeMs, wireBytes } = move
      const name = side === ours ? 'ours ' : 'plain'
      tell(
        `${linkName(of.megabitsPerS)} ${of.load} ${name} ${totalMs.toFixed(0)} ms, freeze ${freezeMs.toFixed(0)} ms, ${(wireBytes / 1e6).toFixed(1)} MB`,
      )
    }
  }
  return rowsOf(of, moves.get(ours) ?? [], moves.get(peer) ?? [])
}

async function measureAll(sides: TwoSides, cases: readonly Case[]): Promise<BenchRow[]> {
  const rows: BenchRow[] = []
  let load: Load = 'none'
  for (const of of cases) {
    if (of.load !== load) await sides.tellBoth(`fill ${fillMebibytes}`, 'fill ok')
    load = of.load
    rows.push(...(await runCase(sides, of)))
  }
  await sides.assertIntact()
  return rows
}

async function measure(cases: readonly Case[]): Promise<BenchReport> {
  const [machine, commit] = await Promise.all([describeMachine(), currentCommit()])
  const rows = await withTwoSides((sides) => measureAll(sides, cases))
  return { bench: 'migrate', commit, date: new Date().toISOString(), machine, rows }
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { quick: { type: 'boolean' }, link: { type: 'string' }, json: { type: 'boolean' } },
  })
  const quick = values.quick === true
  if (!(await namespacesAllowed())) {
    tell('This measurement needs two network namespaces: run it as root, or where `ip netns add` is allowed.')
    return 2
  }
  const { link } = values
  const cases = planCases(quick).filter((of) => link === undefined || of.megabitsPerS === Number(link))
  if (cases.length === 0) {
    tell(`There is no measurement of a link of ${link} Mbit/s.`)
    return 2
  }
  const report = await measure(cases)
  if (!quick && link === undefined) {
    await mkdir(resultsDir, { recursive: true })
    await writeFile(join(resultsDir, 'migrate.json'), `${JSON.stringify(report, null, 2)}\n`)
    await writeFile(join(resultsDir, 'migrate.md'), `# Migration\n\n${markdownTable(report)}\n`)
  }
  process.stdout.write(`${values.json === true ? JSON.stringify(report) : textTable(report)}\n`)
  return 0
}

process.exitCode = await main().catch((error: unknown) => {
  tell(error instanceof Error ? (error.stack ?? error.message) : String(error))
  return 1
})

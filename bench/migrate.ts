/**
 * `npm run bench:migrate [-- --quick] [--link MBIT] [--json]`: our migration beside plain QEMU-to-QEMU TCP, on the same guest
 * and the same shaped link, in turns in one run. A full run is kept in bench/results; `--link` measures one link alone. Needs root for network
 * namespaces. Promises that nothing is left running, whatever ends it.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { makeDocksFolder } from '../electron/testing/dock-process.ts'
import { createNamespacePair, type NamespacePair, namespacesAllowed } from '../electron/testing/namespaces.ts'
import { WitnessReader } from '../electron/testing/witness.ts'
import { currentCommit, describeMachine } from './lib/machine.ts'
import { type BenchReport, type BenchRow, markdownTable, textTable } from './lib/report.ts'
import { DockSide } from './migrate/dock-side.ts'
import { PlainSide } from './migrate/plain-side.ts'
import { type Case, type Load, type Move, planCases, rowsOf, turns } from './migrate/plan.ts'

interface Sides {
  ours: DockSide
  peer: PlainSide
}

/** What must be ended, whatever happens. */
const started: (DockSide | PlainSide)[] = []
const resultsDir = join(import.meta.dirname, 'results')
const fillMebibytes = 150

const tell = (text: string): void => void process.stderr.write(`${text}\n`)

async function runCase(pair: NamespacePair, { ours, peer }: Sides, of: Case): Promise<BenchRow[]> {
  await pair.shape(of.megabitsPerS * 1e6)
  const moves = new Map<DockSide | PlainSide, Move[]>([
    [ours, []],
    [peer, []],
  ])
  for (let round = 0; round < of.rounds; round += 1) {
    for (const side of turns<DockSide | PlainSide>(round, ours, peer)) {
      await side.resume()
      const move = await side.move()
      await side.pause()
      moves.get(side)?.push(move)
      const { totalMs, freezeMs, wireBytes } = move
      const name = side === ours ? 'ours ' : 'plain'
      tell(
        `${of.megabitsPerS} Mbit/s ${of.load} ${name} ${totalMs.toFixed(0)} ms, freeze ${freezeMs.toFixed(0)} ms, ${(wireBytes / 1e6).toFixed(1)} MB`,
      )
    }
  }
  return rowsOf(of, moves.get(ours) ?? [], moves.get(peer) ?? [])
}

/** Asks the guest of a paused side; it runs meanwhile. */
async function ask<Answer>(
  side: DockSide | PlainSide,
  question: (witness: WitnessReader) => Promise<Answer>,
): Promise<Answer> {
  await side.resume()
  const witness = await WitnessReader.connect(side.witnessSocket)
  try {
    return await question(witness)
  } finally {
    witness.close()
    await side.pause()
  }
}

async function applyLoad(sides: Sides, load: Load): Promise<void> {
  if (load === 'none') return
  for (const side of [sides.ours, sides.peer]) {
    const answer = await ask(side, (witness) => witness.ask(`fill ${fillMebibytes}`, 120_000))
    if (answer !== 'fill ok') throw new Error(`the guest answered: ${answer}`)
  }
}

/** Figures of a guest that was harmed are worth nothing. */
async function assertIntact(sides: Sides): Promise<void> {
  for (const side of [sides.ours, sides.peer]) {
    const check = await ask(side, (witness) => witness.check(120_000))
    if (check.lost + check.torn > 0 || !check.memoryIntact)
      throw new Error(`harmed: ${JSON.stringify(check)}`)
  }
}

async function measureAll(pair: NamespacePair, folder: string, cases: readonly Case[]): Promise<BenchRow[]> {
  const ours = new DockSide(pair, folder)
  started.push(ours)
  await ours.start()
  await ours.pause()
  const peer = new PlainSide(pair, folder, ours)
  started.push(peer)
  await peer.start()
  await peer.pause()
  const rows: BenchRow[] = []
  let load: Load = 'none'
  for (const of of cases) {
    if (of.load !== load) await applyLoad({ ours, peer }, of.load)
    load = of.load
    rows.push(...(await runCase(pair, { ours, peer }, of)))
  }
  await assertIntact({ ours, peer })
  return rows
}

async function measure(cases: readonly Case[]): Promise<BenchReport> {
  const [machine, commit] = await Promise.all([describeMachine(), currentCommit()])
  const folder = await makeDocksFolder()
  const pair = await createNamespacePair()
  // What is waited for may be a detached process, which alone does not keep this one.
  const stay = setInterval(() => undefined, 60_000)
  const work = measureAll(pair, folder, cases)
  try {
    const rows = await Promise.race([work, interruption()])
    return { bench: 'migrate', commit, date: new Date().toISOString(), machine, rows }
  } finally {
    await endAll()
    // What was under way fails now, and may have started something meanwhile.
    await work.catch(() => undefined)
    await endAll()
    await pair.destroy()
    await rm(folder, { recursive: true, force: true })
    clearInterval(stay)
  }
}

async function endAll(): Promise<void> {
  await Promise.all(started.map((side) => side.destroy()))
}

/** @throws when a signal asks this process to end */
function interruption(): Promise<never> {
  return new Promise((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => reject(new Error(`ended by ${signal}`)))
    }
  })
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

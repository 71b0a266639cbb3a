/**
 * `npm run bench:host [-- --quick] [--json]`: what a host costs. At rest with two guests listed: memory and
 * processor. While a guest moves over an unlimited link: the longest time its event loop was busy at a stretch.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { residentBytes } from '../electron/host/memory.ts'
import { DockProcess, makeDocksFolder, makePairedDocks } from '../electron/testing/dock-process.ts'
import { currentCommit, describeMachine } from './lib/machine.ts'
import { type BenchReport, type BenchRow, markdownTable, median, textTable } from './lib/report.ts'

const root = join(import.meta.dirname, '..')
const resultsDir = join(import.meta.dirname, 'results')
/** Linux counts processor time in these. */
const tickMs = 10

/** @param monitored whether its event loop is watched, which costs a few percent of a core */
function makeDock(folder: string, name: string, port: number, monitored: boolean): DockProcess {
  const monitor = join(import.meta.dirname, 'host', 'loop-monitor.mjs')
  return new DockProcess({
    home: join(folder, name),
    name,
    port,
    namespace: null,
    bindAddress: '127.0.0.1',
    discovery: false,
    entry: join(root, 'dist', 'headless.mjs'),
    env: monitored
      ? { NODE_OPTIONS: `--import=${monitor}`, WDOCK_LOOP_REPORT: join(folder, `${name}.json`) }
      : {},
  })
}

async function processorMs(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * tickMs
}

function row(name: string, metric: string, unit: string, values: readonly number[]): BenchRow {
  const ours = Math.round(median(values) * 100) / 100
  return {
    case: name,
    link: null,
    load: null,
    metric,
    unit,
    ours,
    peer: null,
    peerName: null,
    ratio: null,
    n: values.length,
    goal: null,
    gaveUp: [],
  }
}

async function measureRest(dock: DockProcess, seconds: number): Promise<BenchRow[]> {
  await wait(3000)
  const { pid } = dock.ready
  const startedMs = performance.now()
  const before = await processorMs(pid)
  await wait(seconds * 1000)
  const percent = (((await processorMs(pid)) - before) / (performance.now() - startedMs)) * 100
  return [
    row('at rest', 'resident', 'MB', [(await residentBytes(pid)) / 1e6]),
    row('at rest', 'processor', '% of a core', [percent]),
  ]
}

async function measureMoves(
  folder: string,
  docks: [DockProcess, DockProcess],
  guestId: string,
  moves: number,
) {
  let [from, to] = docks
  for (let n = 0; n < moves; n += 1) {
    await to.until('the guest there', ({ guests }) => guests.some((guest) => guest.id === guestId))
    const request = { guestId, fromDockId: await from.dockId(), toDockId: await to.dockId() }
    const { operationId } = await to.client.migrations.start(request)
    const { state } = await to.operationEnd(operationId)
    if (state.kind !== 'done') throw new Error(`the move ended as ${state.kind}`)
    ;[from, to] = [to, from]
  }
  await wait(700)
  const worst = await Promise.all(
    docks.map(
      async ({ name }) => JSON.parse(await readFile(join(folder, `${name}.json`), 'utf8')).worstMs as number,
    ),
  )
  return [row('moving', 'longest busy stretch of the event loop', 'ms', [Math.max(...worst)])]
}

async function measure(quick: boolean): Promise<BenchRow[]> {
  const folder = await makeDocksFolder()
  const resting = makeDock(folder, 'Laptop', 47_461, false)
  const laptop = makeDock(folder, 'Laptop', 47_461, true)
  const pc = makeDock(folder, 'PC', 47_462, true)
  try {
    await makePairedDocks(laptop, pc)
    await Promise.all([resting.start(), pc.start()])
    const guestId = await resting.startDemoGuest('One')
    const wanted = {
      name: 'Two',
      source: { kind: 'demo' },
      cores: 1,
      memoryBytes: 256 * 1024 ** 2,
      network: 'user',
    } as const
    const second = await resting.client.guests.create(wanted)
    if (second.operationId !== null) await resting.operationEnd(second.operationId)
    const rest = await measureRest(resting, quick ? 5 : 20)
    await resting.stop()
    await laptop.start()
    return [...rest, ...(await measureMoves(folder, [laptop, pc], guestId, quick ? 2 : 6))]
  } finally {
    await Promise.allSettled([resting.destroy(), laptop.destroy(), pc.destroy()])
    await rm(folder, { recursive: true, force: true })
  }
}

const { values } = parseArgs({ options: { quick: { type: 'boolean' }, json: { type: 'boolean' } } })
const rows = await measure(values.quick === true)
const report: BenchReport = {
  bench: 'host',
  commit: await currentCommit(),
  date: new Date().toISOString(),
  machine: await describeMachine(),
  rows,
}
process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : `${textTable(report)}\n`)
if (!values.quick) {
  await mkdir(resultsDir, { recursive: true })
  await writeFile(join(resultsDir, 'host.json'), `${JSON.stringify(report, null, 2)}\n`)
  await writeFile(join(resultsDir, 'host.md'), `# What a host costs\n\n${markdownTable(report)}\n`)
}
process.exit(0)

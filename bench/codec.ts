/**
 * `npm run bench:codec [-- --rounds N] [--json]`: how much of a guest's memory the page codec takes in a second, both ends on
 * this machine: QEMU's stream of the demo guest is recorded, then sent from one dock to another and back, in the threads that
 * moves use, over TLS, with what is kept sealed on disk; without any QEMU and with nothing that limits the link. A first visit
 * to a dock that has nothing, and a return after some work. Memory counts whole, zeros too. Nothing is left behind.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createServer, connect as tlsConnect } from 'node:tls'
import { parseArgs } from 'node:util'
import { recordMove } from '../electron/delta/testing/recorded.ts'
import { VisitThread } from '../electron/delta/visit-thread.ts'
import { openIdentity } from '../electron/docks/identity.ts'
import { plainJoint } from '../electron/docks/joint.ts'
import { relayFromQemu, relayToQemu } from '../electron/host/docking/relay.ts'
import { systemRandom } from '../electron/platform/random.ts'
import { demoSpec, QemuBench } from '../electron/qemu/test-guests.ts'
import { WitnessReader } from '../electron/testing/witness.ts'
import { mebibyteBytes } from '../shared/models/guest-definition.ts'
import { currentCommit, describeMachine } from './lib/machine.ts'
import { type BenchReport, type BenchRow, median, round, textTable } from './lib/report.ts'

const memoryBytes = 512 * mebibyteBytes
const fillMebibytes = 150
/** Faster than any link on which the codec is used: it compresses as lightly as it ever does. */
const linkBytesPerS = 1e9
const loads = ['idle', 'fill'] as const
type Load = (typeof loads)[number]
const goals = { first: 250, return: 600 } as const
type Visit = keyof typeof goals

/** Two streams of one guest, with a little work in between. */
async function record(bench: QemuBench, load: Load): Promise<[Buffer, Buffer]> {
  const definition = { memoryBytes, maxMemoryBytes: memoryBytes }
  const qemu = await bench.start(demoSpec(await bench.folder(load), { definition }))
  const witness = await WitnessReader.connect(qemu.sockets.witness)
  await witness.waitForTicks(20, 60_000)
  if (load === 'fill') await witness.ask(`fill ${fillMebibytes}`, 120_000)
  const first = await recordMove(qemu)
  await witness.waitForTicks(1000, 60_000)
  const second = await recordMove(qemu)
  witness.close()
  await qemu.kill()
  return [first, second]
}

interface Ways {
  folder: string
  identity: { certificatePem: string; privateKeyPem: string }
  idKey: Buffer
  dockKey: Buffer
}

/** From QEMU's first byte until the last has been checked at the other end, and what all threads took of processors. */
interface Took {
  ms: number
  processorMs: number
}

async function visit(
  { folder, identity, idKey, dockKey }: Ways,
  from: string,
  to: string,
  stream: Buffer,
): Promise<Took> {
  const path = (name: string): string => join(folder, name)
  const kept = (dock: string) => ({ folder: path(dock), dockKey })
  const receiver = new VisitThread({
    ...{ role: 'receiver', listenPath: path('r'), qemuPath: null, kept: kept(to), files: [] },
  })
  const ids = { visit: randomBytes(16), newIdKey: idKey }
  const sender = new VisitThread({
    ...{ role: 'sender', listenPath: path('s'), relayPath: path('l'), kept: kept(from), files: [] },
    ...{ ...ids, linkBytesPerS, mayStop: false },
  })
  const server = createServer({ cert: identity.certificatePem, key: identity.privateKeyPem })
  server.listen(0, '127.0.0.1')
  await Promise.all([once(server, 'listening'), receiver.listening, sender.listening])
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const secured = once(server, 'secureConnection')
  const options = { host: '127.0.0.1', port, rejectUnauthorized: false, allowHalfOpen: true }
  const here = tlsConnect(options)
  const [there] = await secured
  there.allowHalfOpen = true
  const relays = [
    await relayFromQemu(path('l'), plainJoint(here)),
    await relayToQemu(path('r'), plainJoint(there)),
  ]
  const qemu = connect({ path: path('s'), allowHalfOpen: true }).resume()
  const [startedMs, before] = [performance.now(), process.cpuUsage()]
  qemu.end(stream)
  await Promise.all([sender.ended, receiver.ended])
  const used = process.cpuUsage(before)
  const took = { ms: performance.now() - startedMs, processorMs: (used.user + used.system) / 1000 }
  const note = { guestId: 'bench', guestName: 'Bench', dockId: 'x', atMs: 1 }
  await Promise.all([sender.keep(note), receiver.keep(note)])
  for (const relay of relays) await relay.close()
  server.close()
  return took
}

async function measure(rounds: number): Promise<BenchRow[]> {
  const bench = await QemuBench.make()
  try {
    const identity = await openIdentity(await bench.folder('identity'), systemRandom)
    const rows: BenchRow[] = []
    for (const load of loads) {
      const [first, second] = await record(bench, load)
      const took: Record<Visit, Took[]> = { first: [], return: [] }
      for (let each = 0; each < rounds; each += 1) {
        const folder = await bench.folder(`${load}${each}`)
        for (const dock of ['a', 'b']) await mkdir(join(folder, dock))
        const ways = { folder, identity, idKey: randomBytes(32), dockKey: randomBytes(32) }
        took.first.push(await visit(ways, 'a', 'b', first))
        took.return.push(await visit(ways, 'b', 'a', second))
        await rm(folder, { recursive: true })
      }
      for (const kind of ['first', 'return'] as const) rows.push(...rowsOf(load, kind, took[kind]))
    }
    return rows
  } finally {
    await bench.end()
  }
}

function rowsOf(load: Load, kind: Visit, took: readonly Took[]): BenchRow[] {
  const about = { case: 'codec', link: 'unlimited', load, n: took.length }
  const nobody = { peer: null, peerName: null, ratio: null, gaveUp: [] }
  const rate = median(took.map(({ ms }) => memoryBytes / 1000 / ms))
  const processorMs = median(took.map((each) => each.processorMs))
  return [
    {
      ...{ ...about, ...nobody, metric: `${kind}: guest memory in a second`, unit: 'MB/s' },
      ...{ ours: round(rate, 0), goal: { kind: 'at-least', value: goals[kind] } },
    },
    {
      ...{ ...about, ...nobody, metric: `${kind}: processor time of both ends`, unit: 's' },
      ...{ ours: round(processorMs / 1000, 2), goal: null },
    },
  ]
}

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, json: { type: 'boolean' } },
})
const [machine, commit] = await Promise.all([describeMachine(), currentCommit()])
const rows = await measure(Math.max(1, Number(values.rounds)))
const report: BenchReport = { bench: 'codec', commit, date: new Date().toISOString(), machine, rows }
process.stdout.write(`${values.json === true ? JSON.stringify(report) : textTable(report)}\n`)

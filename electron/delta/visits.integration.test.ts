/** A real guest that goes to and fro between two QEMUs by the page codec, with work in between. */
import { createHash, randomBytes } from 'node:crypto'
import { createReadStream, readFileSync } from 'node:fs'
import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { mebibyteBytes } from '../../shared/models/guest-definition.ts'
import {
  clearCapabilities,
  continueFromPreSwitchover,
  setCapabilities,
  startIncoming,
  startMigration,
  unixUri,
  waitForMigrationStatus,
} from '../qemu/migration.ts'
import type { QemuProcess } from '../qemu/process.ts'
import { resume } from '../qemu/screen.ts'
import { demoGuestDir, demoManifest, demoSpec, hasDemoGuest, QemuBench } from '../qemu/test-guests.ts'
import { WitnessReader } from '../testing/witness.ts'
import { base } from './grammar.ts'
import type { VisitStats } from './thread-messages.ts'
import { VisitThread } from './visit-thread.ts'

const memoryBytes = 192 * mebibyteBytes
const guestId = '5b1c7a52-55c1-4c26-9f0e-6d3c8b6b1a10'
const docks = ['a', 'b'] as const
type Dock = (typeof docks)[number]
/** Returns in a row; more of them with WDOCK_VISITS. */
const returns = Number(process.env.WDOCK_VISITS ?? 4)
const dockKeys = { a: randomBytes(32), b: randomBytes(32) }

let bench: QemuBench
let qemu: QemuProcess
let boot: string | undefined
let started = 0

async function startDemo(incoming: boolean): Promise<QemuProcess> {
  started += 1
  return await bench.start(demoSpec(await bench.folder(`q${started}`), { incoming }))
}

/** What both docks have of the guest, before its memory comes. */
function bootFiles() {
  const { kernel, initrd } = demoManifest()
  return [kernel, initrd].map((name) => ({ id: name, path: join(demoGuestDir, name) }))
}

const placeOf = (dock: Dock) => ({ folder: join(bench.dir, `kept-${dock}`), dockKey: dockKeys[dock] })

/** Of the guest's memory as QEMU has it, while it stands still. */
async function memoryHash(of: QemuProcess): Promise<string> {
  const path = join(bench.dir, 'memory')
  await of.qmp.execute('pmemsave', { val: 0, size: memoryBytes, filename: path }, { timeoutMs: 30_000 })
  const hash = createHash('sha256')
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer)
  await rm(path)
  return hash.digest('hex')
}

interface Visited {
  sender: VisitStats & { role: 'sender' }
  sentHash: string
  gotHash: string
}

/** Moves the guest to another QEMU; what is kept is that of two docks. */
async function visit(from: Dock, to: Dock): Promise<Visited> {
  const destination = await startDemo(true)
  const { sockets } = destination
  const relayPath = `${sockets.incoming}.relay`
  const receiver = new VisitThread({
    role: 'receiver',
    listenPath: relayPath,
    qemuPath: sockets.incoming,
    kept: placeOf(to),
    files: bootFiles(),
  })
  const sender = new VisitThread({
    role: 'sender',
    listenPath: qemu.sockets.outgoing,
    relayPath,
    visit: randomBytes(16),
    newIdKey: randomBytes(32),
    linkBytesPerS: 10e6,
    mayStop: false,
    kept: placeOf(from),
    files: bootFiles(),
  })
  await setCapabilities(destination.qmp)
  await startIncoming(destination.qmp, unixUri(sockets.incoming))
  await Promise.all([receiver.listening, sender.listening])
  await setCapabilities(qemu.qmp)
  await startMigration(qemu.qmp, unixUri(qemu.sockets.outgoing))
  await waitForMigrationStatus(qemu.qmp, ['pre-switchover'], { timeoutMs: 60_000 })
  const sentHash = await memoryHash(qemu)
  await continueFromPreSwitchover(qemu.qmp)
  await waitForMigrationStatus(qemu.qmp, ['completed'], { timeoutMs: 60_000 })
  await waitForMigrationStatus(destination.qmp, ['completed'], { timeoutMs: 60_000 })
  const gotHash = await memoryHash(destination)
  await clearCapabilities(destination.qmp)
  await resume(destination.qmp)
  await qemu.kill()
  qemu = destination
  const note = { guestId, dockId: 'x', atMs: 1 }
  await Promise.all([sender.keep(note), receiver.keep(note)])
  const { stats } = sender
  if (stats?.role !== 'sender') throw new Error('no figures of the sender')
  return { sender: stats, sentHash, gotHash }
}

async function keptBytes(dock: Dock): Promise<number> {
  const { folder } = placeOf(dock)
  const sizes = (await readdir(folder)).map(async (name) => (await stat(join(folder, name))).size)
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
}

/** Something for the next visit to send. */
async function work(): Promise<void> {
  const witness = await WitnessReader.connect(qemu.sockets.witness)
  try {
    expect((await witness.waitForTicks(5, 30_000)).boot).toBe(boot)
    expect(await witness.check()).toMatchObject({ lost: 0, torn: 0, memoryIntact: true })
  } finally {
    witness.close()
  }
}

describe.skipIf(!hasDemoGuest)('visits of a guest', () => {
  beforeAll(async () => {
    bench = await QemuBench.make()
    qemu = await startDemo(false)
    const witness = await WitnessReader.connect(qemu.sockets.witness)
    boot = (await witness.waitForTicks(3, 30_000)).boot
    witness.close()
    for (const dock of docks) await mkdir(placeOf(dock).folder)
  }, 60_000)
  afterAll(async () => await bench.end())

  it('bring its memory as it was, there and back, and each after the first sends next to nothing', async () => {
    const first = await visit('a', 'b')
    expect(first.gotHash).toBe(first.sentHash)
    expect(first.sender.base).toBe(base.nothing)
    // The loader leaves the kernel's file in memory.
    expect(first.sender.filePages).toBeGreaterThan(1000)
    for (let round = 1; round <= returns; round += 1) {
      await work()
      const [from, to] = round % 2 === 1 ? (['b', 'a'] as const) : (['a', 'b'] as const)
      const { sender, sentHash, gotHash } = await visit(from, to)
      expect(gotHash).toBe(sentHash)
      expect(sender).toMatchObject({ base: base.shared, repairedPages: 0, isAside: false })
      expect(sender.sentBytes).toBeLessThan(first.sender.sentBytes / 10)
    }
    for (const dock of docks) expect(await keptBytes(dock)).toBeLessThan(memoryBytes)
    await work()
  }, 180_000)

  it('find out what went bad where it was kept, and fetch that', async () => {
    const { folder } = placeOf('b')
    const segments = (await readdir(folder)).filter((name) => name.endsWith('.seg'))
    for (const name of segments) {
      const bytes = readFileSync(join(folder, name))
      for (let at = 5000; at < bytes.length; at += 3_000_000) bytes[at] = (bytes[at] ?? 0) ^ 1
      await writeFile(join(folder, name), bytes)
    }
    // To where what was kept has gone bad.
    const { sender, sentHash, gotHash } = await visit('a', 'b')
    expect(gotHash).toBe(sentHash)
    expect(sender.repairedPages).toBeGreaterThan(0)
    await work()
  }, 60_000)
})

/**
 * `npm run demo`: two docks on this machine, "Laptop" and "This PC", already paired, and a running Linux guest on
 * Laptop. Opens the window of This PC, or with `--headless` moves the guest there and back by itself and tells
 * how it fared (`--json`: the summary as one object). Promises that nothing is left behind when it ends.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { hasDisplay } from '../electron/browser/open-window.ts'
import { checkImage } from '../electron/disk/image.ts'
import { DockProcess, makeDocksFolder, makePairedDocks } from '../electron/testing/dock-process.ts'
import { ticksLostBetween, type WitnessReader } from '../electron/testing/witness.ts'
import { toWdockError } from '../shared/errors/index.ts'
import { formatBytes, formatDuration } from '../shared/format.ts'
import type { MigrationResult, Operation } from '../shared/models/operation.ts'

const headless = process.argv.includes('--headless')
const json = process.argv.includes('--json')
const startedMs = performance.now()

interface Summary {
  ok: boolean
  guest: {
    bootIdSame: boolean
    ticksLost: number
    recordsLost: number
    memoryIntact: boolean
    diskClean: boolean
  }
  there: Figures
  back: Figures
  setupMs: number
}

type Figures = Pick<MigrationResult, 'totalMs' | 'downtimeMs' | 'wireBytes' | 'memoryBytes' | 'diskBytes'>

function say(line: string): void {
  if (json) process.stderr.write(`${line}\n`)
  else process.stdout.write(`${line}\n`)
}

/** A TCP port of this machine that is free now. */
async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function makeDock(folder: string, part: string, name: string): Promise<DockProcess> {
  return new DockProcess({
    home: join(folder, part),
    name,
    port: await freePort(),
    namespace: null,
    bindAddress: '127.0.0.1',
    discovery: false,
    env: { WDOCK_DEMO: '1' },
    entry: join(import.meta.dirname, '..', 'dist', 'headless.mjs'),
  })
}

/** Moves the guest to `to`, as its person does there, and watches the ticks on both sides. */
async function move(
  guestId: string,
  from: DockProcess,
  to: DockProcess,
  here: WitnessReader,
): Promise<{ operation: Operation; there: WitnessReader; ticksLost: number }> {
  const request = { guestId, fromDockId: await from.dockId(), toDockId: await to.dockId() }
  const arriving = waitForWitness(to, guestId)
  const { operationId } = await to.client.migrations.start(request)
  const operation = await to.operationEnd(operationId)
  if (operation.state.kind === 'failed') throw toWdockError(operation.state.error)
  const there = await arriving
  if (there.ticks.length === 0) await there.waitForTicks(1, 20_000)
  here.close()
  return { operation, there, ticksLost: ticksLostBetween(here, there) }
}

/** The destination's QEMU opens the witness's socket before the guest arrives: listen from the first tick on. */
async function waitForWitness(dock: DockProcess, guestId: string): Promise<WitnessReader> {
  for (;;) {
    const found = await dock.witness(guestId).catch(() => null)
    if (found !== null) return found
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

function figures(operation: Operation): Figures {
  const result = operation.work.kind === 'migration' ? operation.work.result : null
  if (result === null) throw new Error('the migration has no result')
  const { totalMs, downtimeMs, wireBytes, memoryBytes, diskBytes } = result
  return { totalMs, downtimeMs, wireBytes, memoryBytes, diskBytes }
}

async function topImages(dock: DockProcess, guestId: string): Promise<string[]> {
  const folder = dock.guestDir(guestId)
  return (await readdir(folder)).filter((name) => name.endsWith('.qcow2')).map((name) => join(folder, name))
}

/** There and back by itself. */
async function runHeadless(laptop: DockProcess, pc: DockProcess, guestId: string): Promise<Summary> {
  const setupMs = Math.round(performance.now() - startedMs)
  const before = await laptop.witness(guestId)
  const first = await before.waitForTicks(10)
  say('Moving the guest from Laptop to This PC …')
  const there = await move(guestId, laptop, pc, before)
  say(inWords('There', figures(there.operation)))
  const checkThere = await there.there.check(60_000)
  say('Moving it back …')
  const back = await move(guestId, pc, laptop, there.there)
  say(inWords('Back', figures(back.operation)))
  const check = await back.there.check(60_000)
  const last = await back.there.waitForTicks(5)
  back.there.close()
  await laptop.client.guests.forceOff({ guestId })
  const images = await Promise.all((await topImages(laptop, guestId)).map((path) => checkImage(path)))
  const guest = {
    bootIdSame: last.boot === first.boot,
    ticksLost: there.ticksLost + back.ticksLost,
    recordsLost: checkThere.lost + checkThere.torn + check.lost + check.torn,
    memoryIntact: checkThere.memoryIntact && check.memoryIntact,
    diskClean: images.length > 0 && images.every((image) => image.clean),
  }
  const ok =
    guest.bootIdSame &&
    guest.recordsLost === 0 &&
    guest.memoryIntact &&
    guest.diskClean &&
    guest.ticksLost === 0
  return { ok, guest, there: figures(there.operation), back: figures(back.operation), setupMs }
}

function inWords(what: string, { totalMs, downtimeMs, wireBytes }: Figures): string {
  return `${what}: ${formatDuration(totalMs)}, frozen for ${formatDuration(downtimeMs)}, ${formatBytes(wireBytes)} sent.`
}

/** Resolves when a person ends the demo. */
function asked(): { ended: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve())
  return { ended: promise }
}

async function runWindow(pc: DockProcess, ended: Promise<void>): Promise<void> {
  if (!hasDisplay(process.env)) {
    say('There is no display here. To look, open this address in a browser on this machine:')
    say(`  ${pc.ready.pageUrl}`)
    say('Or let the demo move the guest by itself: npm run demo -- --headless')
    say('Ctrl-C ends the demo.')
    await ended
    return
  }
  const script = join(import.meta.dirname, 'start.ts')
  const child = spawn(process.execPath, [script], { env: pc.env, stdio: 'inherit', detached: true })
  const closed = once(child, 'exit')
  say('The window of This PC is open. Click “Migrate to this PC” on the guest that stands on Laptop.')
  say('Closing the window, or Ctrl-C, ends the demo.')
  await Promise.race([closed, ended])
  if (child.exitCode === null && child.signalCode === null) {
    child.kill('SIGTERM')
    await closed
  }
}

async function main(): Promise<number> {
  const { ended } = asked()
  const folder = await makeDocksFolder()
  const laptop = await makeDock(folder, 'a', 'Laptop')
  const pc = await makeDock(folder, 'b', 'This PC')
  try {
    say('Starting two docks, Laptop and This PC …')
    await makePairedDocks(laptop, pc)
    await Promise.all([laptop.start(), pc.start()])
    say('Starting a Linux guest on Laptop …')
    const started = laptop.startDemoGuest('Demo guest')
    const guestId = await Promise.race([started, ended])
    if (guestId === undefined) return 130
    await pc.until('meeting Laptop', (state) => state.guests.some((guest) => guest.id === guestId))
    if (!headless) {
      await runWindow(pc, ended)
      return 0
    }
    const summary = await Promise.race([runHeadless(laptop, pc, guestId), ended])
    if (summary === undefined) return 130
    if (json) process.stdout.write(`${JSON.stringify(summary)}\n`)
    else say(verdict(summary))
    return summary.ok ? 0 : 1
  } finally {
    await Promise.allSettled([laptop.destroy(), pc.destroy()])
    await rm(folder, { recursive: true, force: true })
  }
}

function verdict({ ok, guest }: Summary): string {
  const { ticksLost, recordsLost } = guest
  if (ok) return 'The guest lived through both moves: same boot, no tick lost, memory and disk intact.'
  return `The guest did not come through unharmed: ${JSON.stringify({ ...guest, ticksLost, recordsLost })}`
}

try {
  process.exit(await main())
} catch (thrown) {
  const error = toWdockError(thrown)
  process.stderr.write(`${[error.message, error.fix, error.detail ?? ''].join('\n').trim()}\n`)
  process.exit(1)
}

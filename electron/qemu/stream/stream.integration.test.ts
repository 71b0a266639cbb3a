import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { mebibyteBytes } from '../../../shared/models/guest-definition.ts'
import { WitnessReader } from '../../testing/witness.ts'
import {
  clearCapabilities,
  setCapabilities,
  startIncoming,
  startMigration,
  unixUri,
  waitForMigrationStatus,
} from '../migration.ts'
import type { QemuProcess } from '../process.ts'
import type { QmpSession } from '../qmp/session.ts'
import { pause, queryStatus, resume } from '../screen.ts'
import { demoSpec, hasDemoGuest, QemuBench } from '../test-guests.ts'
import { type PageRun, writeStream } from './builder.ts'
import { type PageContent, pageBytes, type StreamHead, type StreamTail } from './grammar.ts'
import { parseSocket } from './parse-socket.ts'
import type { StreamSink } from './parser.ts'
import { type PageProvider, type PageSpan, type PostcopyOptions, PostcopySource } from './postcopy-source.ts'

/** Memory of a guest, kept as plainly as can be. */
class Kept implements StreamSink {
  #head: StreamHead | null = null
  #tail: StreamTail | null = null
  #memory: Buffer[] = []
  /** 0 absent, 1 bytes, 2 zero. */
  #kinds: Uint8Array[] = []
  pagesRead = 0

  get state(): { head: StreamHead; tail: StreamTail } {
    if (this.#head === null || this.#tail === null) throw new Error('the stream was not whole')
    return { head: this.#head, tail: this.#tail }
  }

  head(head: StreamHead): undefined {
    this.#head = head
    this.#memory = head.blocks.map(({ pages }) => Buffer.alloc(pages * pageBytes))
    this.#kinds = head.blocks.map(({ pages }) => new Uint8Array(pages))
  }
  page(block: number, page: number, bytes: Buffer): undefined {
    this.#memory[block]?.set(bytes, page * pageBytes)
    this.#kinds[block]?.fill(1, page, page + 1)
    this.pagesRead += 1
  }
  zeroPage(block: number, page: number): undefined {
    this.#kinds[block]?.fill(2, page, page + 1)
    this.pagesRead += 1
  }
  end(tail: StreamTail): undefined {
    this.#tail = tail
  }

  get pagesKept(): number {
    return this.#kinds.reduce((sum, kinds) => sum + kinds.filter((kind) => kind !== 0).length, 0)
  }

  content(block: number, page: number): PageContent {
    const kind = this.#kinds[block]?.[page]
    if (kind !== 1) return kind === 2 ? 'zero' : 'absent'
    return this.#memory[block]?.subarray(page * pageBytes, (page + 1) * pageBytes) ?? 'absent'
  }
  readonly read = (block: number, page: number, count: number): Promise<readonly PageContent[]> =>
    Promise.resolve(Array.from({ length: count }, (_, index) => this.content(block, page + index)))

  provider(changes: Partial<PageProvider> = {}): PageProvider {
    return {
      page: (block, page) => Promise.resolve(this.content(block, page)),
      read: this.read,
      ...changes,
    }
  }

  *runs(): Generator<PageRun> {
    for (const [block, { pages }] of this.state.head.blocks.entries()) {
      for (let page = 0; page < pages; page++) {
        const content = this.content(block, page)
        if (content === 'zero') yield { kind: 'zero', block, page, count: 1 }
        else if (content !== 'absent') yield { kind: 'bytes', block, page, bytes: content }
      }
    }
  }
}

let bench: QemuBench
let source: QemuProcess
let witness: WitnessReader
const opened: { close: () => void }[] = []

/** Without its disk, with room for 256 MiB of memory to be plugged in. */
async function startDemo(name: string, incoming: boolean): Promise<QemuProcess> {
  return await bench.start(demoSpec(await bench.folder(name), { incoming }))
}

/** Whether QEMU may use userfaultfd, in its own words when not. */
async function whyNoUserfaultfd(qmp: QmpSession): Promise<string | null> {
  try {
    await setCapabilities(qmp, ['background-snapshot'])
    await clearCapabilities(qmp, ['background-snapshot'])
    return null
  } catch (error) {
    return String(error)
  }
}

/** What QEMU sends when it migrates to a socket of ours, kept. */
async function receive(qemu: QemuProcess, onFirstPart: () => void): Promise<Kept> {
  const kept = new Kept()
  const reading = Promise.withResolvers<void>()
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    server.close()
    parseSocket(socket, kept, { onFirstPart }).then(reading.resolve, reading.reject)
  })
  await new Promise<void>((resolve) => server.listen(qemu.sockets.outgoing, resolve))
  await startMigration(qemu.qmp, unixUri(qemu.sockets.outgoing))
  await waitForMigrationStatus(qemu.qmp, ['completed'], { timeoutMs: 30_000 })
  await reading.promise
  return kept
}

/** Memory of one instant, while the guest runs on. */
async function takeSnapshot(qemu: QemuProcess): Promise<Kept> {
  await setCapabilities(qemu.qmp, ['events', 'background-snapshot'])
  await pause(qemu.qmp)
  // QEMU 7.2 lets the guest go on by itself, 10.0 must be told, and not before its pages come.
  const kept = await receive(qemu, () => void resume(qemu.qmp))
  await clearCapabilities(qemu.qmp, ['background-snapshot'])
  return kept
}

async function takePrecopy(qemu: QemuProcess): Promise<Kept> {
  await setCapabilities(qemu.qmp, ['events'])
  const kept = await receive(qemu, () => {})
  await resume(qemu.qmp)
  return kept
}

async function connectTo(qemu: QemuProcess): Promise<Socket> {
  await startIncoming(qemu.qmp, unixUri(qemu.sockets.incoming))
  return await new Promise<Socket>((resolve, reject) => {
    const socket = connect(qemu.sockets.incoming, () => resolve(socket))
    socket.once('error', reject)
    opened.push({ close: () => socket.destroy() })
  })
}

async function untilLoaded(qemu: QemuProcess): Promise<void> {
  for (let tries = 0; (await queryStatus(qemu.qmp)).status === 'inmigrate'; tries++) {
    if (tries > 4000) throw new Error('QEMU does not load the guest')
    await wait(5)
  }
}

async function listen(qemu: QemuProcess): Promise<WitnessReader> {
  const reader = await WitnessReader.connect(qemu.sockets.witness)
  opened.push(reader)
  return reader
}

/** What the guest has, in KiB. */
async function memoryOf(guest: WitnessReader): Promise<number> {
  return Number((await guest.ask('mem')).split(' ')[1])
}

const pluggedBytes = 128 * mebibyteBytes

/**
 * Plugs in half of what can be, once. Not before a pre-copy: of an emulated guest QEMU loses writes to such memory
 * then, and aborts where it is larger than what the guest booted with, because it takes offsets in a block for
 * addresses when it has collected dirty pages (cpu_physical_memory_sync_dirty_bitmap, seen in 10.0).
 */
async function plugMemory(): Promise<void> {
  const memory = { path: '/machine/peripheral/memory0' }
  const pluggedSize = { ...memory, property: 'size' }
  if ((await source.qmp.execute('qom-get', pluggedSize)) === pluggedBytes) return
  const beforeKib = await memoryOf(witness)
  await source.qmp.execute('qom-set', { ...memory, property: 'requested-size', value: pluggedBytes })
  while ((await memoryOf(witness)) < beforeKib + (0.9 * pluggedBytes) / 1024) await wait(100)
}

interface Instant {
  boot: string | undefined
  fromTick: number
  toTick: number
}

/** What the guest was when `take` took it, as its ticks tell. */
async function during<T>(take: () => Promise<T>): Promise<Instant & { taken: T }> {
  const { boot, tick: fromTick = 0 } = witness.lastTick ?? {}
  const taken = await take()
  return { taken, boot, fromTick, toTick: witness.lastTick?.tick ?? 0 }
}

/** That it is the guest of that instant, going on where it stood. */
async function expectGoesOn(restored: WitnessReader, { boot, fromTick, toTick }: Instant): Promise<void> {
  await restored.waitForTicks(30, 20_000)
  const [first] = restored.ticks
  expect(first?.boot).toBe(boot)
  expect(first?.tick).toBeGreaterThanOrEqual(fromTick)
  // A few ticks may have been on their way, to the old connection or to nobody.
  expect(first?.tick).toBeLessThan(toTick + 20)
  const numbers = restored.ticks.map(({ tick }) => tick)
  expect(numbers).toEqual(numbers.map((_, index) => (first?.tick ?? 0) + index))
  expect(await restored.check()).toMatchObject({ memoryIntact: true, memoryErrors: 0 })
  expect(await memoryOf(restored)).toBe(await memoryOf(witness))
}

describe.skipIf(!hasDemoGuest)('the stream of a running guest', () => {
  beforeAll(async () => {
    bench = await QemuBench.make()
    source = await startDemo('source', false)
    witness = await WitnessReader.connect(source.sockets.witness, { connectTimeoutMs: 20_000 })
    await witness.waitForTicks(100, 50_000)
  }, 60_000)
  afterAll(async () => {
    witness?.close()
    await bench?.end()
  })
  afterEach(() => {
    for (const each of opened.splice(0)) each.close()
  })

  it('of a pre-copy with several rounds is read, built again, and goes on in another QEMU', async () => {
    expect(await witness.ask('dirty 4 10')).toBe('dirty ok')
    const instant = await during(() => takePrecopy(source))
    const kept = instant.taken
    expect(kept.pagesRead, 'some pages came more than once').toBeGreaterThan(kept.pagesKept)
    expect(await witness.ask('dirty 0 0')).toBe('dirty ok')
    const { head, tail } = kept.state
    const destination = await startDemo('precopied', true)
    await writeStream(await connectTo(destination), { head, runs: kept.runs(), tail: tail.bytes })
    await untilLoaded(destination)
    const restored = await listen(destination)
    await resume(destination.qmp)
    await expectGoesOn(restored, instant)
    await destination.kill()
  })

  it('of a background snapshot does so as well, memory that was plugged in included', async (context) => {
    const reason = await whyNoUserfaultfd(source.qmp)
    if (reason !== null) context.skip(`no userfaultfd here: ${reason}`)
    await plugMemory()
    const instant = await during(() => takeSnapshot(source))
    const kept = instant.taken
    const { head, tail } = kept.state
    expect(head.machine).toBe('pc-q35-7.2')
    expect(head.blocks.find(({ name }) => name === 'ram0')?.pages).toBeGreaterThan(40_000)
    const growable = head.blocks.findIndex(({ name }) => name.endsWith('/growth0'))
    const absent = Array.from({ length: 65_536 }, (_, page) => kept.content(growable, page)).filter(
      (content) => content === 'absent',
    )
    expect(absent, 'what is not plugged in is not there').toHaveLength(32_768)
    expect(tail.bytes.length).toBeGreaterThan(tail.deviceBytes + 1)
    const destination = await startDemo('restored', true)
    await writeStream(await connectTo(destination), { head, runs: kept.runs(), tail: tail.bytes })
    await untilLoaded(destination)
    await waitForMigrationStatus(destination.qmp, ['completed'], { timeoutMs: 10_000 })
    const restored = await listen(destination)
    await resume(destination.qmp)
    await expectGoesOn(restored, instant)
    await destination.kill()
    const { tick } = await witness.waitForTicks(20)
    expect(tick, 'the guest itself went on').toBeGreaterThan(instant.toTick)
  })

  it('goes on in another QEMU at once, with its memory coming behind it', async (context) => {
    const reason = await whyNoUserfaultfd(source.qmp)
    if (reason !== null) context.skip(`no userfaultfd here: ${reason}`)
    await plugMemory()
    const instant = await during(() => takeSnapshot(source))
    const kept = instant.taken

    // What it touches in its first second, found out in a trial run.
    const recorded: PageSpan[] = []
    const trial = await startPostcopy('trial', kept, {
      provider: kept.provider(),
      push: 'on-request',
      neighbourPages: 1,
      record: { forMs: 20_000, onPage: (block, page) => recorded.push({ block, page, count: 1 }) },
    })
    await trial.restored.waitForTicks(100, 20_000)
    trial.postcopy.stop()
    await expect(trial.ended).rejects.toMatchObject({ code: 'host.cancelled' })
    await trial.destination.kill()
    expect(recorded.length).toBeGreaterThan(100)

    // Everything that nobody waits for is held back at first, and after a while nothing comes at all.
    const gate = Promise.withResolvers<void>()
    let isGone = false
    const provider = kept.provider({
      page: async (block, page) => {
        if (isGone) await gate.promise
        return kept.content(block, page)
      },
      read: async (block, page, count) => {
        if (isGone || count > 1) await gate.promise
        return await kept.read(block, page, count)
      },
    })
    const second = await startPostcopy('instant', kept, { provider, push: 'all', first: recorded })
    const { postcopy, ended, restored, destination } = second
    await restored.waitForTicks(5, 20_000)
    const { donePages, totalPages } = postcopy.progress
    expect(donePages).toBeLessThan(totalPages / 2)
    isGone = true
    await wait(500)
    expect(postcopy.progress.donePages).toBeLessThan(totalPages / 2)
    gate.resolve()
    await ended
    expect(postcopy.progress.donePages).toBe(totalPages)
    await waitForMigrationStatus(destination.qmp, ['completed'], { timeoutMs: 10_000 })
    await expectGoesOn(restored, instant)
    await destination.kill()
  })

  async function startPostcopy(
    name: string,
    kept: Kept,
    options: Omit<PostcopyOptions, 'head' | 'tail'>,
  ): Promise<{
    postcopy: PostcopySource
    ended: Promise<void>
    restored: WitnessReader
    destination: QemuProcess
  }> {
    const destination = await startDemo(name, true)
    await setCapabilities(destination.qmp, ['events', 'postcopy-ram'])
    const postcopy = new PostcopySource(await connectTo(destination), { ...kept.state, ...options })
    const ended = postcopy.run()
    ended.catch(() => {})
    await untilLoaded(destination)
    const restored = await listen(destination)
    await resume(destination.qmp)
    return { postcopy, ended, restored, destination }
  }
})

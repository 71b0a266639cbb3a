/**
 * The memory of a checkpoint, played to a QEMU that waits: as a whole, read ahead in parallel, or page by page as the
 * guest touches it. Promises that a guest which is given as a whole gets its devices only when every region was found
 * as its hash says, and that what a rehearsal asked for is kept for the next restore. Relies on QEMU listening, with
 * `postcopy-ram` set where pages are to follow.
 */
import { connect, type Socket } from 'node:net'
import { fail, toWdockError, type WdockError } from '../../shared/errors/index.ts'
import { pageBytes } from '../pages/page-id.ts'
import type { Clock } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import { writeStream } from '../qemu/stream/builder.ts'
import type { PageContent, StreamHead, StreamTail } from '../qemu/stream/grammar.ts'
import { parseHead } from '../qemu/stream/head.ts'
import { type PageProvider, PostcopySource } from '../qemu/stream/postcopy-source.ts'
import { parseTail } from '../qemu/stream/tail.ts'
import { badManifestOf, type Manifest } from './codec/manifest.ts'
import { dataPagesOf } from './codec/region-runs.ts'
import type { PageRun as WarmRun, WarmSet } from './codec/warm.ts'
import type { RegionReader } from './region-reader.ts'
import { dataBytesOf, type MemoryBlock, wholeMemory } from './restore-whole.ts'
import { type RestoreMemory, rehearsalMs } from './service/vault-service.ts'

export interface RestoreMemoryOptions {
  manifest: Manifest
  /** One for each region of the manifest. */
  readers: readonly RegionReader[]
  warm: WarmSet | null
  saveWarm: ((warm: WarmSet) => Promise<void>) | null
  pageIdKey: Buffer | null
  clock: Clock
  log: Log
  signal: AbortSignal
  /** Of what of the memory is in the checkpoint. */
  onProgress: (doneBytes: number, totalBytes: number) => void
}

/** Memory on its way. */
export interface MemorySending {
  /** Resolves when the guest has everything; rejects when its memory can never be whole. */
  done: Promise<void>
}

/** What `stop` is given when the time of a rehearsal is over. */
const rehearsed = new Error('the rehearsal is over')

interface RestoredState {
  head: StreamHead
  tail: StreamTail
  blocks: readonly MemoryBlock[]
}

const tellEveryMs = 250
/**
 * What is sent around a page that the guest asks for. Where nothing was recorded, a mebibyte: packed it takes about as
 * long over a home's line as the round trip that it may save. Where something was, a frame: the rest is on its way.
 */
const guessedPages = 256
const recordedPages = 16
const lookEveryMs = 100
/** A guest that asks for nothing for so long has what it needs for now. */
const quietMs = 1000

export class RestoreMemorySender {
  readonly #options: RestoreMemoryOptions

  constructor(options: RestoreMemoryOptions) {
    this.#options = options
  }

  /** @returns once the stream has begun @throws qemu.load_failed, vault.damaged, … */
  async start(memory: RestoreMemory): Promise<MemorySending> {
    const { head, tail } = await this.#state()
    const blocks = this.#blocks(head)
    const socket = await connectTo(memory.socketPath, this.#options.signal)
    const done = this.#send(memory.how, socket, { head, tail, blocks })
    const coded = done.catch((error: unknown) => {
      throw toWdockError(error)
    })
    coded.catch(() => {})
    return { done: coded }
  }

  async #state(): Promise<{ head: StreamHead; tail: StreamTail }> {
    const { manifest, readers } = this.#options
    const index = manifest.head.regions.findIndex(({ kind }) => kind === 'state')
    const region = manifest.head.regions[index]
    const reader = readers[index]
    if (region?.kind !== 'state' || reader === undefined) {
      throw fail('host.bad_input', { why: 'this checkpoint has no memory' })
    }
    const bytes = await reader.read(0, reader.pages, true)
    const { headBytes, tailBytes } = region
    return {
      head: parseHead(Buffer.from(bytes.subarray(0, headBytes))),
      tail: parseTail(Buffer.from(bytes.subarray(headBytes, headBytes + tailBytes))),
    }
  }

  /** The blocks of QEMU's stream, in its order. @throws vault.bad_manifest, vault.bad_lent_manifest */
  #blocks(head: StreamHead): MemoryBlock[] {
    const { manifest, readers } = this.#options
    const { regions } = manifest.head
    const { regions: runs } = manifest
    return head.blocks.map(({ name, pages }) => {
      const region = regions.findIndex((each) => each.kind === 'ram' && each.name === name)
      const reader = readers[region]
      if (reader?.pages !== pages) {
        throw badManifestOf(manifest.head)(`memory block ${name}`)
      }
      const of = runs[region]
      const dataPages = of === undefined ? 0 : dataPagesOf(of)
      return { region, reader, idsSha256: regions[region]?.idsSha256 ?? null, dataPages }
    })
  }

  async #send(how: RestoreMemory['how'], socket: Socket, state: RestoredState): Promise<void> {
    if (how === 'whole') await this.#sendWhole(socket, state)
    else if (how === 'post-copy') await this.#sendOnDemand(socket, state)
    else await this.#rehearse(socket, state)
  }

  // ---- as a whole

  async #sendWhole(socket: Socket, { head, tail, blocks }: RestoredState): Promise<void> {
    const { signal } = this.#options
    const runs = wholeMemory(blocks, this.#options)
    await writeStream(socket, { head, runs, tail: tail.bytes }, { signal })
  }

  // ---- page by page

  async #sendOnDemand(socket: Socket, { head, tail, blocks }: RestoredState): Promise<void> {
    const { clock, warm } = this.#options
    const source = new PostcopySource(socket, {
      ...{ head, tail, clock, provider: providerOf(blocks), push: 'all' },
      absent: holesOf(blocks),
      first: warm === null ? [] : spansOf(warm, blocks),
      neighbourPages: warm === null ? guessedPages : recordedPages,
    })
    const ended = new AbortController()
    const telling = this.#tellWhile(source, dataBytesOf(blocks), ended.signal)
    try {
      await this.#run(source)
    } finally {
      ended.abort()
      await telling
    }
  }

  /** Writes down what the guest asks for, and nothing that it did not. */
  async #rehearse(socket: Socket, { head, tail, blocks }: RestoredState): Promise<void> {
    const { clock, saveWarm } = this.#options
    const recorded: { block: number; page: number }[] = []
    const startedMs = clock.monotonicMs()
    const source = new PostcopySource(socket, {
      ...{ head, tail, clock, provider: providerOf(blocks), push: 'on-request', neighbourPages: 1 },
      absent: holesOf(blocks),
      record: { forMs: rehearsalMs, onPage: (block, page) => recorded.push({ block, page }) },
    })
    const over = new AbortController()
    void this.#untilQuiet(() => recorded.length, over.signal).then(() => source.stop(rehearsed))
    try {
      await this.#run(source)
    } catch (error) {
      if (error !== rehearsed) throw error
    } finally {
      over.abort()
    }
    const runs = runsOf(recorded, blocks)
    const recordedForMs = Math.round(clock.monotonicMs() - startedMs)
    await saveWarm?.({ recordedAtMs: clock.nowMs(), recordedForMs, runs })
  }

  /** Until the time is over, or a guest that has started to ask for pages asks for no more. */
  async #untilQuiet(asked: () => number, over: AbortSignal): Promise<void> {
    const { clock } = this.#options
    const startedMs = clock.monotonicMs()
    let before = 0
    let quietSinceMs = startedMs
    while (!over.aborted) {
      await clock.sleep(lookEveryMs, over).catch(() => {})
      const nowMs = clock.monotonicMs()
      if (asked() !== before || before === 0) quietSinceMs = nowMs
      before = asked()
      if (nowMs - startedMs >= rehearsalMs || nowMs - quietSinceMs >= quietMs) return
    }
  }

  async #run(source: PostcopySource): Promise<void> {
    const { signal } = this.#options
    const onAbort = (): void => source.stop()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      if (signal.aborted) onAbort()
      await source.run()
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  async #tellWhile(source: PostcopySource, totalBytes: number, ended: AbortSignal): Promise<void> {
    const tell = (): void => {
      this.#options.onProgress(source.progress.dataPages * pageBytes, totalBytes)
    }
    while (!ended.aborted) {
      tell()
      await this.#options.clock.sleep(tellEveryMs, ended).catch(() => {})
    }
    tell()
  }
}

function providerOf(blocks: readonly MemoryBlock[]): PageProvider {
  const contents = async (block: number, page: number, count: number, ahead: boolean) => {
    const reader = blocks[block]?.reader
    if (reader === undefined) throw new RangeError(`no block ${block}`)
    const bytes = await reader.read(page, count, ahead)
    const pages: PageContent[] = []
    for (const span of reader.spans(page, count)) {
      for (let at = span.page; at < span.page + span.count; at += 1) {
        const from = (at - page) * pageBytes
        if (span.kind === 'data') pages.push(bytes.subarray(from, from + pageBytes))
        else pages.push(span.kind === 'zero' ? 'zero' : 'absent')
      }
    }
    return pages
  }
  return {
    page: async (block, page) => (await contents(block, page, 1, false))[0] ?? 'absent',
    read: (block, page, count) => contents(block, page, count, true),
  }
}

/** Memory that was never plugged in: of most guests more than they have. */
function* holesOf(blocks: readonly MemoryBlock[]) {
  for (const [block, { reader }] of blocks.entries()) {
    for (const { kind, page, count } of reader.spans(0, reader.pages)) {
      if (kind === 'hole') yield { block, page, count }
    }
  }
}

function* spansOf(warm: WarmSet, blocks: readonly MemoryBlock[]) {
  const blockOf = new Map(blocks.map(({ region }, block) => [region, block]))
  for (const { region, from, count } of warm.runs) {
    const block = blockOf.get(region)
    if (block !== undefined) yield { block, page: from, count }
  }
}

/** Neighbours that were asked for one after the other become one run. */
function runsOf(
  recorded: readonly { block: number; page: number }[],
  blocks: readonly MemoryBlock[],
): WarmRun[] {
  const runs: WarmRun[] = []
  for (const { block, page } of recorded) {
    const region = blocks[block]?.region ?? -1
    const last = runs.at(-1)
    if (last?.region === region && last.from + last.count === page) last.count += 1
    else runs.push({ region, from: page, count: 1 })
  }
  return runs
}

async function connectTo(path: string, signal: AbortSignal): Promise<Socket> {
  const socket = connect({ path, signal })
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    socket.on('error', () => {})
    return socket
  } catch (error) {
    throw connectFailure(error, signal)
  }
}

function connectFailure(error: unknown, signal: AbortSignal): WdockError {
  if (signal.aborted) return fail('host.cancelled', {}, { cause: error })
  return fail('qemu.load_failed', {}, { detail: String(error), cause: error })
}

/**
 * Builds a whole stream for `-incoming` out of what was kept of one: its head, its pages in any order, each once, and its
 * tail. Promises back-pressure in both directions, and memory of half a megabyte beside what the pages' source holds.
 * What comes out is a pre-copy of one round, whatever went in.
 */
import type { Writable } from 'node:stream'
import { fail } from '../../../shared/errors/index.ts'
import { BatchWriter } from './batch-writer.ts'
import { pageBytes, type RamBlock, type StreamHead, sectionType } from './grammar.ts'
import { badStream } from './head.ts'
import { closingBytes, openingBytes, putClosing, putOpening, putPage, recordBytes } from './ram-section.ts'

/** Neighbouring pages of one block. What no run has is absent: memory that was not plugged in. */
export type PageRun =
  | { kind: 'zero'; block: number; page: number; count: number }
  /** Whole pages one after the other; their memory may be used again when the next run is asked for. */
  | { kind: 'bytes'; block: number; page: number; bytes: Buffer }

export interface StreamSource {
  head: StreamHead
  runs: AsyncIterable<PageRun> | Iterable<PageRun>
  /** All of `StreamTail.bytes`. */
  tail: Buffer
}

/**
 * Writes a stream to `target` and ends it. @returns once the system has taken everything; whether QEMU has loaded
 * it, its status tells.
 * @throws qemu.load_failed when `target` breaks off, host.cancelled, qemu.bad_stream for a run outside its block,
 * what `runs` threw. `target` is destroyed then, so that QEMU gives up as well.
 */
export async function writeStream(
  target: Writable,
  source: StreamSource,
  options: { signal?: AbortSignal } = {},
): Promise<void> {
  const { signal } = options
  const onAbort = (): void => {
    target.destroy()
  }
  signal?.addEventListener('abort', onAbort)
  if (signal?.aborted) onAbort()
  try {
    await writeAll(new BatchWriter(target), source)
  } catch (error) {
    target.destroy()
    throw signal?.aborted ? fail('host.cancelled', {}, { cause: error }) : error
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
}

async function writeAll(writer: BatchWriter, { head, runs, tail }: StreamSource): Promise<void> {
  await writer.put(head.bytes)
  await writer.room(openingBytes)
  writer.at = putOpening(writer.buffer, writer.at, sectionType.part, head)
  let current = -1
  for await (const run of runs) {
    const block = checkedBlock(head.blocks, run)
    await putRun(writer, run, block, run.block !== current)
    current = run.block
  }
  await writer.room(closingBytes + openingBytes + closingBytes)
  writer.at = putClosing(writer.buffer, writer.at, head)
  writer.at = putOpening(writer.buffer, writer.at, sectionType.end, head)
  writer.at = putClosing(writer.buffer, writer.at, head)
  await writer.put(tail)
  await writer.end()
}

async function putRun(
  writer: BatchWriter,
  run: PageRun,
  { name }: RamBlock,
  isOther: boolean,
): Promise<void> {
  const count = runPages(run)
  const longest = recordBytes(name.length)
  for (let index = 0; index < count; index++) {
    const wait = writer.room(longest)
    if (wait !== undefined) await wait
    const from = index * pageBytes
    const content = run.kind === 'zero' ? 'zero' : run.bytes.subarray(from, from + pageBytes)
    const named = isOther && index === 0 ? name : null
    writer.at = putPage(writer.buffer, writer.at, run.page + index, content, named)
  }
}

function runPages(run: PageRun): number {
  return run.kind === 'zero' ? run.count : run.bytes.length / pageBytes
}

function checkedBlock(blocks: readonly RamBlock[], run: PageRun): RamBlock {
  const block = blocks[run.block]
  const count = runPages(run)
  const fits = Number.isInteger(count) && count > 0 && Number.isInteger(run.page) && run.page >= 0
  if (block !== undefined && fits && run.page + count <= block.pages) return block
  throw badStream(`pages ${run.page} + ${count} of block ${run.block}`, 0)
}

/**
 * The pages that a guest touches first after a restore, in the order in which it did: what an instant restore fetches
 * before anything else. `uv length ‖ JSON`, then columns of runs: region, distance from the end of the run before it in
 * that region, pages. Promises runs of at least one page; whether a checkpoint has these pages is for its reader to see.
 */
import { z } from 'zod'
import { type BadBytes, ByteReader, ByteWriter } from '../../platform/bytes.ts'
import { ColumnReader, writeColumn } from './columns.ts'
import { badObject, readHead, writeHead } from './json.ts'
import { limits } from './limits.ts'

const warmHead = z.object({
  version: z.literal(1),
  recordedAtMs: z.number(),
  /** For how long the guest ran while its pages were recorded. */
  recordedForMs: z.number().nonnegative(),
})

/** Pages of one region of a manifest, by its number there. */
export interface PageRun {
  region: number
  from: number
  count: number
}

export interface WarmSet {
  recordedAtMs: number
  recordedForMs: number
  runs: PageRun[]
}

/** The payload of `warm/<id>`, before it is sealed. */
export function encodeWarm(warm: WarmSet): Buffer {
  const writer = new ByteWriter(4096)
  const { recordedAtMs, recordedForMs, runs } = warm
  writeHead(writer, { version: 1, recordedAtMs, recordedForMs })
  const regions = new ByteWriter()
  const distances = new ByteWriter()
  const counts = new ByteWriter()
  const ends = new Map<number, number>()
  for (const { region, from, count } of runs) {
    regions.u8(region)
    distances.sv(from - (ends.get(region) ?? 0))
    counts.uv(count)
    ends.set(region, from + count)
  }
  writer.uv(runs.length)
  for (const column of [regions, distances, counts]) writeColumn(writer, column)
  return writer.finish()
}

/** @throws vault.damaged_object, vault.newer_object */
export function decodeWarm(name: string, payload: Buffer): WarmSet {
  const bad = badObject(name)
  const reader = new ByteReader(payload, bad)
  const { recordedAtMs, recordedForMs } = readHead(reader, warmHead, name, bad)
  const runs = readRuns(reader, bad)
  reader.end()
  return { recordedAtMs, recordedForMs, runs }
}

function readRuns(reader: ByteReader, bad: BadBytes): PageRun[] {
  const count = reader.uv()
  const columns = new ColumnReader(reader, limits.warmBytes, bad)
  const regions = columns.next()
  const distances = columns.next()
  const counts = columns.next()
  if (count > regions.remaining) throw bad('a table is too short')
  const ends = new Map<number, number>()
  const runs: PageRun[] = []
  for (let index = 0; index < count; index += 1) {
    const region = regions.u8()
    const from = (ends.get(region) ?? 0) + distances.sv()
    const pages = counts.uv()
    if (pages === 0 || from < 0 || from + pages > limits.regionPages) throw bad('a run that cannot be')
    runs.push({ region, from, count: pages })
    ends.set(region, from + pages)
  }
  for (const column of [regions, distances, counts]) column.end()
  return runs
}

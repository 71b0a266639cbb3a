/**
 * `node bench/pages.ts [--pages <file>] [--mebibytes 48]`: how fast pages are recognised, compressed, sealed and
 * packed, stage by stage and all together. Takes pages from a file (as from QEMU's `pmemsave`, zero pages are
 * left out), else from this process's own memory, which looks like any program's.
 */
import { createHash } from 'node:crypto'
import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  type FrameName,
  frameBytes,
  framePages,
  openFrame,
  packFrame,
  sealFrame,
} from '../electron/pages/frame.ts'
import { KnownPages } from '../electron/pages/known-pages.ts'
import type { PackSink } from '../electron/pages/pack-writer.ts'
import { Packer } from '../electron/pages/packer.ts'
import { isZeroPage, PageHasher, pageBytes, pageIdBytes } from '../electron/pages/page-id.ts'
import { PageTable } from '../electron/pages/page-table.ts'
import { systemRandom } from '../electron/platform/random.ts'
import { deriveKeys, newVaultKey } from '../electron/vault/keys.ts'

const { values } = parseArgs({
  options: { pages: { type: 'string' }, mebibytes: { type: 'string', default: '48' } },
})
const wantedBytes = Number(values.mebibytes) * 1024 * 1024
const keys = deriveKeys(newVaultKey())
const hasher = new PageHasher(keys.pageIdKey)

/** Different pages with something in them, up to `wantedBytes`. */
function samplePages(): Buffer {
  const sample = Buffer.alloc(wantedBytes)
  const seen = new PageTable()
  const id = Buffer.alloc(pageIdBytes)
  let filled = 0
  for (const piece of values.pages === undefined ? ownMemory() : [readFileSync(values.pages)]) {
    for (let at = 0; at + pageBytes <= piece.length && filled < sample.length; at += pageBytes) {
      if (isZeroPage(piece, at)) continue
      hasher.idOf(piece, at, id)
      if (seen.add(id, 0, 0, 0) >= 0) continue
      filled += piece.copy(sample, filled, at, at + pageBytes)
    }
  }
  return sample.subarray(0, filled - (filled % frameBytes))
}

function* ownMemory(): Generator<Buffer> {
  const memory = openSync('/proc/self/mem', 'r')
  try {
    for (const line of readFileSync('/proc/self/maps', 'utf8').split('\n')) {
      const [, start = '', end = ''] = /^([0-9a-f]+)-([0-9a-f]+) r.*(?:\[heap\]|\/| 0 *)/.exec(line) ?? []
      if (start === '' || end === '') continue
      const lengthBytes = Number.parseInt(end, 16) - Number.parseInt(start, 16)
      const piece = Buffer.alloc(Math.min(lengthBytes, 32 * 1024 * 1024))
      try {
        yield piece.subarray(0, readSync(memory, piece, 0, piece.length, Number.parseInt(start, 16)))
      } catch {
        // A guard page, or a device.
      }
    }
  } finally {
    closeSync(memory)
  }
}

interface Timed {
  wallMs: number
  loopMs: number
  processMs: number
}

async function time(work: () => unknown): Promise<Timed> {
  const [loop, all, start] = [process.threadCpuUsage(), process.cpuUsage(), performance.now()]
  await work()
  const wallMs = performance.now() - start
  const [loopUsed, allUsed] = [process.threadCpuUsage(loop), process.cpuUsage(all)]
  return {
    wallMs,
    loopMs: (loopUsed.user + loopUsed.system) / 1000,
    processMs: (allUsed.user + allUsed.system) / 1000,
  }
}

/** The best of three: on a shared machine, what a stage takes when nothing is in its way. */
async function stage(name: string, bytes: number, work: () => unknown): Promise<void> {
  const runs = [await time(work), await time(work), await time(work)]
  const rate = (pick: (run: Timed) => number) => {
    const ms = Math.min(...runs.map(pick))
    return ms < 0.5 ? '–' : Math.round(bytes / 1000 / ms).toString()
  }
  const cells = [rate((run) => run.wallMs), rate((run) => run.loopMs), rate((run) => run.processMs)]
  console.log(name.padEnd(38), ...cells.map((cell) => cell.padStart(10)))
}

const nowhere: PackSink = {
  begin: async () => ({ write: async () => {}, finish: async () => {}, discard: async () => {} }),
}

function intoFiles(folder: string): PackSink {
  return {
    begin: async (packId) => {
      const file = await open(join(folder, packId.toString('hex')), 'wx')
      return {
        write: async (bytes) => {
          await file.writeFile(bytes)
        },
        finish: async () => {
          await file.sync()
          await file.close()
        },
        discard: () => file.close(),
      }
    },
  }
}

async function pack(pages: Buffer, known: KnownPages, sink: PackSink): Promise<number> {
  const locations = { zero: () => {}, page: () => {} }
  const { frameKeyOf } = keys
  const packer = new Packer({ known, hasher, locations, sink, frameKeyOf, random: systemRandom })
  await packer.addRun(0, pages)
  return (await packer.finish()).sealedBytes
}

async function stages(pages: Buffer, folder: string): Promise<void> {
  const bytes = pages.length
  const frames = Array.from({ length: bytes / frameBytes }, (_, at) =>
    pages.subarray(at * frameBytes, at * frameBytes + frameBytes),
  )
  const name = (ordinal: number): FrameName => ({ packId: Buffer.alloc(16), ordinal })
  const key = (ordinal: number): Buffer => keys.frameKeyOf(Buffer.alloc(16), ordinal)
  const contents = frames.map(packFrame)
  const sealed = contents.map((content, ordinal) => sealFrame(key(ordinal), name(ordinal), content))
  const ids = Buffer.alloc((bytes / pageBytes) * pageIdBytes)
  const known = new KnownPages()
  await pack(pages, known, nowhere)

  console.log(''.padEnd(38), '   wall', '    this thread', '  processor')
  await stage('SHA-256 of it all, for comparison', bytes, () => createHash('sha256').update(pages).digest())
  await stage('is it zero', bytes, () => {
    for (let at = 0; at < bytes; at += pageBytes) isZeroPage(pages, at)
  })
  await stage('page ids', bytes, () => hasher.idsOf(pages, ids))
  await stage('look up, a million pages known', bytes, () => {
    for (let at = 0; at < ids.length; at += pageIdBytes) million.find(ids, at)
  })
  await stage('compress', bytes, () => frames.map(packFrame))
  await stage('frame keys and seals', bytes, () => {
    contents.map((content, ordinal) => sealFrame(key(ordinal), name(ordinal), content))
  })
  await stage('open', bytes, () => {
    sealed.map((s, ordinal) => openFrame(key(ordinal), name(ordinal), s, framePages))
  })
  await stage('all together, new pages', bytes, () => pack(pages, new KnownPages(), nowhere))
  await stage('all together, into synced files', bytes, () =>
    pack(pages, new KnownPages(), intoFiles(folder)),
  )
  await stage('all together, pages known before', bytes, () => pack(pages, known, nowhere))
}

const million = new PageTable()
const folder = await mkdtemp(join(tmpdir(), 'wdock-bench-'))
try {
  const pages = samplePages()
  const sealedBytes = await pack(pages, new KnownPages(), nowhere)
  console.log(
    `${Math.round(pages.length / 1e6)} MB of different pages, sealed ${(sealedBytes / pages.length).toFixed(2)} of it; MB/s, best of 3`,
  )
  const ids = systemRandom.bytes(1e6 * pageIdBytes)
  const { wallMs, loopMs } = await time(() => {
    for (let page = 0; page < 1e6; page += 1) million.add(ids, page * pageIdBytes, page >>> 4, page & 15)
  })
  const perPage = Math.round(million.memoryBytes / 1e6)
  console.log(
    `a million pages made known in ${Math.round(wallMs)} ms (${Math.round(loopMs)} ms of processor), ${perPage} bytes each`,
  )
  await stages(pages, folder)
} finally {
  await rm(folder, { recursive: true, force: true })
}

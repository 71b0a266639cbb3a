/**
 * A guest for tests of kept pages: numbered contents at addresses, beside a map that says what has to be
 * known. Promises that `mismatches` names every answer that is not what the map says.
 */
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pageBytes } from '../../page-id.ts'
import { type KeptDisk, systemDisk } from '../kept-disk.ts'
import type { KeptOptions } from '../kept-options.ts'
import { type KeptPages, openKept } from '../kept-pages.ts'

/** What is known of a page: which content, and whether it is here. */
export interface ModelPage {
  number: number
  isHere: boolean
}
export type Model = Map<number, ModelPage>

export const dockKey = Buffer.alloc(32, 7)
export const idKey = Buffer.alloc(32, 9)
export const note = { guestId: '0b4b57a0-5c1c-4cd1-8f2c-0f6f2f6f3a11', dockId: 'a'.repeat(52), atMs: 1_000 }
/** The second begins at a chunk of its own. */
export const blocks = [
  { name: 'pc.ram', pages: 2100 },
  { name: 'rom', pages: 10 },
]
/** Does not wait for the drive: only a power cut would tell. */
const quickDisk: KeptDisk = { ...systemDisk, sync: () => {}, syncFolder: () => {} }
/** So little that everything has to make room for something else. */
export const small: Partial<KeptOptions> = {
  disk: quickDisk,
  mostChunks: 2,
  mostFrames: 2,
  finderEntries: 512,
  mostSegments: 3,
  mostSegmentPages: 128,
}

const ids = new Map<number, Buffer>()

export function idOf(number: number): Buffer {
  const id = ids.get(number) ?? createHash('sha256').update(`${number}`).digest().subarray(0, 16)
  ids.set(number, id)
  return id
}

export function pageOf(number: number): Buffer {
  const page = Buffer.alloc(pageBytes, number % 251)
  page.writeUInt32LE(number, 1000)
  return page
}

export async function inFolder(work: (folder: string) => void | Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'wdock-kept-'))
  try {
    await work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export function begun(
  folder: string,
  from: 'known' | 'nothing',
  options: Partial<KeptOptions> = small,
): KeptPages {
  const kept = openKept(folder, dockKey, options)
  kept.begin({ idKey, blocks, from })
  return kept
}

export function put(kept: KeptPages, model: Model, address: number, number: number): void {
  kept.putPage(address, idOf(number), 0, pageOf(number), 0)
  model.set(address, { number, isHere: true })
}

export function putMany(kept: KeptPages, model: Model, address: number, count: number, number: number): void {
  for (let page = 0; page < count; page += 1) put(kept, model, address + page, number + page)
}

/** @returns the random name of the visit */
export function finish(kept: KeptPages): Buffer {
  const visit = randomBytes(16)
  kept.finish(visit, note)
  return visit
}

/** What stays when a visit is finished. */
export function settled(model: Model): Model {
  return new Map([...model].filter(([, { isHere }]) => isHere))
}

/** What is not as the model says. @param may `less`: some of it may be missing, but nothing may be wrong */
export function mismatches(kept: KeptPages, model: Model, may: 'nothing' | 'less' = 'nothing'): string[] {
  const told = new Set<number>()
  const wrong: string[] = []
  kept.eachKnown((address, ids, count) => {
    for (let page = 0; page < count; page += 1) {
      told.add(address + page)
      const known = model.get(address + page)
      const id = ids.subarray(page * 16, page * 16 + 16)
      if (known === undefined || !idOf(known.number).equals(id)) wrong.push(`told of ${address + page}`)
    }
  })
  for (const [address, page] of model) {
    const [idState, pageState] = [idAt(kept, address, page), contentAt(kept, address, page)]
    if (idState === 'wrong' || (idState === 'none' && may === 'nothing')) wrong.push(`id at ${address}`)
    if ((idState !== 'none') !== told.has(address)) wrong.push(`told of or not: ${address}`)
    const isMissing = pageState === 'none' && page.isHere && may === 'nothing'
    if (isMissing || pageState === 'wrong') wrong.push(`page at ${address}`)
  }
  return wrong
}

type Answer = 'right' | 'wrong' | 'none'

function idAt(kept: KeptPages, address: number, { number }: ModelPage): Answer {
  const id = Buffer.alloc(16)
  const isKnown = kept.idAt(address, id, 0)
  if (kept.idEquals(address, idOf(number), 0) !== isKnown) return 'wrong'
  if (kept.idEquals(address, idOf(number + 1), 0)) return 'wrong'
  if (!isKnown) return 'none'
  return id.equals(idOf(number)) ? 'right' : 'wrong'
}

function contentAt(kept: KeptPages, address: number, { number, isHere }: ModelPage): Answer {
  const page = Buffer.alloc(pageBytes)
  if (!kept.readInto(address, page, 0)) return 'none'
  return isHere && page.equals(pageOf(number)) ? 'right' : 'wrong'
}

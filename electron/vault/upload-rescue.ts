/**
 * A checkpoint whose upload was ended by a sweep goes on under a new id. What it builds on may have been freed
 * meanwhile: frames of such packs are taken from wherever they still are (the spool, this PC's store of frames, the
 * vault) and put into new packs, as ids of packs are never used twice. Promises a manifest that lists only packs which
 * may be relied on or are in the spool, and says the same of every page.
 */
import { fail, isCode } from '../../shared/errors/index.ts'
import { openFrame, packFrame, sealFrame } from '../pages/frame.ts'
import type { FrameCache } from '../pages/frame-cache.ts'
import { PageHasher, pageIdBytes } from '../pages/page-id.ts'
import type { FrameRows } from './codec/frame-rows.ts'
import type { Manifest } from './codec/manifest.ts'
import { prefixes } from './names.ts'
import type { OpenVault } from './open-vault.ts'
import type { Spool } from './spool.ts'

export interface RescueWork {
  vault: OpenVault
  spool: Spool
  frames: FrameCache | null
  manifest: Manifest
  /** Packs that may be relied on, by id, with their lengths. */
  usable: ReadonlyMap<string, number>
  signal: AbortSignal
}

/** @throws vault.upload_lost when a frame is nowhere any more; what the store and the spool throw */
export async function rescueFrames(work: RescueWork): Promise<Manifest> {
  const { manifest, spool, usable } = work
  const own = new Map((await spool.packs()).map(({ id, sizeBytes }) => [id, sizeBytes]))
  const frames = copyRows(manifest.frames)
  for (const [pack, id] of manifest.frames.packs.entries()) {
    const storedBytes = usable.get(id) ?? -1
    const ownBytes = own.get(id)
    // Of an own pack all must be there: else it would be put once more.
    if (ownBytes === undefined ? storedBytes >= packEnd(frames, pack) : storedBytes === ownBytes) continue
    work.signal.throwIfAborted()
    await renewPack(work, frames, pack, own.has(id))
  }
  return { ...manifest, frames }
}

/** Puts the frames of one pack that are used into a new one, in the same order, so that no page changes its place. */
async function renewPack(work: RescueWork, rows: FrameRows, pack: number, isOwn: boolean): Promise<void> {
  const { vault, spool } = work
  const oldId = rows.packs[pack] ?? ''
  const newId = vault.random.bytes(16)
  const hasher = new PageHasher(vault.pageIdKey)
  const whole = isOwn ? await spool.readPack(oldId) : null
  const file = await spool.begin(newId)
  try {
    const first = rows.packStart[pack] ?? 0
    const count = (rows.packStart[pack + 1] ?? 0) - first
    const ids: Buffer[] = []
    let offset = 0
    for (let ordinal = 0; ordinal < count; ordinal += 1) {
      const row = first + ordinal
      const pages = await openRow(work, rows, oldId, row, whole)
      const name = { packId: newId, ordinal }
      const sealed = sealFrame(vault.frameKeyOf(newId, ordinal), name, packFrame(pages))
      await file.write(sealed)
      const frameIds = Buffer.alloc((rows.pages[row] ?? 0) * pageIdBytes)
      hasher.idsOf(pages, frameIds)
      ids.push(frameIds)
      rows.ordinal[row] = ordinal
      rows.offset[row] = offset
      rows.sealedBytes[row] = sealed.length
      offset += sealed.length
    }
    const sealedBytes = rows.sealedBytes.slice(first, first + count)
    const pages = rows.pages.slice(first, first + count)
    await file.finish({ packId: newId, sealedBytes, pages, ids: Buffer.concat(ids) })
    rows.packs[pack] = newId.toString('hex')
  } catch (error) {
    await file.discard()
    throw error
  }
}

/** The pages of a frame, from the nearest place that has them. */
async function openRow(
  work: RescueWork,
  rows: FrameRows,
  packId: string,
  row: number,
  whole: Buffer | null,
): Promise<Buffer> {
  const { vault, frames, signal } = work
  const id = Buffer.from(packId, 'hex')
  const ordinal = rows.ordinal[row] ?? 0
  const offset = rows.offset[row] ?? 0
  const length = rows.sealedBytes[row] ?? 0
  const open = (sealed: Buffer): Buffer =>
    openFrame(vault.frameKeyOf(id, ordinal), { packId: id, ordinal }, sealed, rows.pages[row] ?? 0)
  if (whole !== null) return open(whole.subarray(offset, offset + length))
  const kept = await frames?.get(id, offset, length)
  if (kept) {
    try {
      return open(kept)
    } catch {
      await frames?.forget(id)
    }
  }
  const sealed = await vault.store
    .getRange(prefixes.packs + packId, offset, length, { signal })
    .catch((error) => {
      if (isCode(error, 'store.short_read')) return null
      throw error
    })
  if (sealed === null) throw fail('vault.upload_lost', {}, { detail: `pack ${packId}` })
  return open(sealed)
}

function packEnd(rows: FrameRows, pack: number): number {
  const last = (rows.packStart[pack + 1] ?? 0) - 1
  return (rows.offset[last] ?? 0) + (rows.sealedBytes[last] ?? 0)
}

function copyRows(rows: FrameRows): FrameRows {
  return {
    ...rows,
    packs: [...rows.packs],
    ordinal: rows.ordinal.slice(),
    offset: rows.offset.slice(),
    sealedBytes: rows.sealedBytes.slice(),
  }
}

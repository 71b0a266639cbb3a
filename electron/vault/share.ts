/**
 * Lends one checkpoint: fills the place of a share (FORMAT.md, "Share"), and reads one. Promises that whoever holds the
 * link can open nothing that belongs only to another checkpoint, and that the manifest is put last, so that a share is
 * either whole or being prepared. What was begun and broken off is done again under new ids of packs: a key seals one
 * frame, once.
 */
import { fail, isCode } from '../../shared/errors/index.ts'
import type { Lending, LentObjects } from '../objects/object-store.ts'
import { framePages, packFrame, sealFrame } from '../pages/frame.ts'
import type { FrameCache } from '../pages/frame-cache.ts'
import { packBytes, packFrames } from '../pages/pack-writer.ts'
import { pageBytes } from '../pages/page-id.ts'
import { indexBelow } from './codec/frame-rows.ts'
import { limits } from './codec/limits.ts'
import { decodeLentManifest, encodeManifest, type Manifest } from './codec/manifest.ts'
import { decodeSummary, encodeSummary, type Summary } from './codec/summary.ts'
import { FrameFetcher } from './frame-fetcher.ts'
import { deriveKeys, type VaultKeys } from './keys.ts'
import { prefixes } from './names.ts'
import type { OpenVault } from './open-vault.ts'
import { forEachParallel } from './parallel.ts'
import { type NewFrames, planShare, shareTables } from './share-tables.ts'

/** The objects of a share. */
const names = { manifest: 'checkpoint', summary: 'summary' } as const

const copiesAtOnce = 4
/** Rows that are opened at once. */
const batchRows = 64

export interface ShareWork {
  vault: OpenVault
  lending: Lending
  frames: FrameCache | null
  shareId: string
  shareKey: Buffer
  manifest: Manifest
  summary: Summary
  signal: AbortSignal
  onProgress: (doneBytes: number, totalBytes: number) => void
}

/** Fills the place of a share. May be done again from the start. @throws store.*, vault.damaged, the signal's reason */
export async function prepareShare(work: ShareWork): Promise<void> {
  const { vault, lending, shareId, shareKey, manifest, summary, signal } = work
  const keys = deriveKeys(shareKey, vault.random)
  const plan = planShare(manifest)
  const made = await sealAnew(work, keys, plan.loose)
  const tables = shareTables(manifest, plan, made, (packId, ordinal, isNew) =>
    (isNew ? keys : vault).frameKeyOf(Buffer.from(packId, 'hex'), ordinal),
  )
  const ours = new Set(made.packs.map(({ id }) => id))
  const copied = tables.frames.packs.filter((id) => !ours.has(id))
  const totalBytes = tables.frames.sealedBytes.reduce((sum, length) => sum + length, 0)
  let done = 0
  await forEachParallel(copied, copiesAtOnce, async (id) => {
    signal.throwIfAborted()
    await lending.copy(shareId, prefixes.packs + id, { signal })
    done += 1
    work.onProgress(Math.round((totalBytes * done) / copied.length), totalBytes)
  })
  const regions = manifest.head.regions.map((region) => ({ ...region, idsSha256: null }))
  const head = { ...manifest.head, frameKeys: 'listed' as const, regions }
  const put = (name: string, payload: Buffer): Promise<void> =>
    lending.put(shareId, name, keys.objects.seal(name, payload), { signal })
  await put(names.summary, encodeSummary(summary))
  await put(names.manifest, encodeManifest({ head, ...tables }))
}

/** Pages that lie in frames with pages of others go into new frames, 16 by 16, in new packs. */
async function sealAnew(work: ShareWork, keys: VaultKeys, loose: readonly number[]): Promise<NewFrames> {
  const { vault, lending, shareId, signal } = work
  const packs: { id: string; sealedBytes: number[]; pages: number[] }[] = []
  let parts: Buffer[] = []
  let partsBytes = 0
  let packId = vault.random.bytes(16)
  const endPack = async (): Promise<void> => {
    if (parts.length === 0) return
    await lending.put(shareId, prefixes.packs + packId.toString('hex'), Buffer.concat(parts), { signal })
    packId = vault.random.bytes(16)
    parts = []
    partsBytes = 0
  }
  for await (const pages of framesOf(work, loose)) {
    signal.throwIfAborted()
    const content = packFrame(pages)
    const isFull = partsBytes + content.length + 16 > packBytes || parts.length === packFrames
    if (isFull) await endPack()
    if (parts.length === 0) packs.push({ id: packId.toString('hex'), sealedBytes: [], pages: [] })
    const ordinal = parts.length
    const sealed = sealFrame(keys.frameKeyOf(packId, ordinal), { packId, ordinal }, content)
    parts.push(sealed)
    partsBytes += sealed.length
    packs.at(-1)?.sealedBytes.push(sealed.length)
    packs.at(-1)?.pages.push(pages.length / pageBytes)
  }
  await endPack()
  return { packs }
}

/** The pages of places, in order, as many at a time as a frame takes. */
async function* framesOf(work: ShareWork, places: readonly number[]): AsyncGenerator<Buffer> {
  const { vault, frames, manifest, signal } = work
  const { store, frameKeyOf, clock } = vault
  const fetcher = new FrameFetcher(manifest.frames, { store, frameKeyOf, frames, clock })
  const onAbort = (): void => fetcher.close()
  signal.addEventListener('abort', onAbort, { once: true })
  const { placeStart } = manifest.frames
  try {
    let collected: Buffer[] = []
    const step = batchRows * framePages
    for (let from = 0; from < places.length; from += step) {
      const some = places.slice(from, from + step)
      const rowOf = (place: number): number => indexBelow(placeStart, place)
      const opened = await fetcher.open([...new Set(some.map(rowOf))], false)
      for (const place of some) {
        const row = rowOf(place)
        const at = (place - (placeStart[row] ?? 0)) * pageBytes
        collected.push(opened.get(row)?.subarray(at, at + pageBytes) ?? Buffer.alloc(pageBytes))
        if (collected.length < framePages) continue
        yield Buffer.concat(collected)
        collected = []
      }
    }
    if (collected.length > 0) yield Buffer.concat(collected)
  } finally {
    signal.removeEventListener('abort', onAbort)
    fetcher.close()
  }
}

/** A share as the holder of its link sees it. */
export interface LentCheckpoint {
  manifest: Manifest
  summary: Summary
}

/** @throws store.link_dead, vault.link_preparing, vault.bad_link, vault.bad_lent_manifest, what else the store throws */
export async function readShare(lent: Pick<LentObjects, 'get'>, shareKey: Buffer): Promise<LentCheckpoint> {
  const { objects } = deriveKeys(shareKey)
  const read = async (name: string, limitBytes: number): Promise<Buffer> => {
    const sealed = await lent.get(name, limitBytes + 1024 ** 2)
    if (sealed === null) throw fail('vault.link_preparing')
    return objects.open(name, sealed, limitBytes)
  }
  try {
    const manifest = decodeLentManifest(await read(names.manifest, limits.manifestBytes))
    const summary = decodeSummary(names.summary, await read(names.summary, limits.summaryBytes))
    return { manifest, summary }
  } catch (error) {
    throw linkFailure(error)
  }
}

function linkFailure(error: unknown): unknown {
  // The key of another link, or half of one.
  if (!isCode(error, 'vault.damaged_object')) return error
  const { detail } = error
  return fail('vault.bad_link', {}, { cause: error, ...(detail === null ? {} : { detail }) })
}

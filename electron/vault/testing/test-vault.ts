/** For tests: a vault over any store, and guests of some pages that are captured into it by the real packer. */
import { MemoryStore } from '../../objects/memory.ts'
import type { ObjectStore } from '../../objects/object-store.ts'
import type { FrameCache } from '../../pages/frame-cache.ts'
import { Packer } from '../../pages/packer.ts'
import { PageHasher, pageBytes, pageIdBytes } from '../../pages/page-id.ts'
import { type Clock, systemClock } from '../../platform/clock.ts'
import { silentLog } from '../../platform/log.ts'
import { systemRandom } from '../../platform/random.ts'
import type { ManifestRegion } from '../codec/manifest.ts'
import { RegionHasher } from '../codec/region-hash.ts'
import type { SummaryHead } from '../codec/summary.ts'
import { deriveKeys } from '../keys.ts'
import { buildTables, RegionPages } from '../manifest-builder.ts'
import type { ObjectCache } from '../object-cache.ts'
import type { OpenVault } from '../open-vault.ts'
import type { Spool } from '../spool.ts'
import { Upload, type UploadOptions } from '../upload.ts'
import { VaultObjects } from '../vault-objects.ts'
import { MemorySpool } from './memory-spool.ts'
import { Seeded } from './seeded.ts'
import { testSummary } from './summaries.ts'
import { testDockId, testHead } from './tables.ts'

const testKey = Buffer.alloc(32, 42)

/** Another one with the same store is the same vault, seen from another PC. */
export function testVault(
  store: ObjectStore = new MemoryStore(),
  options: { clock?: Clock; cache?: ObjectCache } = {},
): OpenVault {
  const { objects, frameKeyOf, pageIdKey } = deriveKeys(testKey)
  return {
    vaultId: 'e'.repeat(32),
    store,
    objects: new VaultObjects(store, objects, options.cache ?? null),
    frameKeyOf,
    pageIdKey,
    clock: options.clock ?? systemClock,
    random: systemRandom,
    log: silentLog,
  }
}

export const testSealer = deriveKeys(testKey).objects

/** Pages of a guest: some zero, some alike, most different, and half of each compressible. */
export function testImage(seed: number, pages: number): Buffer {
  const random = new Seeded(seed)
  const image = Buffer.alloc(pages * pageBytes)
  for (let page = 0; page < pages; page += 1) {
    if (random.chance(0.2)) continue
    const half = random.chance(0.1) ? Buffer.alloc(pageBytes / 2, 7) : random.bytes(pageBytes / 2)
    half.copy(image, page * pageBytes)
  }
  return image
}

/** The same image with some pages changed. */
export function changedImage(image: Buffer, seed: number, pages: number): Buffer {
  const random = new Seeded(seed)
  const changed = Buffer.from(image)
  for (let count = 0; count < pages; count += 1) {
    const page = random.int(image.length / pageBytes)
    changed.fill(random.bytes(48), page * pageBytes, (page + 1) * pageBytes)
  }
  return changed
}

export const testIntent = {
  byDockId: testDockId,
  byDockName: 'Desk',
  guestId: '5b1c7a52-55c1-4c26-9f0e-6d3c8b6b1a10',
}

export interface CaptureChanges {
  spool?: Spool
  frames?: FrameCache | null
  options?: Partial<UploadOptions>
  summary?: Partial<SummaryHead>
  /** The longest pack. */
  packBytes?: number
  /** Instead of the true hash of the region. */
  idsSha256?: string
}

/** An upload whose guest has been captured, and that goes on by itself. */
export async function captureImage(
  vault: OpenVault,
  image: Buffer,
  changes: CaptureChanges = {},
): Promise<{ upload: Upload; newPages: number }> {
  const { upload, known } = await Upload.begin({
    ...{ vault, spool: changes.spool ?? new MemorySpool(), frames: changes.frames ?? null },
    intent: testIntent,
    ...changes.options,
  })
  const pages = image.length / pageBytes
  const region = new RegionPages(pages)
  const packer = new Packer({
    known,
    sink: upload.sink,
    hasher: new PageHasher(vault.pageIdKey),
    frameKeyOf: vault.frameKeyOf,
    random: vault.random,
    locations: {
      zero: (page) => region.setZeros(page, 1),
      page: (page, frame, slot) => region.set(page, frame, slot),
    },
    ...(changes.packBytes === undefined ? {} : { packBytes: changes.packBytes }),
  })
  await packer.addRun(0, image)
  const { newPages } = await packer.finish()
  const disk: ManifestRegion = {
    kind: 'disk',
    nodeName: 'disk0',
    virtualSizeBytes: image.length,
    pages,
    idsSha256: changes.idsSha256 ?? idsHashOf(vault, image),
  }
  const manifest = { head: testHead(upload.id, [disk]), ...buildTables(known.frames, [region]) }
  await upload.complete(manifest, testSummary(upload.id, changes.summary))
  return { upload, newPages }
}

/** A checkpoint of an image, published. @returns its id */
export async function publishImage(
  vault: OpenVault,
  image: Buffer,
  changes: CaptureChanges = {},
): Promise<string> {
  const { upload } = await captureImage(vault, image, changes)
  const { checkpointId } = await upload.published
  await upload.ended
  return checkpointId
}

function idsHashOf(vault: OpenVault, image: Buffer): string {
  const hasher = new PageHasher(vault.pageIdKey)
  const region = new RegionHasher()
  const id = Buffer.alloc(pageIdBytes)
  for (let at = 0; at < image.length; at += pageBytes) {
    if (image.subarray(at, at + pageBytes).every((byte) => byte === 0)) region.zeros(1)
    else {
      hasher.idOf(image, at, id)
      region.page(id)
    }
  }
  return region.finish()
}

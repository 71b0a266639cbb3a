/**
 * Reads a checkpoint: its regions, page by page, in any order and from several sides at once, while it is still being
 * fetched. Promises what `FrameFetcher` promises: exactly the pages that were captured, or a named error, and patience
 * with a store that does not answer.
 */
import { fail, type WdockError } from '../../shared/errors/index.ts'
import type { CallOptions } from '../objects/object-store.ts'
import type { FrameCache } from '../pages/frame-cache.ts'
import { pageBytes } from '../pages/page-id.ts'
import { limits } from './codec/limits.ts'
import { decodeManifest, type Manifest, type ManifestRegion } from './codec/manifest.ts'
import type { PageRun } from './codec/warm.ts'
import { FrameFetcher, type FrameFetcherOptions } from './frame-fetcher.ts'
import { prefixes } from './names.ts'
import type { OpenVault } from './open-vault.ts'
import { type PageExtent, PageMap } from './page-map.ts'

/** A page of a region: its bytes, or that it has none. */
export type PageContent = Buffer | 'zero' | 'hole'

/** As many frames are asked for at once when fetching ahead. */
const prefetchFrames = 256

/** @throws vault.checkpoint_missing, vault.bad_manifest, vault.damaged_object, vault.newer_object, what the store throws */
export async function readManifest(
  vault: OpenVault,
  id: string,
  options: CallOptions = {},
): Promise<Manifest> {
  const payload = await vault.objects.readKept(prefixes.checkpoints + id, limits.manifestBytes, options)
  if (payload === null) throw fail('vault.checkpoint_missing')
  return decodeManifest(id, payload)
}

/** What a reader of the vault's own checkpoints needs. */
export interface ReaderOptions extends CallOptions {
  frames: FrameCache | null
  onTrouble?: (error: WdockError | null) => void
  onFetched?: (bytes: number) => void
}

/** Opens a checkpoint of a vault. @throws as `readManifest` */
export async function openCheckpoint(
  vault: OpenVault,
  id: string,
  options: ReaderOptions,
): Promise<CheckpointReader> {
  const manifest = await readManifest(vault, id, options)
  const { store, frameKeyOf, clock } = vault
  const { signal: _, ...rest } = options
  return new CheckpointReader(manifest, { ...rest, store, frameKeyOf, clock })
}

export interface ReadOptions extends CallOptions {
  /** Somebody waits for it: it goes before what is read ahead. Default true. */
  urgent?: boolean
}

export class CheckpointReader {
  readonly manifest: Manifest
  readonly #map: PageMap
  readonly #source: FrameFetcher

  constructor(manifest: Manifest, options: FrameFetcherOptions) {
    this.manifest = manifest
    this.#map = new PageMap(manifest)
    this.#source = new FrameFetcher(manifest.frames, options)
  }

  /** The number of a region; -1 when there is none. */
  regionOf(isIt: (region: ManifestRegion) => boolean): number {
    return this.manifest.head.regions.findIndex(isIt)
  }

  /** What a span is made of, without reading it. @throws RangeError outside of the region */
  extents(region: number, from: number, count: number): PageExtent[] {
    return [...this.#map.extents(region, from, count)]
  }

  /**
   * Pages one by one: views that must not be changed.
   * @throws vault.pack_missing, vault.damaged; the signal's reason; host.cancelled once it is closed
   */
  async readPages(
    region: number,
    from: number,
    count: number,
    options: CallOptions = {},
  ): Promise<PageContent[]> {
    const pages = new Array<PageContent>(count).fill('zero')
    for (const extent of this.#map.extents(region, from, count)) {
      if (extent.kind === 'hole') pages.fill('hole', extent.from - from, extent.from - from + extent.count)
    }
    const frames = await this.#open(region, from, count, options)
    for (const { page, row, slot } of this.#map.spots(region, from, count)) {
      const frame = frames.get(row)
      if (frame) pages[page - from] = frame.subarray(slot * pageBytes, (slot + 1) * pageBytes)
    }
    return pages
  }

  /** Pages one after the other in one buffer, what is not there being zeros. @throws as `readPages` */
  async read(region: number, from: number, count: number, options: ReadOptions = {}): Promise<Buffer> {
    const bytes = Buffer.alloc(count * pageBytes)
    const frames = await this.#open(region, from, count, options)
    for (const { page, row, slot } of this.#map.spots(region, from, count)) {
      frames.get(row)?.copy(bytes, (page - from) * pageBytes, slot * pageBytes, (slot + 1) * pageBytes)
    }
    return bytes
  }

  /**
   * Fetches pages in an order, behind what is read meanwhile.
   * @param runs pages that the regions do not have are passed over: the order may have been recorded elsewhere
   * @throws as `readPages`
   */
  async prefetch(runs: Iterable<PageRun>, options: CallOptions = {}): Promise<void> {
    for (const rows of this.#batches(runs)) {
      options.signal?.throwIfAborted()
      await orAborted(this.#source.prefetch(rows), options.signal)
    }
  }

  /** All pages of all regions, in order. */
  everything(): PageRun[] {
    return this.manifest.regions.map((_, region) => ({ region, from: 0, count: this.#map.pagesOf(region) }))
  }

  /** What has still to be fetched of these pages, in bytes. */
  async missingBytes(runs: Iterable<PageRun>): Promise<number> {
    let bytes = 0
    for (const rows of this.#batches(runs)) {
      for (const row of rows) {
        if (!(await this.#source.isHere(row))) bytes += this.manifest.frames.sealedBytes[row] ?? 0
      }
    }
    return bytes
  }

  /** Lets go of everything; whoever waits gets `host.cancelled`. */
  close(): void {
    this.#source.close()
  }

  async #open(
    region: number,
    from: number,
    count: number,
    options: ReadOptions,
  ): Promise<Map<number, Buffer>> {
    options.signal?.throwIfAborted()
    return await orAborted(
      this.#source.open(this.#map.rows(region, from, count), options.urgent),
      options.signal,
    )
  }

  /** The frames of runs, each once, some at a time. */
  *#batches(runs: Iterable<PageRun>): Generator<number[]> {
    const seen = new Uint8Array(this.manifest.frames.pages.length)
    let batch: number[] = []
    for (const { region, from, count } of runs) {
      if (region >= this.manifest.regions.length) continue
      const end = Math.min(from + count, this.#map.pagesOf(region))
      if (from >= end) continue
      for (const row of this.#map.rows(region, from, end - from)) {
        if (seen[row] === 1) continue
        seen[row] = 1
        batch.push(row)
        if (batch.length < prefetchFrames) continue
        yield batch
        batch = []
      }
    }
    if (batch.length > 0) yield batch
  }
}

/** The work goes on for others; whoever gave up does not wait for it. */
async function orAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await work
  const { promise, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => reject(signal.reason)
  signal.addEventListener('abort', onAbort)
  work.catch(() => {})
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

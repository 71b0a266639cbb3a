/**
 * Reads the data of checkpoints back from the store, each frame once however many checkpoints share it, and compares
 * their pages with the hashes in the manifests.
 */
import { fail } from '../../shared/errors/index.ts'
import { PageHasher, pageIdBytes } from '../pages/page-id.ts'
import { indexBelow } from './codec/frame-rows.ts'
import type { Manifest } from './codec/manifest.ts'
import { RegionHasher } from './codec/region-hash.ts'
import { FrameFetcher } from './frame-fetcher.ts'
import type { OpenVault } from './open-vault.ts'
import { PageMap } from './page-map.ts'

/** Frames at once: a few MiB. */
const batchFrames = 128

/** A frame that was opened: where it lay, and the ids of its pages. */
interface SeenFrame {
  offset: number
  sealedBytes: number
  ids: Buffer
}

export class DataCheck {
  readonly #vault: OpenVault
  readonly #signal: AbortSignal | undefined
  readonly #hasher: PageHasher
  /** By pack, then by ordinal. */
  readonly #seen = new Map<string, Map<number, SeenFrame>>()
  #readBytes = 0

  constructor(vault: OpenVault, signal: AbortSignal | undefined) {
    this.#vault = vault
    this.#signal = signal
    this.#hasher = new PageHasher(vault.pageIdKey)
  }

  /** What was read from the store so far. */
  get readBytes(): number {
    return this.#readBytes
  }

  close(): void {
    this.#seen.clear()
  }

  /** @throws vault.pack_missing, vault.damaged */
  async check(manifest: Manifest): Promise<void> {
    const { store, frameKeyOf, clock } = this.#vault
    const onFetched = (bytes: number): void => {
      this.#readBytes += bytes
    }
    const source = new FrameFetcher(manifest.frames, {
      ...{ store, frameKeyOf, clock, onFetched },
      frames: null,
      memoryBytes: 0,
    })
    const onAbort = (): void => source.close()
    this.#signal?.addEventListener('abort', onAbort)
    try {
      await this.#readUnseen(manifest, source)
    } finally {
      this.#signal?.removeEventListener('abort', onAbort)
      source.close()
    }
    for (const region of manifest.regions.keys()) this.#compare(manifest, region)
  }

  async #readUnseen(manifest: Manifest, source: FrameFetcher): Promise<void> {
    const { frames } = manifest
    const unseen = [...frames.pages.keys()].filter((row) => this.#find(manifest, row) === null)
    for (let from = 0; from < unseen.length; from += batchFrames) {
      this.#signal?.throwIfAborted()
      const rows = unseen.slice(from, from + batchFrames)
      for (const [row, pages] of await source.open(rows)) {
        const ids = Buffer.alloc((frames.pages[row] ?? 0) * pageIdBytes)
        this.#hasher.idsOf(pages, ids)
        const offset = frames.offset[row] ?? 0
        const sealedBytes = frames.sealedBytes[row] ?? 0
        this.#packOf(manifest, row).set(frames.ordinal[row] ?? 0, { offset, sealedBytes, ids })
      }
    }
  }

  #compare(manifest: Manifest, region: number): void {
    const expected = manifest.head.regions[region]?.idsSha256 ?? null
    if (expected === null) return
    const map = new PageMap(manifest)
    const hasher = new RegionHasher()
    for (const extent of map.extents(region, 0, map.pagesOf(region))) {
      if (extent.kind === 'zero') hasher.zeros(extent.count)
      else if (extent.kind === 'hole') hasher.holes(extent.count)
      else {
        for (const { row, slot } of map.spots(region, extent.from, extent.count)) {
          const ids = this.#find(manifest, row)?.ids ?? Buffer.alloc(0)
          hasher.page(ids, slot * pageIdBytes)
        }
      }
    }
    if (hasher.finish() !== expected) {
      throw fail('vault.damaged', {}, { detail: `region ${region} is not what was captured` })
    }
  }

  #packOf({ frames }: Manifest, row: number): Map<number, SeenFrame> {
    const id = frames.packs[indexBelow(frames.packStart, row)] ?? ''
    let pack = this.#seen.get(id)
    if (pack === undefined) {
      pack = new Map()
      this.#seen.set(id, pack)
    }
    return pack
  }

  /** What was opened before, if it lay in the same place. */
  #find(manifest: Manifest, row: number): SeenFrame | null {
    const { ordinal, offset, sealedBytes, pages } = manifest.frames
    const seen = this.#packOf(manifest, row).get(ordinal[row] ?? 0)
    if (seen === undefined) return null
    const isSame = seen.offset === offset[row] && seen.sealedBytes === sealedBytes[row]
    return isSame && seen.ids.length === (pages[row] ?? 0) * pageIdBytes ? seen : null
  }
}

/** For tests: manifests of every form, made from a few numbers. */
import fc from 'fast-check'
import type { GuestDefinition } from '../../../shared/models/guest-definition.ts'
import { framePages } from '../../pages/frame.ts'
import { FrameTable } from '../../pages/frame-table.ts'
import { testDefinition } from '../../qemu/test-guests.ts'
import type { Manifest, ManifestHead, ManifestRegion } from '../codec/manifest.ts'
import { buildTables, RegionPages } from '../manifest-builder.ts'

export const testDockId = 'a'.repeat(52)
export const noHash = '0'.repeat(64)

export function testHead(
  checkpointId: string,
  regions: ManifestRegion[],
  guest: GuestDefinition = testDefinition(),
): ManifestHead {
  return {
    version: 1,
    checkpointId,
    guest,
    atMs: 1_760_000_000_000,
    byDockId: testDockId,
    byDockName: 'Desk',
    reason: 'person',
    qemuVersion: '7.2.0',
    accelerator: 'tcg',
    frozenBy: 'pre-copy',
    freezeMs: 12,
    frameKeys: 'derived',
    regions,
  }
}

/** A region of a kind, as long as `pages`. */
export function testRegion(kind: ManifestRegion['kind'], pages: number): ManifestRegion {
  const bytes = Math.max(0, pages * 4096 - (pages === 0 ? 0 : 100))
  const every = { pages, idsSha256: noHash }
  switch (kind) {
    case 'ram':
      return { kind, name: 'pc.ram', ...every }
    case 'disk':
      return { kind, nodeName: 'disk0', virtualSizeBytes: bytes, ...every }
    case 'state':
      return { kind, headBytes: Math.min(bytes, 10), tailBytes: bytes - Math.min(bytes, 10), ...every }
    case 'boot-file':
      return { kind, sha256: noHash, lengthBytes: bytes, ...every }
  }
}

/** One page of a region: nothing, zeros, or a frame and a slot by number. */
type Cell = { kind: 'hole' } | { kind: 'zero' } | { kind: 'page'; frame: number; slot: number }

export interface TableCase {
  /** For each pack, for each of its frames: pages, and how long it is sealed. */
  packs: { pages: number; sealedBytes: number }[][]
  cells: Cell[][]
}

export interface BuiltCase {
  known: FrameTable
  pages: RegionPages[]
  manifest: Manifest
}

const kinds = ['disk', 'state', 'ram', 'boot-file'] as const

/** Arbitrary tables: packs used in part, pages that lie anywhere, runs and single pages. */
export const tableCases: fc.Arbitrary<TableCase> = fc
  .array(
    fc.array(
      fc.record({
        pages: fc.integer({ min: 1, max: framePages }),
        sealedBytes: fc.integer({ min: 17, max: 4112 }),
      }),
      { minLength: 1, maxLength: 6 },
    ),
    { maxLength: 5 },
  )
  .chain((packs) => {
    const frames = packs.flat()
    const cell: fc.Arbitrary<Cell[]> =
      frames.length === 0
        ? fc.constant([{ kind: 'zero' }])
        : fc.oneof(
            fc.integer({ min: 1, max: 40 }).map((count) => new Array<Cell>(count).fill({ kind: 'zero' })),
            fc.integer({ min: 1, max: 40 }).map((count) => new Array<Cell>(count).fill({ kind: 'hole' })),
            fc
              .record({ from: fc.nat(frames.length * framePages), count: fc.integer({ min: 1, max: 40 }) })
              .map(({ from, count }) => pagesInOrder(frames, from, count)),
          )
    const region = fc.array(cell, { maxLength: 12 }).map((parts) => parts.flat())
    return fc.record({ packs: fc.constant(packs), cells: fc.array(region, { maxLength: 4 }) })
  })

/** Pages one after the other over the borders of frames, from any of them. */
function pagesInOrder(frames: readonly { pages: number }[], from: number, count: number): Cell[] {
  const all = frames.flatMap((frame, number) =>
    Array.from({ length: frame.pages }, (_, slot): Cell => ({ kind: 'page', frame: number, slot })),
  )
  const first = from % all.length
  return all.slice(first, first + count)
}

export function buildCase(checkpointId: string, tables: TableCase): BuiltCase {
  const known = new FrameTable()
  for (const [number, frames] of tables.packs.entries()) {
    const pack = known.addPack(Buffer.alloc(16, number + 1))
    let offset = 0
    for (const [ordinal, { pages, sealedBytes }] of frames.entries()) {
      known.add({ pack, ordinal, offset, sealedBytes, pages })
      offset += sealedBytes
    }
  }
  const regions: ManifestRegion[] = []
  const pages = tables.cells.map((cells, index) => {
    const kind = kinds[index % kinds.length] ?? 'disk'
    regions.push(testRegion(kind, cells.length))
    return regionOf(cells, kind)
  })
  const manifest = { head: testHead(checkpointId, regions), ...buildTables(known, pages) }
  return { known, pages, manifest }
}

function regionOf(cells: readonly Cell[], kind: ManifestRegion['kind']): RegionPages {
  const region = new RegionPages(cells.length)
  for (const [page, cell] of cells.entries()) {
    if (cell.kind === 'page') region.set(page, cell.frame, cell.slot)
    else if (cell.kind === 'hole' && kind === 'disk') region.setHoles(page, 1)
    else region.setZeros(page, 1)
  }
  return region
}

/** The manifest: what goes in comes out, what is not a manifest is refused by name, and its size stays small. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { WdockError } from '../../../shared/errors/index.ts'
import { holePage, zeroPage } from '../manifest-builder.ts'
import { type BuiltCase, buildCase, tableCases, testHead, testRegion } from '../testing/tables.ts'
import { indexBelow } from './frame-rows.ts'
import {
  badManifestOf,
  decodeKeptManifest,
  decodeLentManifest,
  decodeManifest,
  encodeManifest,
  type Manifest,
  packsOfManifest,
} from './manifest.ts'
import { runKind } from './region-runs.ts'

const id = '0123456789abcdef0123456789abcdef'

/** What a manifest says of every page of a region: `pack:ordinal:slot`, or what else it is. */
function pagesOf(manifest: Manifest, region: number): string[] {
  const { frames, regions } = manifest
  const runs = regions[region]
  if (runs === undefined) throw new Error('no such region')
  const told: string[] = []
  for (const [run, kind] of runs.kind.entries()) {
    const start = runs.start[run] ?? 0
    for (let page = start; page < (runs.start[run + 1] ?? 0); page += 1) {
      if (kind === runKind.pages) told.push(placeText(frames, (runs.place[run] ?? 0) + page - start))
      else told.push(kind === runKind.zero ? 'zero' : 'hole')
    }
  }
  return told
}

function placeText(frames: Manifest['frames'], place: number): string {
  const row = indexBelow(frames.placeStart, place)
  const pack = frames.packs[indexBelow(frames.packStart, row)]
  return `${pack}:${frames.ordinal[row]}:${place - (frames.placeStart[row] ?? 0)}`
}

function expectedPages({ known, pages }: BuiltCase, region: number): string[] {
  const lies = pages[region]
  return Array.from({ length: lies?.count ?? 0 }, (_, page) => {
    const frame = lies?.frameOf(page) ?? holePage
    if (frame === zeroPage) return 'zero'
    if (frame === holePage) return 'hole'
    const place = known.place(frame)
    return `${known.packId(place?.pack ?? 0).toString('hex')}:${place?.ordinal}:${lies?.slotOf(page)}`
  })
}

function codeOf(action: () => unknown): string {
  try {
    action()
    return 'read'
  } catch (error) {
    return error instanceof WdockError ? error.code : String(error)
  }
}

describe('a manifest', () => {
  it('says of every page where it lies, after a round trip', () => {
    fc.assert(
      fc.property(tableCases, (tables) => {
        const built = buildCase(id, tables)
        const decoded = decodeManifest(id, encodeManifest(built.manifest))
        expect(decoded).toEqual(built.manifest)
        for (const region of tables.cells.keys()) {
          expect(pagesOf(decoded, region)).toEqual(expectedPages(built, region))
        }
        expect(packsOfManifest(id, encodeManifest(built.manifest))).toEqual(decoded.frames.packs)
      }),
      { numRuns: 40 },
    )
  })

  it('is refused by name whatever is changed in it, or it says something that holds together', () => {
    fc.assert(
      fc.property(tableCases, fc.nat(), fc.integer({ min: 1, max: 255 }), (tables, at, flip) => {
        const payload = encodeManifest(buildCase(id, tables).manifest)
        const place = at % payload.length
        payload[place] = (payload[place] ?? 0) ^ flip
        expect(['read', 'vault.bad_manifest', 'vault.newer_object']).toContain(
          codeOf(() => checkWhole(decodeManifest(id, payload))),
        )
      }),
      { numRuns: 100 },
    )
  })

  it('is refused by name when it is cut off anywhere, or goes on', () => {
    const payload = encodeManifest(buildCase(id, sample).manifest)
    for (let length = 0; length < payload.length; length += 1) {
      expect(codeOf(() => decodeManifest(id, payload.subarray(0, length)))).toBe('vault.bad_manifest')
    }
    expect(codeOf(() => decodeManifest(id, Buffer.concat([payload, Buffer.alloc(1)])))).toBe(
      'vault.bad_manifest',
    )
  })

  it('is refused by name when it is garbage', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        expect(codeOf(() => decodeManifest(id, Buffer.from(bytes)))).toBe('vault.bad_manifest')
      }),
    )
  })

  it('is refused when it is that of another checkpoint, or newer', () => {
    const built = buildCase(id, sample)
    const other = 'f'.repeat(32)
    expect(codeOf(() => decodeManifest(other, encodeManifest(built.manifest)))).toBe('vault.bad_manifest')
    const newer = { ...built.manifest, head: { ...built.manifest.head, version: 2 } }
    const payload = encodeManifest(newer as unknown as Manifest)
    expect(codeOf(() => decodeManifest(id, payload))).toBe('vault.newer_object')
    expect(codeOf(() => packsOfManifest(id, payload))).toBe('vault.newer_object')
  })

  it('is refused when its regions cannot be', () => {
    const none = { frames: buildCase(id, { packs: [], cells: [] }).manifest.frames, regions: [] }
    const heads = [
      testHead(id, [testRegion('ram', 0)]),
      testHead(id, [testRegion('disk', 0), testRegion('disk', 0)]),
      testHead(id, [{ ...testRegion('disk', 1), pages: 2 }]),
    ]
    for (const head of heads) {
      const regions = head.regions.map(() => ({
        start: new Uint32Array(1),
        kind: new Uint8Array(),
        place: new Uint32Array(),
      }))
      expect(codeOf(() => decodeManifest(id, encodeManifest({ ...none, head, regions })))).toBe(
        'vault.bad_manifest',
      )
    }
  })

  it('carries the keys of its frames where they are listed', () => {
    const { manifest } = buildCase(id, sample)
    const keys = Buffer.alloc(manifest.frames.pages.length * 32, 7)
    const shared = {
      ...manifest,
      head: { ...manifest.head, frameKeys: 'listed' as const },
      frames: { ...manifest.frames, keys },
    }
    expect(decodeLentManifest(encodeManifest(shared))).toEqual(shared)
  })

  it('says whether it is one of the vault or one behind a link when it is damaged', () => {
    const { manifest } = buildCase(id, sample)
    const cut = encodeManifest(manifest).subarray(0, -1)
    const link = 'The checkpoint behind this link is damaged'
    expect(() => decodeManifest(id, cut)).toThrowError(`The checkpoint ${id} is damaged`)
    expect(() => decodeKeptManifest(id, cut)).toThrowError(`The checkpoint ${id} is damaged`)
    expect(() => decodeLentManifest(cut)).toThrowError(link)
    expect(badManifestOf(manifest.head)('why').message).toContain(id)
    expect(badManifestOf({ ...manifest.head, frameKeys: 'listed' })('why').message).toContain(link)
  })

  it('of an upload is read under the id under which that goes on', () => {
    const { manifest } = buildCase(id, sample)
    expect(decodeKeptManifest('f'.repeat(32), encodeManifest(manifest))).toEqual(manifest)
  })

  it('of version 1 is still read', () => {
    const { manifest } = buildCase(id, sample)
    const head = JSON.stringify(manifest.head)
    const payload = encodeManifest(manifest)
    expect(payload.toString('latin1', 2, 2 + head.length)).toBe(head)
    expect(payload.subarray(2 + head.length).toString('hex')).toBe(golden)
    const bytes = Buffer.concat([payload.subarray(0, 2 + head.length), Buffer.from(golden, 'hex')])
    expect(decodeManifest(id, bytes)).toEqual(manifest)
  })
})

/** Nothing refers to what is not there. */
function checkWhole(manifest: Manifest): void {
  for (const region of manifest.regions.keys()) {
    for (const text of pagesOf(manifest, region)) expect(text).not.toContain('undefined')
  }
}

const sample = {
  packs: [
    [
      { pages: 16, sealedBytes: 300 },
      { pages: 2, sealedBytes: 4000 },
      { pages: 3, sealedBytes: 20 },
    ],
    [{ pages: 1, sealedBytes: 17 }],
  ],
  cells: [
    [
      { kind: 'page', frame: 0, slot: 15 },
      { kind: 'hole' },
      { kind: 'hole' },
      { kind: 'page', frame: 2, slot: 0 },
      { kind: 'page', frame: 2, slot: 1 },
      { kind: 'page', frame: 2, slot: 2 },
      { kind: 'page', frame: 3, slot: 0 },
      { kind: 'zero' },
    ],
    [{ kind: 'page', frame: 3, slot: 0 }],
  ],
} satisfies Parameters<typeof buildCase>[1]

/** The tables of `sample`: pack ids, then for each table raw length, stored length, bytes. */
const golden = [
  '020101010101010101010101010101010102020202020202020202020202020202',
  '020202010303000100040400a01f000404ac0214110303100301',
  '0404040102040104040201020002020000020200000202000002021e00',
  '01010101010102010101010100010100010100',
].join('')

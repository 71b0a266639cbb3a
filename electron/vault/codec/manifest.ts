/**
 * The manifest: everything that one checkpoint consists of (FORMAT.md, "Manifest"). Promises that a manifest that was
 * read keeps to the limits, covers its regions without a gap, and refers to nothing that is not in it; that reading
 * reserves memory in proportion to what it was given; and that anything else fails by name.
 */
import { z } from 'zod'
import { fail } from '../../../shared/errors/index.ts'
import { checkpointId, checkpointReason } from '../../../shared/models/checkpoint.ts'
import { dockId } from '../../../shared/models/dock.ts'
import { accelerator, guestDefinition } from '../../../shared/models/guest-definition.ts'
import { pageBytes } from '../../pages/page-id.ts'
import { type BadBytes, ByteReader, ByteWriter } from '../../platform/bytes.ts'
import { ColumnReader } from './columns.ts'
import { type FrameRows, readFrameRows, readPackIds, writeFrameRows } from './frame-rows.ts'
import { readHead, versioned, writeHead } from './json.ts'
import { limits } from './limits.ts'
import { type RegionRuns, readRegionRuns, writeRegionRuns } from './region-runs.ts'

const length = z
  .number()
  .int()
  .min(0)
  .max(limits.regionPages * pageBytes)

const sha256 = z.string().regex(/^[0-9a-f]{64}$/)

const everyRegion = {
  /** Its length; the last page of what has a length in bytes is filled up with zeros. */
  pages: z.number().int().min(0).max(limits.regionPages),
  /** SHA-256 of its page ids in order, as `RegionHasher` makes it. Null in a share, whose reader has no page ids. */
  idsSha256: sha256.nullable(),
}

/** An address space whose pages a manifest lists. */
export const manifestRegion = z.discriminatedUnion('kind', [
  /** A RAM block of QEMU, by the name it has in QEMU's stream. */
  z.object({ kind: z.literal('ram'), name: z.string().min(1).max(255), ...everyRegion }),
  /** What a disk reads as at that instant, all layers together. */
  z.object({
    kind: z.literal('disk'),
    nodeName: z.string().min(1).max(64),
    virtualSizeBytes: length,
    ...everyRegion,
  }),
  /** QEMU's stream without its pages: what comes before them, and behind it the device state that comes after. */
  z.object({
    kind: z.literal('state'),
    headBytes: length,
    tailBytes: length,
    ...everyRegion,
  }),
  /** A file that the guest boots from, by the SHA-256 of its contents. */
  z.object({ kind: z.literal('boot-file'), sha256, lengthBytes: length, ...everyRegion }),
])
export type ManifestRegion = z.infer<typeof manifestRegion>

/** How long a region is in bytes; null where its pages are its length. */
export function regionBytes(region: ManifestRegion): number {
  switch (region.kind) {
    case 'ram':
      return region.pages * pageBytes
    case 'disk':
      return region.virtualSizeBytes
    case 'state':
      return region.headBytes + region.tailBytes
    case 'boot-file':
      return region.lengthBytes
  }
}

function regionName(region: ManifestRegion): string {
  switch (region.kind) {
    case 'ram':
      return `ram ${region.name}`
    case 'disk':
      return `disk ${region.nodeName}`
    case 'state':
      return 'state'
    case 'boot-file':
      return `boot-file ${region.sha256}`
  }
}

export const manifestHead = z
  .object({
    version: z.literal(1),
    checkpointId,
    guest: guestDefinition,
    /** The instant at which the guest was frozen, by the clock of the PC that did it. */
    atMs: z.number(),
    byDockId: dockId,
    byDockName: z.string().max(256),
    reason: checkpointReason,
    qemuVersion: z.string().max(64),
    /** What ran it then; the definition says with what it was created. */
    accelerator,
    /** `off`: it was not running, there is no memory. `stopped`: it was paused already. */
    frozenBy: z.enum(['background-snapshot', 'pre-copy', 'stopped', 'off']),
    freezeMs: z.number().nonnegative().nullable(),
    /** Whether the keys of frames are derived from the vault's key, or listed here. */
    frameKeys: z.enum(['derived', 'listed']),
    regions: z.array(manifestRegion).max(limits.regions),
  })
  .refine((head) => head.regions.every((each) => each.pages === Math.ceil(regionBytes(each) / pageBytes)), {
    message: 'a region has another length than pages',
  })
  .refine((head) => new Set(head.regions.map(regionName)).size === head.regions.length, {
    message: 'a region is there twice',
  })
  .refine((head) => hasState(head.regions) || !head.regions.some((each) => each.kind === 'ram'), {
    message: 'memory without device state',
  })
export type ManifestHead = z.infer<typeof manifestHead>

function hasState(regions: readonly ManifestRegion[]): boolean {
  return regions.some((each) => each.kind === 'state')
}

export interface Manifest {
  head: ManifestHead
  frames: FrameRows
  /** One for each region of the head, in its order. */
  regions: RegionRuns[]
}

/** The error of a manifest of the own vault that cannot be read for what is in it. */
function badManifest(checkpoint: string): BadBytes {
  return (why) => fail('vault.bad_manifest', { checkpoint }, { detail: why })
}

/** The same behind a link, whose holder knows no ids and has no vault to check. */
const badLentManifest: BadBytes = (why) => fail('vault.bad_lent_manifest', {}, { detail: why })

/** The error of what is wrong with a manifest only in view of what it leads to. */
export function badManifestOf({ frameKeys, checkpointId }: ManifestHead): BadBytes {
  return frameKeys === 'listed' ? badLentManifest : badManifest(checkpointId)
}

/** The payload of `checkpoints/<id>`, before it is sealed. @throws RangeError when it would be too large to be read */
export function encodeManifest(manifest: Manifest): Buffer {
  const writer = new ByteWriter(64 * 1024)
  writeHead(writer, manifest.head)
  writeFrameRows(writer, manifest.frames)
  for (const runs of manifest.regions) writeRegionRuns(writer, manifest.frames, runs)
  const payload = writer.finish()
  if (payload.length > limits.manifestBytes) throw new RangeError(`a manifest of ${payload.length} bytes`)
  return payload
}

/** The manifest in the vault under this id. @throws vault.bad_manifest, vault.newer_object */
export function decodeManifest(checkpoint: string, payload: Buffer): Manifest {
  const bad = badManifest(checkpoint)
  const manifest = decode(checkpoint, payload, bad)
  if (manifest.head.checkpointId !== checkpoint) throw bad('it is that of another checkpoint')
  return manifest
}

/**
 * The manifest of an upload, kept on this PC: an upload that starts again goes on under another id than stands in it.
 * @throws vault.bad_manifest, vault.newer_object
 */
export function decodeKeptManifest(checkpoint: string, payload: Buffer): Manifest {
  return decode(checkpoint, payload, badManifest(checkpoint))
}

/** The manifest behind a link. @throws vault.bad_lent_manifest, vault.newer_object */
export function decodeLentManifest(payload: Buffer): Manifest {
  return decode('checkpoint', payload, badLentManifest)
}

/** @param name for a newer version's error */
function decode(name: string, payload: Buffer, bad: BadBytes): Manifest {
  if (payload.length > limits.manifestBytes) throw bad('it is too large')
  const reader = new ByteReader(payload, bad)
  const head = readHead(reader, manifestHead, name, bad)
  const columns = new ColumnReader(reader, limits.manifestBytes, bad)
  const frames = readFrameRows(reader, columns, head.frameKeys === 'listed', bad)
  const regions = head.regions.map(({ kind, pages }) =>
    // A hole in memory is what was not plugged in.
    readRegionRuns(reader, columns, frames, { pages, mayHaveHoles: kind === 'disk' || kind === 'ram' }, bad),
  )
  reader.end()
  return { head, frames, regions }
}

/**
 * The packs that a manifest uses, without reading the rest: what a sweep asks of every manifest.
 * @throws vault.bad_manifest, vault.newer_object
 */
export function packsOfManifest(checkpoint: string, payload: Buffer): string[] {
  const bad = badManifest(checkpoint)
  const reader = new ByteReader(payload, bad)
  readHead(reader, versioned, `checkpoints/${checkpoint}`, bad)
  return readPackIds(reader, bad)
}

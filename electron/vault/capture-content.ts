/**
 * The parts of a guest that are read, not sent: its disks, frozen, from QEMU's NBD server, and the files that it boots
 * from. Promises tables that cover all of it, and that what never changes, layers below the top of a disk and boot
 * files, is only read where the vault has it not. Relies on the disks standing still.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { fail } from '../../shared/errors/index.ts'
import { NbdClient } from '../disk/nbd-client.ts'
import { metaContext } from '../disk/nbd-protocol.ts'
import { pageBytes } from '../pages/page-id.ts'
import { fsFailure } from '../platform/atomic-file.ts'
import type { CaptureFeed } from './capture-feed.ts'
import { limits } from './codec/limits.ts'
import type { ManifestRegion } from './codec/manifest.ts'
import type { ContentIds } from './content-ids.ts'
import { contentPieceBytes, KnownContent, type ReadContent } from './known-content.ts'
import { RegionTable } from './region-table.ts'
import type { FrozenDisk } from './service/vault-service.ts'

export interface TakenRegion {
  region: ManifestRegion
  table: RegionTable
}

export interface ContentParts {
  feed: CaptureFeed
  contents: ContentIds
  signal: AbortSignal
}

export interface DiskParts extends ContentParts {
  /** The ids of those below the top. */
  layers: readonly string[]
  onBytes: (bytes: number) => void
}

/** @throws disk.nbd_failed, host.cancelled, vault.disk_too_large, what the sink threw */
export async function readDisk(disk: FrozenDisk, parts: DiskParts): Promise<TakenRegion> {
  const { nodeName, virtualSizeBytes, nbdSocketPath: socketPath, exportName } = disk
  const { feed, contents, layers, signal } = parts
  const pages = Math.ceil(virtualSizeBytes / pageBytes)
  if (pages > limits.regionPages) throw fail('vault.disk_too_large', { disk: nodeName })
  const ids = [metaContext.allocation, metaContext.depth]
  const client = await NbdClient.connect({ socketPath, exportName, contexts: ids, signal })
  try {
    if (client.sizeBytes < virtualSizeBytes) {
      throw fail('disk.nbd_failed', {}, { detail: `${client.sizeBytes} bytes of ${virtualSizeBytes}` })
    }
    const table = new RegionTable(pages, 'in-order')
    const name = createHash('sha256').update(layers.join('\n')).digest('hex')
    const below = layers.length === 0 ? null : await KnownContent.open(contents, name, feed, table)
    await throughout(below, () => readPieces(client, virtualSizeBytes, table, below, parts))
    return { region: { kind: 'disk', nodeName, virtualSizeBytes, pages, idsSha256: null }, table }
  } finally {
    client.close()
  }
}

async function readPieces(
  client: NbdClient,
  lengthBytes: number,
  table: RegionTable,
  below: KnownContent | null,
  { feed, signal, onBytes }: DiskParts,
): Promise<void> {
  const memory = Buffer.allocUnsafeSlow(contentPieceBytes)
  const read: ReadContent = (offset, bytes) =>
    client.read(offset, bytes, { into: memory.subarray(0, bytes), signal })
  // What lies below the top is read above where it is not known.
  const depth = below?.isKnown === true ? { maxDepth: 1 } : {}
  for await (const piece of client.readAllocated({ lengthBytes, reuse: true, signal, ...depth })) {
    const first = piece.offset / pageBytes
    if (piece.kind === 'data') {
      const isBelow = piece.depth !== null && piece.depth > 1
      await (isBelow && below !== null
        ? below.add(first, piece.bytes)
        : feed.addRun(table, first, piece.bytes))
      onBytes(piece.bytes.length)
      continue
    }
    const { kind, offset, lengthBytes: bytes } = piece
    if (kind === 'hole') table.holes(first, Math.ceil(bytes / pageBytes))
    else if (kind === 'zero') table.zeros(first, Math.ceil(bytes / pageBytes))
    else {
      await below?.take(offset, bytes, read)
      onBytes(bytes)
    }
  }
}

/** @throws host.no_permission, host.cancelled, what the sink threw, … */
export async function readBootFile(
  { sha256, path }: { sha256: string; path: string },
  { feed, contents, signal }: ContentParts,
): Promise<TakenRegion> {
  try {
    const file = await open(path, 'r')
    try {
      const lengthBytes = (await file.stat()).size
      const pages = Math.ceil(lengthBytes / pageBytes)
      const table = new RegionTable(pages, 'in-order')
      const content = await KnownContent.open(contents, sha256, feed, table)
      const memory = Buffer.allocUnsafeSlow(contentPieceBytes)
      const read: ReadContent = async (offset, bytes) => {
        signal.throwIfAborted()
        return await readWhole(file, memory.subarray(0, bytes), offset)
      }
      await throughout(content, () => content.take(0, lengthBytes, read))
      return { region: { kind: 'boot-file', sha256, lengthBytes, pages, idsSha256: null }, table }
    } finally {
      await file.close()
    }
  } catch (error) {
    signal.throwIfAborted()
    throw fsFailure(error, path)
  }
}

/** Ends a content when `work` has taken all of it, and gives it up when that fails. */
async function throughout(content: KnownContent | null, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    await content?.discard()
    throw error
  }
  await content?.end()
}

async function readWhole(file: FileHandle, into: Buffer, at: number): Promise<Buffer> {
  for (let done = 0; done < into.length; ) {
    const { bytesRead } = await file.read(into, done, into.length - done, at + done)
    if (bytesRead === 0) throw fail('host.unexpected', {}, { detail: 'a boot file became shorter' })
    done += bytesRead
  }
  return into
}

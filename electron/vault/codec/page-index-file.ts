/**
 * An object of the index: which page ids lie in which frames of which packs (FORMAT.md, "Index"). Only a hint; but one
 * that was read names no frame that could not be.
 */
import { framePages } from '../../pages/frame.ts'
import type { PackContents } from '../../pages/known-pages.ts'
import { pageIdBytes } from '../../pages/page-id.ts'
import { ByteReader, ByteWriter } from '../../platform/bytes.ts'
import { idBytes } from '../names.ts'
import { checkFrame } from './frame-rows.ts'
import { badObject } from './json.ts'
import { limits } from './limits.ts'

/** How many bytes of an index a pack takes, at most. */
export function indexedPackBytes(pack: PackContents): number {
  return idBytes + 4 + pack.pages.length * 5 + pack.ids.length
}

/** The payload of `index/<id>`, before it is sealed. */
export function encodeIndex(packs: readonly PackContents[]): Buffer {
  const writer = new ByteWriter(64 + packs.reduce((sum, pack) => sum + indexedPackBytes(pack), 0))
  writer.uv(packs.length)
  for (const pack of packs) {
    writer.bytes(pack.packId)
    writer.uv(pack.pages.length)
    let idsAt = 0
    for (const [ordinal, sealedBytes] of pack.sealedBytes.entries()) {
      const pages = pack.pages[ordinal] ?? 0
      writer.uv(sealedBytes)
      writer.uv(pages)
      writer.bytes(pack.ids.subarray(idsAt, idsAt + pages * pageIdBytes))
      idsAt += pages * pageIdBytes
    }
  }
  return writer.finish()
}

/** The packs of an index one after the other. @throws vault.damaged_object */
export function* decodeIndex(name: string, payload: Buffer): Generator<PackContents> {
  const bad = badObject(name)
  const reader = new ByteReader(payload, bad)
  const packs = reader.count(limits.packs, idBytes + 1)
  for (let pack = 0; pack < packs; pack += 1) {
    const packId = reader.take(idBytes)
    const frames = reader.count(limits.packBytes, 2 + pageIdBytes)
    const sealedBytes = new Uint32Array(frames)
    const pages = new Uint8Array(frames)
    const ids: Buffer[] = []
    let offset = 0
    for (let ordinal = 0; ordinal < frames; ordinal += 1) {
      const length = reader.uv()
      const count = reader.count(framePages, pageIdBytes)
      checkFrame(ordinal, offset, length, count, bad)
      sealedBytes[ordinal] = length
      pages[ordinal] = count
      ids.push(reader.take(count * pageIdBytes))
      offset += length
    }
    yield { packId, sealedBytes, pages, ids: Buffer.concat(ids) }
  }
  reader.end()
}

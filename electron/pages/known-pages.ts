/**
 * The pages that need not be stored again: which ids lie in which frames, as far as this work knows. Filled
 * from what an index says, then extended by the packer with every page that it takes. One packer at a time: what
 * it has added points at frames that exist only once it has finished.
 */
import { FrameTable } from './frame-table.ts'
import { pageIdBytes } from './page-id.ts'
import { PageTable } from './page-table.ts'

/** What lies in one pack: its frames in order, without anything between them. */
export interface PackContents {
  /** 16 bytes. */
  packId: Buffer
  /** The length of each frame, sealed. */
  sealedBytes: Uint32Array
  /** How many pages each frame holds. */
  pages: Uint8Array
  /** The ids of all pages, 16 bytes each, frame by frame. */
  ids: Buffer
}

export class KnownPages {
  readonly frames = new FrameTable()
  readonly table: PageTable

  /** @param expectedPages about how many there will be: saves growing on the way */
  constructor(expectedPages = 0) {
    this.table = new PageTable(expectedPages)
  }

  /** Makes the pages of a stored pack known; of those that are known already the older place stays. */
  addPack(contents: PackContents): void {
    const { packId, sealedBytes, pages, ids } = contents
    if (pages.length !== sealedBytes.length) throw new RangeError('a frame without a length')
    if (pages.reduce((sum, count) => sum + count, 0) * pageIdBytes !== ids.length) {
      throw new RangeError('a page without an id')
    }
    const pack = this.frames.addPack(packId)
    let offset = 0
    let idOffset = 0
    for (const [ordinal, frameSealedBytes] of sealedBytes.entries()) {
      const count = pages[ordinal] ?? 0
      const frame = this.frames.add({ pack, ordinal, offset, sealedBytes: frameSealedBytes, pages: count })
      for (let slot = 0; slot < count; slot += 1) {
        this.table.add(ids, idOffset, frame, slot)
        idOffset += pageIdBytes
      }
      offset += frameSealedBytes
    }
  }
}

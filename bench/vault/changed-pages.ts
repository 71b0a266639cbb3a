/**
 * What truly changed between two checkpoints, found without what made them: both are read back page by page, and pages of
 * the second whose content is nowhere in the first are compressed as frames are.
 */
import { framePages, packFrame } from '../../electron/pages/frame.ts'
import { PageHasher, pageBytes, pageIdBytes } from '../../electron/pages/page-id.ts'
import { PageTable } from '../../electron/pages/page-table.ts'
import type { OpenVault } from '../../electron/vault/open-vault.ts'
import { type CheckpointReader, openCheckpoint } from '../../electron/vault/reader.ts'

export interface ChangedPages {
  pages: number
  /** Of frames of 16, in the order of their addresses. */
  compressedBytes: number
}

const piecePages = 1024

export async function changedPages(vault: OpenVault, first: string, second: string): Promise<ChangedPages> {
  const hasher = new PageHasher(vault.pageIdKey)
  const seen = new PageTable()
  const id = Buffer.alloc(pageIdBytes)
  for await (const page of pagesOf(vault, first)) {
    hasher.idOf(page, 0, id)
    seen.add(id, 0, 0, 0)
  }
  const frame = Buffer.alloc(framePages * pageBytes)
  const found = { pages: 0, compressedBytes: 0 }
  const close = (): void => {
    const used = found.pages % framePages || framePages
    found.compressedBytes += packFrame(frame.subarray(0, used * pageBytes)).length
  }
  for await (const page of pagesOf(vault, second)) {
    hasher.idOf(page, 0, id)
    if (seen.add(id, 0, 0, 0) >= 0) continue
    page.copy(frame, (found.pages % framePages) * pageBytes)
    found.pages += 1
    if (found.pages % framePages === 0) close()
  }
  if (found.pages % framePages !== 0) close()
  return found
}

/** Every page that is neither zero nor a hole, region by region. */
async function* pagesOf(vault: OpenVault, id: string): AsyncGenerator<Buffer> {
  const reader = await openCheckpoint(vault, id, { frames: null })
  try {
    for (const { region, from, count } of reader.everything()) yield* pagesIn(reader, region, from, count)
  } finally {
    reader.close()
  }
}

async function* pagesIn(
  reader: CheckpointReader,
  region: number,
  from: number,
  count: number,
): AsyncGenerator<Buffer> {
  for (let page = from; page < from + count; page += piecePages) {
    const read = await reader.readPages(region, page, Math.min(piecePages, from + count - page))
    for (const content of read) if (typeof content !== 'string') yield content
  }
}

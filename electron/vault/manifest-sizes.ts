/** What a checkpoint weighs, from its manifest. */
import { pageBytes } from '../pages/page-id.ts'
import type { Manifest } from './codec/manifest.ts'
import { runKind } from './codec/region-runs.ts'

/** What it would take by itself, as stored: the frames that it uses. */
export function wholeBytesOf(manifest: Manifest): number {
  return manifest.frames.sealedBytes.reduce((sum, length) => sum + length, 0)
}

/** What it would take without sharing and compression: every page that is neither zero nor a hole. */
export function logicalBytesOf(manifest: Manifest): number {
  let pages = 0
  for (const { kind, start } of manifest.regions) {
    for (const [run, what] of kind.entries()) {
      if (what === runKind.pages) pages += (start[run + 1] ?? 0) - (start[run] ?? 0)
    }
  }
  return pages * pageBytes
}

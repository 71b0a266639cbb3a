/** The index in parts of a size that is read at once. */
import type { PackContents } from '../pages/known-pages.ts'
import { indexedPackBytes } from './codec/page-index-file.ts'

/** Parts of an index stay below this, so that reading one takes little memory. */
const partBytes = 8 * 1024 ** 2

/** Packs in parts of an index, in their order. */
export function* indexParts(packs: Iterable<PackContents>): Generator<PackContents[]> {
  let part: PackContents[] = []
  let bytes = 0
  for (const pack of packs) {
    const more = indexedPackBytes(pack)
    if (part.length > 0 && bytes + more > partBytes) {
      yield part
      part = []
      bytes = 0
    }
    part.push(pack)
    bytes += more
  }
  if (part.length > 0) yield part
}

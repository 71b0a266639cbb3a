/** Writes sections of ram: what `parser.ts` reads. Pure; relies on its caller for room in the buffers. */
import { pageBytes, ramFlag, type StreamHead, sectionType } from './grammar.ts'

/** Type and section id; also a footer. */
export const openingBytes = 5
/** EOS and footer. */
export const closingBytes = 8 + openingBytes

/** What a record takes at most: its word, the name of a block, a page. */
export function recordBytes(nameBytes: number): number {
  return 8 + 1 + nameBytes + pageBytes
}

/** Each of these returns the offset behind what it wrote to `target` at `at`. */
export function putOpening(
  target: Buffer,
  at: number,
  type: number,
  { ramSectionId }: Pick<StreamHead, 'ramSectionId'>,
): number {
  target[at] = type
  return target.writeUInt32BE(ramSectionId, at + 1)
}

export function putClosing(target: Buffer, at: number, head: Pick<StreamHead, 'ramSectionId'>): number {
  return putOpening(target, putWord(target, at, 0, ramFlag.eos), sectionType.footer, head)
}

/**
 * What stands in front of a page's contents. @param kind a `ramFlag`
 * @param name of the block; null where it is that of the record before, in the same section
 */
export function putRecordHead(
  target: Buffer,
  at: number,
  page: number,
  kind: number,
  name: string | null,
): number {
  const end = putWord(target, at, page, name === null ? kind | ramFlag.continue : kind)
  if (name === null) return end
  target[end] = name.length
  return end + 1 + target.write(name, end + 1, 'latin1')
}

/** @param name as for `putRecordHead` */
export function putPage(
  target: Buffer,
  at: number,
  page: number,
  content: Buffer | 'zero',
  name: string | null,
): number {
  const kind = content === 'zero' ? ramFlag.zero : ramFlag.page
  const end = putRecordHead(target, at, page, kind, name)
  if (content === 'zero') {
    target[end] = 0
    return end + 1
  }
  // Anything else would shift all that follows, and be read as memory.
  if (content.length !== pageBytes) throw new RangeError(`a page of ${content.length} bytes`)
  target.set(content, end)
  return end + pageBytes
}

function putWord(target: Buffer, at: number, page: number, flags: number): number {
  target.writeUInt32BE(Math.floor(page / 2 ** 20), at)
  // A page's lowest twenty bits are the upper ones of the lower half.
  return target.writeUInt32BE((((page % 2 ** 20) << 12) | flags) >>> 0, at + 4)
}

/** Which reads of a store bring given frames: neighbours in one pack come together. Pure. */
import { type FrameRows, indexBelow } from './codec/frame-rows.ts'

/** What lies between two frames is read along rather than asked around: a call costs more than these bytes. */
const gapBytes = 16 * 1024

export interface FrameRange {
  packId: string
  offset: number
  length: number
  /** The frames that are wanted, in the order in which they lie there. */
  rows: number[]
}

/**
 * @param rows each once, in any order. The first range has the row that comes first.
 * @param rangeBytes the longest read
 */
export function rangesOf(table: FrameRows, rows: readonly number[], rangeBytes: number): FrameRange[] {
  const order = new Map(rows.map((row, index) => [row, index]))
  const ranges: FrameRange[] = []
  let open: FrameRange | null = null
  // Rows are numbered by pack and offset.
  for (const row of [...rows].sort((a, b) => a - b)) {
    const packId: string = table.packs[indexBelow(table.packStart, row)] ?? ''
    const offset = table.offset[row] ?? 0
    const end = offset + (table.sealedBytes[row] ?? 0)
    const joins: boolean =
      open !== null &&
      open.packId === packId &&
      offset - (open.offset + open.length) <= gapBytes &&
      end - open.offset <= rangeBytes
    if (joins && open !== null) {
      open.length = end - open.offset
      open.rows.push(row)
    } else {
      open = { packId, offset, length: end - offset, rows: [row] }
      ranges.push(open)
    }
  }
  const first = (range: FrameRange): number => Math.min(...range.rows.map((row) => order.get(row) ?? 0))
  return ranges
    .map((range) => ({ range, at: first(range) }))
    .sort((a, b) => a.at - b.at)
    .map(({ range }) => range)
}

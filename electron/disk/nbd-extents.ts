/**
 * Extents, computed without a socket: what a provider says of a range made gapless for a client, and what a server
 * says of a range in several metadata contexts laid over each other. Promises that what comes out is in order,
 * covers its range without gaps or overlaps, and never joins what differs. Relies on nothing.
 */
import { allocationFlag } from './nbd-protocol.ts'
import type { StatusDescriptor } from './nbd-transfer-codec.ts'

/** `hole`: reads as zeros and is kept nowhere. `zero`: reads as zeros because somebody wrote them. */
export type ExtentKind = 'data' | 'zero' | 'hole'

export interface BlockExtent {
  lengthBytes: number
  kind: ExtentKind
}

/** The flags of `base:allocation` for a kind of extent ("Metadata contexts" of the NBD protocol). */
export const allocationFlagsOf: Readonly<Record<ExtentKind, number>> = {
  data: 0,
  zero: allocationFlag.zero,
  hole: allocationFlag.hole | allocationFlag.zero,
}

/**
 * Cuts and joins what a provider said until it covers exactly `lengthBytes`. Where it said too little, the rest is
 * data: that is always safe to say, since reading it finds out.
 */
export function* coverExtents(extents: Iterable<BlockExtent>, lengthBytes: number): Generator<BlockExtent> {
  let held: BlockExtent = { lengthBytes: 0, kind: 'data' }
  for (const extent of clip(extents, lengthBytes)) {
    if (extent.kind === held.kind) held.lengthBytes += extent.lengthBytes
    else {
      if (held.lengthBytes > 0) yield held
      held = extent
    }
  }
  if (held.lengthBytes > 0) yield held
}

function* clip(extents: Iterable<BlockExtent>, lengthBytes: number): Generator<BlockExtent> {
  let remainingBytes = lengthBytes
  for (const extent of extents) {
    if (remainingBytes === 0) return
    const part = Math.min(extent.lengthBytes, remainingBytes)
    if (part <= 0) continue
    remainingBytes -= part
    yield { lengthBytes: part, kind: extent.kind }
  }
  if (remainingBytes > 0) yield { lengthBytes: remainingBytes, kind: 'data' }
}

/** A range in which nothing changes in any context; `flags` in the order of the client's contexts. */
export interface StatusExtent {
  offset: number
  lengthBytes: number
  flags: readonly number[]
}

/**
 * Lays the answers of several contexts over each other, from `offset` to where the shortest of them ends, and not
 * beyond `lengthBytes` (the last descriptor of an answer may reach further than was asked).
 */
export function* intersectStatus(
  offset: number,
  lengthBytes: number,
  answers: readonly (readonly StatusDescriptor[])[],
): Generator<StatusExtent> {
  const cursors = answers.map((descriptors) => ({ descriptors, index: 0, usedBytes: 0 }))
  for (let doneBytes = 0; doneBytes < lengthBytes; ) {
    let sizeBytes = lengthBytes - doneBytes
    const flags: number[] = []
    for (const { descriptors, index, usedBytes } of cursors) {
      const current = descriptors[index]
      if (current === undefined) return
      sizeBytes = Math.min(sizeBytes, current.length - usedBytes)
      flags.push(current.flags)
    }
    yield { offset: offset + doneBytes, lengthBytes: sizeBytes, flags }
    doneBytes += sizeBytes
    for (const cursor of cursors) {
      cursor.usedBytes += sizeBytes
      if (cursor.usedBytes !== cursor.descriptors[cursor.index]?.length) continue
      cursor.index += 1
      cursor.usedBytes = 0
    }
  }
}

/** Joins neighbours with the same flags, over the borders of answers too. */
export class ExtentJoiner {
  #held: StatusExtent | null = null

  /** @returns what is complete now that `next` follows; null when `next` was joined to it or is the first */
  push(next: StatusExtent): StatusExtent | null {
    const held = this.#held
    if (held !== null && next.flags.every((flag, index) => flag === held.flags[index])) {
      this.#held = { ...held, lengthBytes: held.lengthBytes + next.lengthBytes }
      return null
    }
    this.#held = next
    return held
  }

  /** What is left at the end; null when there was nothing. */
  finish(): StatusExtent | null {
    const held = this.#held
    this.#held = null
    return held
  }
}

/** Which bytes of a range have been filled. Chunks of an answer may come in any order, but may not overlap. */
export class Coverage {
  readonly #lengthBytes: number
  /** Filled from 0 without a gap. */
  #frontBytes = 0
  /** Filled beyond, in order: start, end. */
  #islands: [number, number][] = []

  constructor(lengthBytes: number) {
    this.#lengthBytes = lengthBytes
  }

  get isComplete(): boolean {
    return this.#frontBytes === this.#lengthBytes
  }

  /** @returns false when the range is not inside, overlaps what is filled, or there are too many gaps */
  add(startBytes: number, lengthBytes: number): boolean {
    const endBytes = startBytes + lengthBytes
    if (lengthBytes <= 0 || endBytes > this.#lengthBytes || startBytes < this.#frontBytes) return false
    const at = this.#islands.findIndex(([start]) => start >= startBytes)
    const index = at === -1 ? this.#islands.length : at
    const before = this.#islands[index - 1]
    const after = this.#islands[index]
    if ((before !== undefined && before[1] > startBytes) || (after !== undefined && after[0] < endBytes)) {
      return false
    }
    this.#islands.splice(index, 0, [startBytes, endBytes])
    this.#absorb()
    return this.#islands.length <= maxIslands
  }

  #absorb(): void {
    for (let first = this.#islands[0]; first?.[0] === this.#frontBytes; first = this.#islands[0]) {
      this.#frontBytes = first[1]
      this.#islands.shift()
    }
  }
}

/** A server that cuts an answer into more pieces than this, out of order, is not trusted with our time. */
const maxIslands = 256

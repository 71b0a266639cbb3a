/**
 * What a capture is to do with a disk, computed from what QEMU says of it: read this, take that for zeros. Promises
 * a plan in order and without gaps, cut at multiples of the caller's unit, in which nothing that may hold data is
 * left out. Relies on nothing but the answers it is given.
 */
import type { StatusExtent } from './nbd-extents.ts'
import { allocationFlag } from './nbd-protocol.ts'

/** `below`: data of a layer deeper than was asked for. */
type PlanKind = 'data' | 'zero' | 'hole' | 'below'

export interface Plan {
  kind: PlanKind
  offset: number
  lengthBytes: number
  /** The layer that says so, 1 is the top; 0 is none; null when the server was not asked. */
  depth: number | null
}

export interface PlanRules {
  /** Where the flags of `base:allocation` are in an extent, and those of `qemu:allocation-depth`; -1 is nowhere. */
  allocationAt: number
  depthAt: number
  maxDepth: number
}

/**
 * What an extent is. Whatever does not read as zeros for certain is data: a hole whose contents are not defined
 * ("Metadata contexts" of the NBD protocol) still reads as something to a guest.
 */
export function planOf(extent: StatusExtent, { allocationAt, depthAt, maxDepth }: PlanRules): Plan {
  const { offset, lengthBytes, flags } = extent
  const allocation = flags[allocationAt] ?? 0
  const depth = flags[depthAt] ?? null
  if ((allocation & allocationFlag.zero) !== 0) {
    const isHole = depth === null ? (allocation & allocationFlag.hole) !== 0 : depth === 0
    return { kind: isHole ? 'hole' : 'zero', offset, lengthBytes, depth }
  }
  return { kind: depth !== null && depth > maxDepth ? 'below' : 'data', offset, lengthBytes, depth }
}

/**
 * Cuts plans at multiples of a unit, counted from where the first begins. A unit of which parts differ is read.
 * The last one is shorter where the range is.
 */
export class UnitCutter {
  readonly #unitBytes: number
  /** The beginning of a unit that is not complete. */
  #edge: Plan | null = null

  constructor(unitBytes: number) {
    this.#unitBytes = unitBytes
  }

  /** @returns what is complete now, in order */
  push(next: Plan): Plan[] {
    const complete: Plan[] = []
    let { offset, lengthBytes } = next
    if (this.#edge !== null) {
      const part = Math.min(this.#unitBytes - this.#edge.lengthBytes, lengthBytes)
      this.#edge = mixed(this.#edge, next, part)
      offset += part
      lengthBytes -= part
      if (this.#edge.lengthBytes < this.#unitBytes) return []
      complete.push(this.#edge)
      this.#edge = null
    }
    const wholeBytes = lengthBytes - (lengthBytes % this.#unitBytes)
    if (wholeBytes > 0) complete.push({ ...next, offset, lengthBytes: wholeBytes })
    if (lengthBytes > wholeBytes) {
      this.#edge = { ...next, offset: offset + wholeBytes, lengthBytes: lengthBytes - wholeBytes }
    }
    return complete
  }

  /** What is left at the end. */
  finish(): Plan[] {
    const last = this.#edge === null ? [] : [this.#edge]
    this.#edge = null
    return last
  }
}

function mixed(edge: Plan, next: Plan, partBytes: number): Plan {
  const lengthBytes = edge.lengthBytes + partBytes
  if (edge.kind === next.kind && edge.depth === next.depth) return { ...edge, lengthBytes }
  return { kind: 'data', offset: edge.offset, lengthBytes, depth: shallower(edge.depth, next.depth) }
}

/** The upper of two layers; 0 is none. */
function shallower(a: number | null, b: number | null): number | null {
  if (a === null || b === null) return null
  return Math.min(a || b, b || a)
}

/**
 * A disk from its start to its end, as a capture takes it: data in buffers, everything else only told. Promises
 * pieces in order and without gaps, and memory bounded whatever the disk's size and however slow its consumer: so
 * much is read ahead and no more. Relies on a client that asked for `base:allocation` and, to tell layers apart,
 * for `qemu:allocation-depth`.
 */
import { fail } from '../../shared/errors/index.ts'
import type { NbdClient } from './nbd-client.ts'
import { type Plan, planOf, UnitCutter } from './nbd-disk-plan.ts'
import { PieceMemory } from './nbd-piece-memory.ts'
import { metaContext } from './nbd-protocol.ts'

/**
 * A piece of a disk. `depth` is the layer that says so: 1 is the top, 2 what it stands on, …; 0 is none at all;
 * null when the client did not ask for `qemu:allocation-depth`.
 */
export type DiskPiece =
  | { kind: 'data'; offset: number; bytes: Buffer; depth: number | null }
  /** Reads as zeros, `zero` because a layer says so, `hole` because none says anything. */
  | { kind: 'zero' | 'hole'; offset: number; lengthBytes: number; depth: number | null }
  /** Data of a layer deeper than `maxDepth`; not read. */
  | { kind: 'below'; offset: number; lengthBytes: number; depth: number | null }

export interface ReadAllocatedOptions {
  /** Default: from the start. */
  offset?: number
  /** Default: to the end. */
  lengthBytes?: number
  /** Pieces are cut at multiples of this, counted from `offset`; only the last may be shorter. Default 4096. */
  unitBytes?: number
  /** Data of layers deeper than this is told as `below` instead of read; 1 reads the top layer only. */
  maxDepth?: number
  /** The largest piece of data. Default 1 MiB. */
  pieceBytes?: number
  /** How much is read ahead of the consumer, at least one piece. Default 8 MiB. */
  aheadBytes?: number
  /**
   * `bytes` of a piece are good until the next piece is asked for; then they are read into again. It halves what
   * reading costs, most of which goes into new memory. Default false: each piece is the consumer's to keep.
   */
  reuse?: boolean
  signal?: AbortSignal
}

const defaultUnitBytes = 4096
const defaultPieceBytes = 1024 * 1024
const defaultAheadBytes = 8 * 1024 * 1024
/** Pieces that wait, however small: of a disk in crumbs. */
const maxPiecesAhead = 64

/**
 * @throws disk.nbd_failed; host.cancelled; host.bad_input when a context is missing or the range is bad. Leaving the
 * loop early ends what is being read ahead
 */
export async function* readAllocated(
  client: NbdClient,
  options: ReadAllocatedOptions,
): AsyncGenerator<DiskPiece, void, undefined> {
  const over = new AbortController()
  const signal = options.signal ? AbortSignal.any([options.signal, over.signal]) : over.signal
  const ahead = new ReadAhead(client, { ...options, signal })
  try {
    for (let piece = await ahead.next(); piece !== null; piece = await ahead.next()) yield piece
  } finally {
    over.abort()
  }
}

type Ahead = { isRead: false; piece: DiskPiece } | { isRead: true; plan: Plan; bytes: Promise<Buffer> }

class ReadAhead {
  readonly #client: NbdClient
  readonly #signal: AbortSignal
  readonly #plans: AsyncGenerator<Plan, void, undefined>
  readonly #memory: PieceMemory | null
  readonly #limitBytes: number
  readonly #queue: Ahead[] = []
  #isPlanned = false
  /** What is read or being read, and what the consumer has. */
  #heldBytes = 0
  /** What the consumer has. */
  #given: DiskPiece | null = null

  constructor(client: NbdClient, options: ReadAllocatedOptions & { signal: AbortSignal }) {
    const { aheadBytes = defaultAheadBytes, pieceBytes = defaultPieceBytes, reuse = false } = options
    this.#client = client
    this.#signal = options.signal
    this.#plans = planPieces(client, options)
    this.#limitBytes = aheadBytes
    // One piece may go over the limit, and what does not fit at the ring's end leaves room there unused.
    this.#memory = reuse ? new PieceMemory(aheadBytes + 2 * pieceBytes) : null
  }

  /** The next piece; the one before is over. @returns null at the end */
  async next(): Promise<DiskPiece | null> {
    if (this.#given?.kind === 'data') {
      this.#heldBytes -= this.#given.bytes.length
      this.#memory?.giveBack()
    }
    this.#given = null
    while (this.#hasRoom()) {
      const { done, value } = await this.#plans.next()
      if (done) this.#isPlanned = true
      else this.#queue.push(this.#start(value))
    }
    const first = this.#queue.shift()
    if (first === undefined) return null
    this.#given = first.isRead ? await dataOf(first) : first.piece
    return this.#given
  }

  #hasRoom(): boolean {
    if (this.#isPlanned || this.#queue.length >= maxPiecesAhead) return false
    return this.#heldBytes < this.#limitBytes || this.#queue.length === 0
  }

  #start(plan: Plan): Ahead {
    const { kind, offset, lengthBytes, depth } = plan
    if (kind !== 'data') return { isRead: false, piece: { kind, offset, lengthBytes, depth } }
    this.#heldBytes += lengthBytes
    const into = this.#memory?.take(lengthBytes) ?? Buffer.allocUnsafeSlow(lengthBytes)
    const bytes = this.#client.read(offset, lengthBytes, { into, signal: this.#signal })
    // Its error is told when its turn comes; until then it must not count as unhandled.
    bytes.catch(() => {})
    return { isRead: true, plan, bytes }
  }
}

async function dataOf({ plan, bytes }: Ahead & { isRead: true }): Promise<DiskPiece> {
  return { kind: 'data', offset: plan.offset, bytes: await bytes, depth: plan.depth }
}

/** What is to be told and read, cut to units and pieces. */
async function* planPieces(
  client: NbdClient,
  options: ReadAllocatedOptions,
): AsyncGenerator<Plan, void, undefined> {
  const { maxDepth = Number.POSITIVE_INFINITY, ...range } = options
  const allocationAt = client.contexts.indexOf(metaContext.allocation)
  const depthAt = client.contexts.indexOf(metaContext.depth)
  if (allocationAt === -1) throw fail('host.bad_input', { why: 'base:allocation was not asked for' })
  if (depthAt === -1 && maxDepth !== Number.POSITIVE_INFINITY) {
    throw fail('host.bad_input', { why: 'qemu:allocation-depth was not asked for' })
  }
  const unitBytes = Math.max(client.alignBytes, options.unitBytes ?? defaultUnitBytes)
  const pieceBytes = Math.max(unitBytes, options.pieceBytes ?? defaultPieceBytes)
  const stepBytes = pieceBytes - (pieceBytes % unitBytes)
  const cutter = new UnitCutter(unitBytes)
  for await (const extent of client.blockStatus(range)) {
    const plan = planOf(extent, { allocationAt, depthAt, maxDepth })
    for (const whole of cutter.push(plan)) yield* pieces(whole, stepBytes)
  }
  for (const last of cutter.finish()) yield* pieces(last, stepBytes)
}

function* pieces(plan: Plan, stepBytes: number): Generator<Plan> {
  if (plan.kind !== 'data') {
    yield plan
    return
  }
  for (let doneBytes = 0; doneBytes < plan.lengthBytes; doneBytes += stepBytes) {
    const lengthBytes = Math.min(stepBytes, plan.lengthBytes - doneBytes)
    yield { ...plan, offset: plan.offset + doneBytes, lengthBytes }
  }
}

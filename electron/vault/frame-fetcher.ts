/**
 * Opened frames of one checkpoint, from the memory, from this PC's store of frames or from the vault, whichever is
 * nearest. Promises pages that are exactly those which were sealed, or a named error; that a frame is fetched once
 * however many ask for it; and that a store which does not answer makes everybody wait, not fail. Relies on `close`
 * being called: until then it tries.
 *
 * Memory: the opened frames that are kept, 64 MiB unless told otherwise, and up to 8 reads of 1 MiB.
 */
import { fail, isCode, type WdockError } from '../../shared/errors/index.ts'
import type { LentObjects } from '../objects/object-store.ts'
import { type FrameKeyOf, openFrame } from '../pages/frame.ts'
import type { FrameCache } from '../pages/frame-cache.ts'
import type { Clock } from '../platform/clock.ts'
import { type FrameRows, frameKeyBytes, indexBelow } from './codec/frame-rows.ts'
import { type FrameRange, rangesOf } from './frame-ranges.ts'
import { Lanes } from './lanes.ts'
import { prefixes } from './names.ts'
import { pause } from './pause.ts'
import { mayPass } from './upload-abandon.ts'

export interface FrameFetcherOptions {
  /** Of the vault, or of a link. */
  store: Pick<LentObjects, 'getRange'>
  /** Not asked where the manifest lists the keys. */
  frameKeyOf: FrameKeyOf
  /** Gets what is fetched; null without one. */
  frames: FrameCache | null
  clock: Clock
  /** The store does not answer; it is tried on. Null when it answers again. */
  onTrouble?: (error: WdockError | null) => void
  /** What was fetched from the store, in bytes, each time. */
  onFetched?: (bytes: number) => void
  /** For opened frames. Default 64 MiB. */
  memoryBytes?: number
}

/** Reading ahead keeps less of the link busy: what is urgent shares it with what has begun. */
const reads = { lanes: 8, patientLanes: 4 }
const urgentBytes = 1024 * 1024
const patientBytes = 512 * 1024
const firstPauseMs = 1_000
const longestPauseMs = 15_000

export class FrameFetcher {
  readonly #table: FrameRows
  readonly #options: FrameFetcherOptions
  readonly #lanes = new Lanes(reads)
  readonly #over = new AbortController()
  /** Opened frames by row, used longest ago first. */
  readonly #opened = new Map<number, Buffer>()
  #openedBytes = 0
  readonly #opening = new Map<number, Promise<Buffer>>()
  /** Sealed frames that are being fetched. */
  readonly #fetching = new Map<number, { sealed: Promise<Buffer>; hurry: () => void }>()
  #inTrouble = false

  constructor(table: FrameRows, options: FrameFetcherOptions) {
    this.#table = table
    this.#options = options
  }

  /**
   * The pages of frames, by row.
   * @throws vault.pack_missing, vault.damaged; host.cancelled once it is closed
   */
  async open(rows: readonly number[], urgent = true): Promise<Map<number, Buffer>> {
    const unread = rows.filter((row) => !this.#opened.has(row) && !this.#opening.has(row))
    for (const [row, sealed] of this.#sealed(unread, urgent)) {
      const opening = this.#openOne(row, sealed, urgent).finally(() => this.#opening.delete(row))
      // Whoever asked for several learns of one failure; the others are known.
      opening.catch(() => {})
      this.#opening.set(row, opening)
    }
    // All of them now: what is opened may be dropped again while others are waited for.
    const found = rows.map(
      async (row) => [row, await (this.#hit(row) ?? this.#opening.get(row) ?? lost())] as const,
    )
    return new Map(await Promise.all(found))
  }

  /** What is open already, now used last. */
  #hit(row: number): Buffer | undefined {
    const pages = this.#opened.get(row)
    if (pages === undefined) return undefined
    this.#opened.delete(row)
    this.#opened.set(row, pages)
    return pages
  }

  /** Fetches frames into this PC's store of frames, without opening them. What is here already is passed over. */
  async prefetch(rows: readonly number[]): Promise<void> {
    if (this.#options.frames === null) {
      await this.open(rows, false)
      return
    }
    const missing: number[] = []
    for (const row of rows) if (!(await this.isHere(row))) missing.push(row)
    await Promise.all(this.#fetch(missing, false).values())
  }

  /** Whether a frame need not be fetched. */
  async isHere(row: number): Promise<boolean> {
    const { packId, offset, length } = this.#place(row)
    if (this.#opened.has(row)) return true
    return (await this.#options.frames?.has(packId, offset, length)) ?? false
  }

  /** Whoever waits gets `host.cancelled`. */
  close(): void {
    this.#over.abort(fail('host.cancelled'))
    this.#opened.clear()
  }

  /** Sealed frames from the nearest place: this PC's store, or one read for all neighbours that are not there. */
  #sealed(rows: readonly number[], urgent: boolean): Map<number, Promise<Buffer>> {
    const { frames } = this.#options
    if (frames === null) return this.#fetch(rows, urgent)
    const kept = this.#fromCache(rows)
    const fetched = kept.then((found) =>
      this.#fetch(
        rows.filter((row) => !found.has(row)),
        urgent,
      ),
    )
    return new Map(
      rows.map((row) => {
        const sealed = kept.then(
          async (found) => found.get(row) ?? (await (await fetched).get(row)) ?? lost(),
        )
        sealed.catch(() => {})
        return [row, sealed]
      }),
    )
  }

  async #fromCache(rows: readonly number[]): Promise<Map<number, Buffer>> {
    const found = new Map<number, Buffer>()
    await Promise.all(
      rows.map(async (row) => {
        const { packId, offset, length } = this.#place(row)
        const sealed = await this.#options.frames?.get(packId, offset, length)
        if (sealed) found.set(row, sealed)
      }),
    )
    return found
  }

  /** Opens one; what does not open is asked of the store once more, as it may have been this PC's disk. */
  async #openOne(row: number, sealed: Promise<Buffer>, urgent: boolean): Promise<Buffer> {
    const { packId } = this.#place(row)
    try {
      return this.#keep(row, await this.#unseal(row, await sealed))
    } catch (error) {
      if (!isCode(error, 'vault.damaged_frame')) throw error
      await this.#options.frames?.forget(packId)
    }
    try {
      const again = this.#fetch([row], urgent).get(row)
      return this.#keep(row, await this.#unseal(row, (await again) ?? lost()))
    } catch (error) {
      if (!isCode(error, 'vault.damaged_frame')) throw error
      throw fail('vault.damaged', {}, { detail: error.message, cause: error })
    }
  }

  async #unseal(row: number, sealed: Buffer): Promise<Buffer> {
    const { packId, ordinal } = this.#place(row)
    const { keys, pages } = this.#table
    const key = keys
      ? keys.subarray(row * frameKeyBytes, (row + 1) * frameKeyBytes)
      : this.#options.frameKeyOf(packId, ordinal)
    return openFrame(key, { packId, ordinal }, sealed, pages[row] ?? 0)
  }

  #keep(row: number, pages: Buffer): Buffer {
    this.#opened.set(row, pages)
    this.#openedBytes += pages.length
    for (const [oldest, old] of this.#opened) {
      if (this.#openedBytes <= (this.#options.memoryBytes ?? 64 * 1024 ** 2)) break
      this.#opened.delete(oldest)
      this.#openedBytes -= old.length
    }
    return pages
  }

  /** Reads frames from the store, those that are being read already not again. */
  #fetch(rows: readonly number[], urgent: boolean): Map<number, Promise<Buffer>> {
    const unasked = rows.filter((row) => !this.#fetching.has(row))
    if (urgent) for (const row of rows) this.#fetching.get(row)?.hurry()
    for (const range of rangesOf(this.#table, unasked, urgent ? urgentBytes : patientBytes)) {
      const { result, hurry } = this.#lanes.add(urgent, () => this.#read(range))
      for (const row of range.rows) {
        const cut = result.then((bytes) => this.#cut(range, bytes, row))
        const sealed = cut.finally(() => this.#fetching.delete(row))
        sealed.catch(() => {})
        this.#fetching.set(row, { sealed, hurry })
      }
    }
    return new Map(
      rows.flatMap((row) => {
        const fetching = this.#fetching.get(row)
        return fetching ? [[row, fetching.sealed] as const] : []
      }),
    )
  }

  async #cut(range: FrameRange, bytes: Buffer, row: number): Promise<Buffer> {
    const { packId, offset, length } = this.#place(row)
    // A copy: a frame that is kept must not keep the whole read in memory.
    const sealed = Buffer.from(bytes.subarray(offset - range.offset, offset - range.offset + length))
    await this.#options.frames?.put(packId, offset, sealed)
    return sealed
  }

  /** One read, for as long as the store does not answer. */
  async #read({ packId, offset, length }: FrameRange): Promise<Buffer> {
    const { store, clock, onTrouble, onFetched } = this.#options
    const { signal } = this.#over
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      signal.throwIfAborted()
      try {
        const bytes = await store.getRange(prefixes.packs + packId, offset, length, { signal })
        if (this.#inTrouble) onTrouble?.(null)
        this.#inTrouble = false
        if (bytes === null) throw fail('vault.pack_missing', {}, { detail: `pack ${packId}` })
        onFetched?.(bytes.length)
        return bytes
      } catch (error) {
        signal.throwIfAborted()
        if (isCode(error, 'store.short_read')) {
          throw fail('vault.damaged', {}, { detail: error.message, cause: error })
        }
        if (!mayPass(error)) throw error
        this.#inTrouble = true
        onTrouble?.(error)
        await pause(clock, pauseMs, signal)
      }
    }
  }

  #place(row: number): { packId: Buffer; ordinal: number; offset: number; length: number } {
    const { packs, packStart, ordinal, offset, sealedBytes } = this.#table
    return {
      packId: Buffer.from(packs[indexBelow(packStart, row)] ?? '', 'hex'),
      ordinal: ordinal[row] ?? 0,
      offset: offset[row] ?? 0,
      length: sealedBytes[row] ?? 0,
    }
  }
}

/** Cannot be: every row that was asked for has an answer. */
function lost(): never {
  throw new Error('a frame was not asked for')
}

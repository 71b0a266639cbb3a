/**
 * Takes pages as they come and keeps those that are not kept yet: each is looked up by its id; new ones are
 * collected 16 to a frame, compressed in the thread pool, sealed and written into packs. Promises that every
 * page has a location as soon as it was taken, that memory stays bounded by making the caller wait, and that
 * frames lie in the order in which their pages came. Knows nothing of vaults or of what a page belongs to.
 *
 * A page is copied once, into its frame: it may be a view of a buffer that is reused afterwards.
 *
 * Memory besides the tables: 64 KB for each frame under way (two a lane and two more), 2 MB a lane for zstd, and
 * that of the pack writer: 7 to 10 MB in all.
 */
import { availableParallelism } from 'node:os'
import { fail } from '../../shared/errors/index.ts'
import { frameBytes, framePages, packFrame } from './frame.ts'
import type { KnownPages } from './known-pages.ts'
import { PackWriter, type PackWriterOptions } from './pack-writer.ts'
import { isZeroPage, type PageHasher, pageBytes, pageIdBytes } from './page-id.ts'
import { ZstdLanes } from './zstd-lanes.ts'

/** Told where each page is, while `add` runs. `ref` is what the caller named the page by. */
export interface PageLocations {
  zero(ref: number): void
  /**
   * @param frame its number in the frame table, which learns the frame's place later
   * @param id the page's id, 16 bytes; used again when this returns
   */
  page(ref: number, frame: number, slot: number, id: Buffer): void
}

export interface PackerOptions extends Omit<PackWriterOptions, 'frames'> {
  /** Looked up, and extended by what is new. Of no further use when the work fails. */
  known: KnownPages
  hasher: PageHasher
  locations: PageLocations
  /** How many frames are compressed at once. Default: the cores, at most 3, so that files get a thread too. */
  lanes?: number
}

/** Pages by what became of them. */
export interface PackerTotals {
  zeroPages: number
  /** Kept before this work began. */
  knownPages: number
  /** The same as another page of this work. */
  repeatedPages: number
  newPages: number
  /** What the new ones came to, sealed. */
  sealedBytes: number
}

interface Frame {
  number: number
  pages: number
  readonly bytes: Buffer
  readonly ids: Buffer
}

export class Packer {
  readonly #options: PackerOptions
  readonly #writer: PackWriter
  readonly #zstd: ZstdLanes
  readonly #free: Frame[] = []
  readonly #full: { frame: Frame; content: Promise<Buffer> }[] = []
  /** The frame that new pages go to; null while the caller is to wait for one. */
  #open: Frame | null
  #waiting: PromiseWithResolvers<void> | null = null
  #draining: Promise<void> | null = null
  #failure: unknown = null
  readonly #id = Buffer.alloc(pageIdBytes)
  /** Frames from here on are of this work. */
  readonly #firstFrame: number
  readonly #totals = { zeroPages: 0, knownPages: 0, repeatedPages: 0, newPages: 0 }

  constructor(options: PackerOptions) {
    const lanes = options.lanes ?? Math.min(3, availableParallelism())
    this.#options = options
    this.#writer = new PackWriter({ ...options, frames: options.known.frames })
    this.#zstd = new ZstdLanes('compress', lanes)
    this.#firstFrame = options.known.frames.size
    for (let count = 0; count < 2 * lanes + 1; count += 1) this.#free.push(emptyFrame())
    this.#open = emptyFrame()
  }

  get totals(): PackerTotals {
    return { ...this.#totals, sealedBytes: this.#writer.sealedBytes }
  }

  /**
   * Takes the page at `offset` of `bytes`; they may be reused when this returns.
   * @returns a promise when the next page has to wait for it
   * @throws whatever the sink threw meanwhile; then call `discard`
   */
  add(ref: number, bytes: Buffer, offset = 0): Promise<void> | undefined {
    if (this.#failure !== null) throw this.#failure
    const frame = this.#open
    if (frame === null) throw new Error('the packer was not waited for')
    if (offset + pageBytes > bytes.length) throw new RangeError('not a whole page')
    if (isZeroPage(bytes, offset)) {
      this.#totals.zeroPages += 1
      this.#options.locations.zero(ref)
      return undefined
    }
    return this.#addContent(frame, ref, bytes, offset)
  }

  /**
   * Takes whole pages, one after the other, named `firstRef`, `firstRef + 1`, …
   * @returns as `add`; `pages` may be reused when it has resolved, or at once when there is none
   */
  addRun(firstRef: number, pages: Buffer): Promise<void> | undefined {
    for (let offset = 0; offset < pages.length; offset += pageBytes) {
      const wait = this.add(firstRef + offset / pageBytes, pages, offset)
      if (wait === undefined) continue
      const done = offset + pageBytes
      return wait.then(() => this.addRun(firstRef + done / pageBytes, pages.subarray(done)))
    }
    return undefined
  }

  /**
   * Seals what is left and makes all packs durable. Nothing can be added afterwards.
   * @throws whatever the sink throws; then call `discard`
   */
  async finish(): Promise<PackerTotals> {
    if (this.#open !== null && this.#open.pages > 0) this.#close(this.#open)
    this.#open = null
    await this.#draining
    if (this.#failure !== null) throw this.#failure
    await this.#writer.finish()
    this.#zstd.close()
    return this.totals
  }

  /** Gives the work up: the pack that is open is discarded. Also after a failure; never rejects for that one. */
  async discard(): Promise<void> {
    this.#fail(fail('host.cancelled'))
    this.#zstd.close()
    await this.#draining
    await this.#writer.discard()
  }

  #addContent(frame: Frame, ref: number, bytes: Buffer, offset: number): Promise<void> | undefined {
    const { known, hasher, locations } = this.#options
    hasher.idOf(bytes, offset, this.#id)
    if (frame.pages === 0) frame.number = known.frames.size
    const entry = known.table.add(this.#id, 0, frame.number, frame.pages)
    if (entry >= 0) {
      const inFrame = known.table.frameOf(entry)
      this.#totals[inFrame < this.#firstFrame ? 'knownPages' : 'repeatedPages'] += 1
      locations.page(ref, inFrame, known.table.slotOf(entry), this.#id)
      return undefined
    }
    if (frame.pages === 0) known.frames.reserve()
    bytes.copy(frame.bytes, frame.pages * pageBytes, offset, offset + pageBytes)
    this.#id.copy(frame.ids, frame.pages * pageIdBytes)
    this.#totals.newPages += 1
    locations.page(ref, frame.number, frame.pages, this.#id)
    frame.pages += 1
    if (frame.pages < framePages) return undefined
    this.#close(frame)
    this.#open = this.#free.pop() ?? null
    if (this.#open !== null) return undefined
    this.#waiting = Promise.withResolvers()
    // Whoever stops listening finds the failure at the next call.
    this.#waiting.promise.catch(() => {})
    return this.#waiting.promise
  }

  /** Has a frame compressed; `#drain` does the rest in order. */
  #close(frame: Frame): void {
    const content = packFrame(frame.bytes.subarray(0, frame.pages * pageBytes), this.#zstd)
    content.catch(() => {})
    this.#full.push({ frame, content })
    this.#draining ??= this.#drain()
  }

  async #drain(): Promise<void> {
    try {
      for (let next = this.#full.shift(); next !== undefined; next = this.#full.shift()) {
        const { frame } = next
        const content = await next.content
        if (this.#failure !== null) return
        await this.#writer.append(frame.number, content, frame.ids.subarray(0, frame.pages * pageIdBytes))
        frame.pages = 0
        this.#recycle(frame)
      }
    } catch (error) {
      this.#fail(error)
    } finally {
      // Here rather than once the promise has settled: a frame that is closed in between must find a new drain.
      this.#draining = null
    }
  }

  #recycle(frame: Frame): void {
    if (this.#waiting === null) {
      this.#free.push(frame)
      return
    }
    this.#open = frame
    this.#waiting.resolve()
    this.#waiting = null
  }

  #fail(error: unknown): void {
    this.#failure ??= error
    this.#waiting?.reject(this.#failure)
    this.#waiting = null
  }
}

function emptyFrame(): Frame {
  return {
    number: 0,
    pages: 0,
    bytes: Buffer.allocUnsafe(frameBytes),
    ids: Buffer.allocUnsafe(framePages * pageIdBytes),
  }
}

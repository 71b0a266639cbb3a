/**
 * Takes pages as they come and keeps those that are not kept yet: each is looked up by its id; new ones are collected 16
 * to a frame and 16 frames to a batch, pressed (`frame-press.ts`) and written into packs. Promises that every page has
 * a location as soon as it was taken, that memory stays bounded by making the caller wait, and that frames lie in the
 * order in which their pages came. Knows nothing of vaults or of what a page belongs to.
 *
 * A page is copied once, into its batch: it may be a view of a buffer that is reused afterwards.
 *
 * Memory besides the tables: three batches of 2 MiB, and that of the pack writer.
 */
import { fail } from '../../shared/errors/index.ts'
import { framePages } from './frame.ts'
import { batchFrames, type FramePress, mostSealedBytes, pressHere } from './frame-press.ts'
import type { KnownPages } from './known-pages.ts'
import { PackWriter, type PackWriterOptions, type PageBatch } from './pack-writer.ts'
import { isZeroPage, type PageHasher, pageBytes, pageIdBytes } from './page-id.ts'

/** Told where each page is, while `add` runs. `ref` is what the caller named the page by. */
export interface PageLocations {
  zero(ref: number): void
  /**
   * @param frame its number in the frame table, which learns the frame's place later
   * @param id the page's id, 16 bytes; used again when this returns
   */
  page(ref: number, frame: number, slot: number, id: Buffer): void
}

export interface PackerOptions extends Omit<PackWriterOptions, 'frames' | 'press'> {
  /** Looked up, and extended by what is new. Of no further use when the work fails. */
  known: KnownPages
  hasher: PageHasher
  locations: PageLocations
  /** Closed in the end. Default: in this thread. */
  press?: FramePress
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

/** One is being filled while one is pressed and one is written. */
const batches = 3

export class Packer {
  readonly #options: PackerOptions
  readonly #press: FramePress
  readonly #writer: PackWriter
  readonly #batchPages: number
  readonly #free: PageBatch[] = []
  /** What new pages are collected in; null while the caller is to wait for one. */
  #open: PageBatch | null
  #waiting: PromiseWithResolvers<void> | null = null
  #appended: Promise<void> = Promise.resolve()
  #failure: unknown = null
  readonly #id = Buffer.alloc(pageIdBytes)
  /** Frames from here on are of this work. */
  readonly #firstFrame: number
  readonly #totals = { zeroPages: 0, knownPages: 0, repeatedPages: 0, newPages: 0 }

  constructor(options: PackerOptions) {
    this.#options = options
    this.#press = options.press ?? pressHere
    this.#writer = new PackWriter({ ...options, press: this.#press, frames: options.known.frames })
    this.#batchPages = Math.min(batchFrames, this.#writer.mostFrames) * framePages
    this.#firstFrame = options.known.frames.size
    this.#open = emptyBatch(this.#batchPages)
    for (let count = 1; count < batches; count += 1) this.#free.push(emptyBatch(this.#batchPages))
  }

  /** Of `totals`, for who asks at every page. */
  get knownPages(): number {
    return this.#totals.knownPages
  }

  get totals(): Readonly<PackerTotals> {
    return { ...this.#totals, sealedBytes: this.#writer.sealedBytes }
  }

  /**
   * Takes the page at `offset` of `bytes`; they may be reused when this returns.
   * @returns a promise when the next page has to wait for it
   * @throws whatever the sink threw meanwhile; then call `discard`
   */
  add(ref: number, bytes: Buffer, offset = 0): Promise<void> | undefined {
    if (this.recognise(ref, bytes, offset, this.#id)) return undefined
    return this.keep(ref, bytes, offset, this.#id)
  }

  /**
   * Takes the page at `offset` of `bytes` if it is zero or known already; also while others are waited for.
   * @param id gets the page's id, 16 bytes, unless the page is zero
   * @returns whether it was taken; if not, `keep` takes it, at once or later
   * @throws as `add`
   */
  recognise(ref: number, bytes: Buffer, offset: number, id: Buffer): boolean {
    this.#assertSound(bytes, offset)
    const { known, hasher, locations } = this.#options
    if (isZeroPage(bytes, offset)) {
      this.#totals.zeroPages += 1
      locations.zero(ref)
      return true
    }
    hasher.idOf(bytes, offset, id)
    const entry = known.table.find(id)
    if (entry < 0) return false
    this.#locate(ref, entry, id)
    return true
  }

  /** Takes a page by its id alone, if it is known. @returns whether it was taken @throws as `add` */
  addKnown(ref: number, id: Buffer): boolean {
    if (this.#failure !== null) throw this.#failure
    const entry = this.#options.known.table.find(id)
    if (entry < 0) return false
    this.#locate(ref, entry, id)
    return true
  }

  /** Whether `addKnown` would take a page of this id. */
  knows(id: Buffer): boolean {
    return this.#options.known.table.find(id) >= 0
  }

  /**
   * Takes the page at `offset` of `bytes`, whose id `recognise` has told; by now it may be known all the same.
   * @returns and @throws as `add`
   */
  keep(ref: number, bytes: Buffer, offset: number, id: Buffer): Promise<void> | undefined {
    this.#assertSound(bytes, offset)
    const batch = this.#open
    if (batch === null) throw new Error('the packer was not waited for')
    const { known, locations } = this.#options
    const at = batch.pageCount
    const slot = at % framePages
    const frame = slot === 0 ? known.frames.size : (batch.frames.at(-1) ?? 0)
    const entry = known.table.add(id, 0, frame, slot)
    if (entry >= 0) {
      this.#locate(ref, entry, id)
      return undefined
    }
    if (slot === 0) batch.frames.push(known.frames.reserve())
    batch.pages.set(bytes.subarray(offset, offset + pageBytes), at * pageBytes)
    id.copy(batch.ids, at * pageIdBytes)
    batch.pageCount += 1
    this.#totals.newPages += 1
    locations.page(ref, frame, slot, id)
    if (batch.pageCount < this.#batchPages) return undefined
    this.#append(batch)
    this.#open = this.#free.pop() ?? null
    if (this.#open !== null) return undefined
    this.#waiting = Promise.withResolvers()
    // Whoever stops listening finds the failure at the next call.
    this.#waiting.promise.catch(() => {})
    return this.#waiting.promise
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
    if (this.#open !== null && this.#open.pageCount > 0) this.#append(this.#open)
    this.#open = null
    await this.#appended
    if (this.#failure !== null) throw this.#failure
    await Promise.all([this.#writer.finish(), this.#press.close()])
    return this.totals
  }

  /** Gives the work up: the packs that are open are discarded. Also after a failure; never rejects for that one. */
  async discard(): Promise<void> {
    this.#fail(fail('host.cancelled'))
    await this.#press.close()
    await this.#writer.discard()
  }

  #assertSound(bytes: Buffer, offset: number): void {
    if (this.#failure !== null) throw this.#failure
    if (offset + pageBytes > bytes.length) throw new RangeError('not a whole page')
  }

  /** A page that is known already. */
  #locate(ref: number, entry: number, id: Buffer): void {
    const { known, locations } = this.#options
    const frame = known.table.frameOf(entry)
    this.#totals[frame < this.#firstFrame ? 'knownPages' : 'repeatedPages'] += 1
    locations.page(ref, frame, known.table.slotOf(entry), id)
  }

  #append(batch: PageBatch): void {
    this.#appended = this.#writer.append(batch).then(
      () => this.#recycle(batch),
      (error: unknown) => this.#fail(error),
    )
  }

  #recycle(batch: PageBatch): void {
    batch.pageCount = 0
    batch.frames = []
    if (this.#waiting === null) {
      this.#free.push(batch)
      return
    }
    this.#open = batch
    this.#waiting.resolve()
    this.#waiting = null
  }

  #fail(error: unknown): void {
    this.#failure ??= error
    this.#waiting?.reject(this.#failure)
    this.#waiting = null
  }
}

function emptyBatch(pages: number): PageBatch {
  return {
    pages: new Uint8Array(new SharedArrayBuffer(pages * pageBytes)),
    sealed: new Uint8Array(new SharedArrayBuffer(mostSealedBytes(pages))),
    ids: Buffer.allocUnsafe(pages * pageIdBytes),
    pageCount: 0,
    frames: [],
  }
}

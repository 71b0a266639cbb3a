/**
 * Writes frames into packs, batch by batch, through a press and a sink of the caller's. Promises packs of at most 16 MiB
 * and 4096 frames, frames in the order in which they were appended, one frame for a key, and that a pack is told of
 * only by `finish` of its file. Relies on `frameKeyOf` giving different keys for different names, and on pack ids never
 * being used twice: they are random.
 *
 * Memory: the ids of two packs, at most 1 MiB each; batches are the caller's.
 */
import type { Random } from '../platform/random.ts'
import { type FrameKeyOf, framePages } from './frame.ts'
import { type FramePress, framesOf, mostSealedBytes } from './frame-press.ts'
import type { FrameTable } from './frame-table.ts'
import type { PackContents } from './known-pages.ts'
import { pageIdBytes } from './page-id.ts'

/** The longest pack. */
export const packBytes = 16 * 1024 * 1024

/** The most frames of a pack: bounds what has to be remembered of one that compresses to nearly nothing. */
export const packFrames = 4096

/** Where packs go: the spool on the disk of this PC. */
export interface PackSink {
  begin(packId: Buffer): Promise<PackFile>
}

/** A pack that is being written. */
export interface PackFile {
  /** Appends. The bytes may change when it has resolved. */
  write(bytes: Buffer): Promise<void>
  /** Called last, once: durable when it resolves, gone when it rejects. The next pack is begun meanwhile. */
  finish(contents: PackContents): Promise<void>
  /** Called instead of `finish` when the work has failed or was given up. */
  discard(): Promise<void>
}

export interface PackWriterOptions {
  sink: PackSink
  press: FramePress
  frames: FrameTable
  frameKeyOf: FrameKeyOf
  random: Random
  /** For tests. Default 16 MiB. */
  packBytes?: number
  /** For tests. Default 4096. */
  packFrames?: number
}

/** Pages on their way into a pack; the memory is used again and again. */
export interface PageBatch {
  pages: Uint8Array<SharedArrayBuffer>
  sealed: Uint8Array<SharedArrayBuffer>
  /** 16 bytes a page. */
  ids: Buffer
  pageCount: number
  /** The numbers of its frames, reserved in the frame table, which learns their places. */
  frames: number[]
}

interface OpenPack {
  id: Buffer
  number: number
  file: PackFile
  /** Frames that were given a place, and the most that they can come to. */
  frames: number
  mostBytes: number
  /** What has been written. */
  sizeBytes: number
  sealedBytes: number[]
  pages: number[]
  ids: Buffer
  idsBytes: number
}

interface Place {
  pack: OpenPack
  firstOrdinal: number
}

export class PackWriter {
  readonly #options: PackWriterOptions
  readonly #packBytes: number
  readonly #packFrames: number
  #pack: OpenPack | null = null
  /** Packs whose files are neither finished nor discarded. */
  readonly #unfinished = new Set<OpenPack>()
  /** Each of these goes on when the one before has ended: places, writing, and finishing files. */
  #placing: Promise<unknown> = Promise.resolve()
  #storing: Promise<void> = Promise.resolve()
  #finishing: Promise<void> = Promise.resolve()
  #sealedBytes = 0

  constructor(options: PackWriterOptions) {
    this.#options = options
    this.#packBytes = options.packBytes ?? packBytes
    this.#packFrames = options.packFrames ?? packFrames
  }

  /** What has been sealed so far, in bytes. */
  get sealedBytes(): number {
    return this.#sealedBytes
  }

  /** The most frames of a batch that fits into a pack. */
  get mostFrames(): number {
    const frameBytes = mostSealedBytes(framePages)
    return Math.max(1, Math.min(this.#packFrames, Math.floor(this.#packBytes / frameBytes)))
  }

  /**
   * Has a batch pressed and written behind those before; several may be under way.
   * @returns once its memory may be used again
   * @throws whatever the sink or the press throws: then nothing more can be appended
   */
  append(batch: PageBatch): Promise<void> {
    const before = this.#storing
    const placed = this.#placing.then(() => this.#place(batch, before))
    this.#placing = handled(placed)
    const pressed = handled(placed.then((place) => this.#press(batch, place)))
    const stored = this.#store(batch, placed, pressed, before)
    this.#storing = handled(stored)
    return stored
  }

  /** Resolves when all packs are durable. @throws whatever the sink or the press throws */
  async finish(): Promise<void> {
    await this.#placing
    if (this.#pack !== null) await this.#endPack(this.#pack, this.#storing)
    await this.#finishing
  }

  /** Discards the packs that are open. Nothing is told of them. */
  async discard(): Promise<void> {
    await Promise.allSettled([this.#placing, this.#storing, this.#finishing])
    for (const { file } of this.#unfinished) await file.discard()
    this.#unfinished.clear()
    this.#pack = null
  }

  /** @param before when all batches before are written */
  async #place({ pageCount }: PageBatch, before: Promise<void>): Promise<Place> {
    const [frames, mostBytes] = [framesOf(pageCount), mostSealedBytes(pageCount)]
    const open = this.#pack
    const fits =
      open !== null &&
      open.frames + frames <= this.#packFrames &&
      open.mostBytes + mostBytes <= this.#packBytes
    if (open !== null && !fits) await this.#endPack(open, before)
    const pack = fits ? open : await this.#begin()
    const firstOrdinal = pack.frames
    pack.frames += frames
    pack.mostBytes += mostBytes
    return { pack, firstOrdinal }
  }

  async #press(batch: PageBatch, { pack, firstOrdinal }: Place): Promise<Uint32Array> {
    const { press, frameKeyOf } = this.#options
    const { pages, pageCount, sealed } = batch
    const keys = Buffer.concat(batch.frames.map((_, at) => frameKeyOf(pack.id, firstOrdinal + at)))
    return await press.press({ pages, pageCount, packId: pack.id, firstOrdinal, keys, sealed })
  }

  async #store(
    batch: PageBatch,
    placed: Promise<Place>,
    pressed: Promise<Uint32Array>,
    before: Promise<void>,
  ): Promise<void> {
    const { pack, firstOrdinal } = await placed
    const sealedBytes = await pressed
    await before
    const start = pack.sizeBytes
    for (const [at, frame] of batch.frames.entries()) {
      const place = { pack: pack.number, ordinal: firstOrdinal + at, offset: pack.sizeBytes }
      const frameBytes = sealedBytes[at] ?? 0
      const framePageCount = Math.min(framePages, batch.pageCount - at * framePages)
      this.#options.frames.settle(frame, { ...place, sealedBytes: frameBytes, pages: framePageCount })
      pack.sealedBytes.push(frameBytes)
      pack.pages.push(framePageCount)
      pack.sizeBytes += frameBytes
    }
    const bytes = pack.sizeBytes - start
    // What was sealed together is shorter than was to be feared: the next batch may still fit.
    pack.mostBytes -= mostSealedBytes(batch.pageCount) - bytes
    rememberIds(pack, batch.ids.subarray(0, batch.pageCount * pageIdBytes))
    this.#sealedBytes += bytes
    await pack.file.write(Buffer.from(batch.sealed.buffer, 0, bytes))
  }

  async #begin(): Promise<OpenPack> {
    const id = this.#options.random.bytes(16)
    const file = await this.#options.sink.begin(id)
    const pack: OpenPack = {
      id,
      number: this.#options.frames.addPack(id),
      file,
      frames: 0,
      mostBytes: 0,
      sizeBytes: 0,
      sealedBytes: [],
      pages: [],
      ids: Buffer.allocUnsafe(64 * framePages * pageIdBytes),
      idsBytes: 0,
    }
    this.#pack = pack
    this.#unfinished.add(pack)
    return pack
  }

  /** One file is finished at a time, while the next one is being written. */
  async #endPack(pack: OpenPack, written: Promise<void>): Promise<void> {
    await this.#finishing
    this.#pack = null
    this.#finishing = handled(written.then(() => this.#finishPack(pack)))
  }

  async #finishPack(pack: OpenPack): Promise<void> {
    const { id, file, sealedBytes, pages, ids, idsBytes } = pack
    this.#unfinished.delete(pack)
    await file.finish({
      packId: id,
      sealedBytes: Uint32Array.from(sealedBytes),
      pages: Uint8Array.from(pages),
      ids: ids.subarray(0, idsBytes),
    })
  }
}

function rememberIds(pack: OpenPack, ids: Buffer): void {
  if (pack.idsBytes + ids.length > pack.ids.length) {
    const larger = Buffer.allocUnsafe(Math.max(pack.ids.length * 2, pack.idsBytes + ids.length))
    pack.ids.copy(larger, 0, 0, pack.idsBytes)
    pack.ids = larger
  }
  ids.copy(pack.ids, pack.idsBytes)
  pack.idsBytes += ids.length
}

/** A promise whose failure is seen by whoever waits for it later. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}

/**
 * Writes sealed frames into packs, one after the other, through a sink of the caller's. Promises packs of at
 * most 16 MiB and 4096 frames, frames in the order in which they were appended, one frame for a key, and that a
 * pack is told of only by `finish` of its file. Relies on `frameKeyOf` giving different keys for different
 * names, and on pack ids never being used twice: they are random.
 *
 * Memory: two batches of 1 MiB, and the ids of one pack, at most 1 MiB.
 */
import type { Random } from '../platform/random.ts'
import { type FrameKeyOf, framePages, sealBytes, sealFrameParts } from './frame.ts'
import type { FrameTable } from './frame-table.ts'
import type { PackContents } from './known-pages.ts'
import { pageIdBytes } from './page-id.ts'

/** The longest pack. */
export const packBytes = 16 * 1024 * 1024

/** The most frames of a pack: bounds what has to be remembered of one that compresses to nearly nothing. */
export const packFrames = 4096

const batchBytes = 1024 * 1024

/** Where packs go: the spool on the disk of this PC. */
export interface PackSink {
  begin(packId: Buffer): Promise<PackFile>
}

/** A pack that is being written. */
export interface PackFile {
  /** Appends. The buffers do not change afterwards. */
  write(parts: readonly Buffer[]): Promise<void>
  /** Called last, once: durable when it resolves, gone when it rejects. The next pack is begun meanwhile. */
  finish(contents: PackContents): Promise<void>
  /** Called instead of `finish` when the work has failed or was given up. */
  discard(): Promise<void>
}

export interface PackWriterOptions {
  sink: PackSink
  frames: FrameTable
  frameKeyOf: FrameKeyOf
  random: Random
  /** For tests. Default 16 MiB. */
  packBytes?: number
  /** For tests. Default 4096. */
  packFrames?: number
}

interface OpenPack {
  id: Buffer
  number: number
  file: PackFile
  sizeBytes: number
  sealedBytes: number[]
  pages: number[]
  ids: Buffer
  idsBytes: number
  batch: Buffer[]
  batchBytes: number
}

export class PackWriter {
  readonly #options: PackWriterOptions
  readonly #packBytes: number
  readonly #packFrames: number
  #pack: OpenPack | null = null
  /** At most one write, and one file that is being finished, at a time. */
  #writing: Promise<void> = Promise.resolve()
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

  /**
   * Seals a frame and appends it. One call at a time. `content` may be reused once it resolves.
   * @param frame its number, reserved in the frame table, which learns its place
   * @param content what `packFrame` made of its pages
   * @param ids 16 bytes a page; copied
   * @throws whatever the sink throws, also for a pack before: then nothing more can be appended
   */
  async append(frame: number, content: Buffer, ids: Buffer): Promise<void> {
    // The seal's length is known before it is made: the key depends on the pack that it goes to.
    const pack = await this.#packFor(content.length + sealBytes)
    const ordinal = pack.sealedBytes.length
    const key = this.#options.frameKeyOf(pack.id, ordinal)
    const parts = sealFrameParts(key, { packId: pack.id, ordinal }, content)
    const sealedBytes = content.length + sealBytes
    this.#options.frames.settle(frame, {
      pack: pack.number,
      ordinal,
      offset: pack.sizeBytes,
      sealedBytes,
      pages: ids.length / pageIdBytes,
    })
    pack.batch.push(...parts)
    pack.batchBytes += sealedBytes
    remember(pack, sealedBytes, ids)
    this.#sealedBytes += sealedBytes
    if (pack.batchBytes >= batchBytes) await this.#writeBatch(pack)
  }

  /** Resolves when all packs are durable. @throws whatever the sink throws */
  async finish(): Promise<void> {
    await this.#endPack()
    await this.#finishing
  }

  /** Discards the pack that is open. Nothing is told of it. */
  async discard(): Promise<void> {
    const pack = this.#pack
    this.#pack = null
    await Promise.allSettled([this.#writing, this.#finishing])
    await pack?.file.discard()
  }

  async #packFor(sealedBytes: number): Promise<OpenPack> {
    const open = this.#pack
    if (open !== null) {
      const fits = open.sizeBytes + sealedBytes <= this.#packBytes
      if (fits && open.sealedBytes.length < this.#packFrames) return open
      await this.#endPack()
    }
    const id = this.#options.random.bytes(16)
    const file = await this.#options.sink.begin(id)
    const pack: OpenPack = {
      id,
      number: this.#options.frames.addPack(id),
      file,
      sizeBytes: 0,
      sealedBytes: [],
      pages: [],
      ids: Buffer.allocUnsafe(64 * framePages * pageIdBytes),
      idsBytes: 0,
      batch: [],
      batchBytes: 0,
    }
    this.#pack = pack
    return pack
  }

  /** Waits only for the write before: one batch is written while the next one is sealed. */
  async #writeBatch(pack: OpenPack): Promise<void> {
    const parts = pack.batch
    pack.batch = []
    pack.batchBytes = 0
    await this.#writing
    this.#writing = handled(pack.file.write(parts))
  }

  async #endPack(): Promise<void> {
    const pack = this.#pack
    if (pack === null) return
    if (pack.batch.length > 0) await this.#writeBatch(pack)
    await this.#writing
    await this.#finishing
    this.#pack = null
    this.#finishing = handled(
      pack.file.finish({
        packId: pack.id,
        sealedBytes: Uint32Array.from(pack.sealedBytes),
        pages: Uint8Array.from(pack.pages),
        ids: pack.ids.subarray(0, pack.idsBytes),
      }),
    )
  }
}

function remember(pack: OpenPack, sealedBytes: number, ids: Buffer): void {
  pack.sizeBytes += sealedBytes
  pack.sealedBytes.push(sealedBytes)
  pack.pages.push(ids.length / pageIdBytes)
  if (pack.idsBytes + ids.length > pack.ids.length) {
    const larger = Buffer.allocUnsafe(pack.ids.length * 2)
    pack.ids.copy(larger, 0, 0, pack.idsBytes)
    pack.ids = larger
  }
  ids.copy(pack.ids, pack.idsBytes)
  pack.idsBytes += ids.length
}

/** A promise whose failure is seen by whoever waits for it later. */
function handled(promise: Promise<void>): Promise<void> {
  promise.catch(() => {})
  return promise
}

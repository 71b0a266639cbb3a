/**
 * zstd off the event loop, for many small independent pieces. Promises that every piece becomes a zstd frame of
 * its own, exactly as from `zstdCompressSync`, and that an answer belongs to its question; runs on libuv's
 * thread pool. Relies on two things of Node 24's zlib streams: with `flush: ZSTD_e_end` each write ends a frame
 * (documented), and what a write produced has been emitted when its callback is called (`processCallback` in
 * lib/zlib.js; checked each time).
 *
 * Why streams that live on: `zstdCompress()` makes a stream and a zstd context for each call. With frames of
 * 64 KB that is three times as long on the event loop, and half as much processor time again in all.
 *
 * Memory: about 2 MB a lane.
 */
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib'
import { isZstdFrameOf } from './zstd-frame.ts'

/** zstd's level for pages: level 3 makes the memory of a guest 1 % smaller, and takes twice the processor time. */
export const pageZstdLevel = 1

/**
 * The largest window that is accepted when opening, as a power of two: a frame of 16 pages needs 64 KB, and a
 * forged one could ask for 128 MB.
 */
export const pageWindowLog = 17

/** More than what a piece becomes, so that one turn in the thread pool is enough nearly always. */
const chunkBytes = 256 * 1024

export type ZstdDirection = 'compress' | 'decompress'

interface Job {
  piece: Buffer
  limitBytes: number
  resolve(result: Buffer): void
  reject(error: unknown): void
}

export class ZstdLanes {
  readonly #direction: ZstdDirection
  readonly #count: number
  readonly #idle: Lane[] = []
  readonly #waiting: Job[] = []
  #busy = 0
  #closed = false

  /** @param count how many pieces at once; libuv's pool has 4 threads unless it is told otherwise */
  constructor(direction: ZstdDirection, count: number) {
    this.#direction = direction
    this.#count = count
  }

  /**
   * Compresses, or decompresses, one piece of at most some hundred kilobytes, which must not change meanwhile.
   * @param resultBytes what a decompressed piece must come to, exactly
   * @throws Error for a piece that is not one whole frame of that
   */
  run(piece: Buffer, resultBytes?: number): Promise<Buffer> {
    if (this.#closed) return Promise.reject(new Error('zstd was closed'))
    if (resultBytes !== undefined && !isZstdFrameOf(piece, resultBytes)) {
      return Promise.reject(new Error(`not a zstd frame of ${resultBytes} bytes`))
    }
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
    this.#waiting.push({ piece, limitBytes: resultBytes ?? Number.POSITIVE_INFINITY, resolve, reject })
    this.#next()
    return promise
  }

  /** Frees the lanes. What waits fails; what is under way is still answered. */
  close(): void {
    this.#closed = true
    for (const job of this.#waiting.splice(0)) job.reject(new Error('zstd was closed'))
    for (const lane of this.#idle.splice(0)) lane.close()
  }

  #next(): void {
    if (this.#busy >= this.#count) return
    const job = this.#waiting.shift()
    if (job === undefined) return
    const lane = this.#idle.pop() ?? new Lane(this.#direction)
    this.#busy += 1
    lane.run(job.piece, job.limitBytes, (error, result) => {
      this.#busy -= 1
      // A lane that failed may hold half a frame.
      if (error !== null || this.#closed) lane.close()
      else this.#idle.push(lane)
      if (error === null) job.resolve(result)
      else job.reject(error)
      this.#next()
    })
  }
}

type Done = (error: Error | null, result: Buffer) => void

const nothing = Buffer.alloc(0)

/** One stream, used for one piece at a time. */
class Lane {
  readonly #stream: ReturnType<typeof createZstdCompress> | ReturnType<typeof createZstdDecompress>
  #done: Done | null = null
  #parts: Buffer[] = []
  #partsBytes = 0
  #limitBytes = 0

  constructor(direction: ZstdDirection) {
    this.#stream = direction === 'compress' ? compressor() : decompressor()
    this.#stream.on('data', (part: Buffer) => this.#take(part))
    this.#stream.on('error', (error) => this.#finish(error))
  }

  run(piece: Buffer, limitBytes: number, done: Done): void {
    this.#limitBytes = limitBytes
    this.#done = done
    this.#stream.write(piece, (error) => {
      if (error) this.#finish(error)
      else if (this.#stream.readableLength > 0) this.#finish(new Error('zstd kept some of its output'))
      else this.#finish(null)
    })
  }

  close(): void {
    this.#stream.destroy()
  }

  #take(part: Buffer): void {
    this.#parts.push(part)
    this.#partsBytes += part.length
    if (this.#partsBytes > this.#limitBytes) this.#stream.destroy(new Error('longer than it says'))
  }

  #finish(error: Error | null): void {
    const [done, parts] = [this.#done, this.#parts]
    const short = Number.isFinite(this.#limitBytes) && this.#partsBytes !== this.#limitBytes
    this.#done = null
    this.#parts = []
    this.#partsBytes = 0
    if (error !== null) done?.(error, nothing)
    else if (short) done?.(new Error('shorter than it says'), nothing)
    else done?.(null, parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts))
  }
}

function compressor() {
  return createZstdCompress({
    flush: constants.ZSTD_e_end,
    chunkSize: chunkBytes,
    params: { [constants.ZSTD_c_compressionLevel]: pageZstdLevel },
  })
}

function decompressor() {
  return createZstdDecompress({
    chunkSize: chunkBytes,
    params: { [constants.ZSTD_d_windowLogMax]: pageWindowLog },
  })
}

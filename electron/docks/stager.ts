/**
 * Gathers small pieces into large writes. A TLS read comes in records of 16 KiB, and what each of them costs on
 * its way through a stream of its own is more than the copy. Promises order, that nothing waits longer than this
 * turn of the event loop, and that its buffers are used again.
 */
import type { Writable } from 'node:stream'
import { collectYoungGarbage } from '../platform/young-garbage.ts'

const stageBytes = 256 * 1024
/** Below what makes V8 mark the whole heap: about the size of a small heap, 16 MiB. */
const collectEveryBytes = 4 * 1024 * 1024

export class Stager {
  readonly #target: Writable
  readonly #onWritten: (sizeBytes: number) => void
  readonly #free: Buffer[] = []
  #stage: Buffer | null = null
  #usedBytes = 0
  #uncollectedBytes = 0
  #due: NodeJS.Immediate | null = null

  /** @param onWritten told of bytes that the target has taken out of its queue */
  constructor(target: Writable, onWritten: (sizeBytes: number) => void = () => {}) {
    this.#target = target
    this.#onWritten = onWritten
  }

  /** Copies `piece`: the caller may use its memory again. */
  put(piece: Uint8Array): void {
    for (let offset = 0; offset < piece.length; ) {
      this.#stage ??= this.#free.pop() ?? Buffer.allocUnsafeSlow(stageBytes)
      const sizeBytes = Math.min(piece.length - offset, stageBytes - this.#usedBytes)
      this.#stage.set(piece.subarray(offset, offset + sizeBytes), this.#usedBytes)
      this.#usedBytes += sizeBytes
      offset += sizeBytes
      if (this.#usedBytes === stageBytes) this.flush()
    }
    this.#uncollectedBytes += piece.length
    if (this.#uncollectedBytes >= collectEveryBytes) {
      this.#uncollectedBytes = 0
      collectYoungGarbage()
    }
    if (this.#usedBytes > 0) this.#due ??= setImmediate(() => this.flush())
  }

  /** Writes what has been gathered now: before the target is ended. */
  flush(): void {
    if (this.#due !== null) clearImmediate(this.#due)
    this.#due = null
    const stage = this.#stage
    const sizeBytes = this.#usedBytes
    this.#stage = null
    this.#usedBytes = 0
    if (stage === null || !this.#target.writable) return
    this.#target.write(stage.subarray(0, sizeBytes), (error) => {
      if (error) return
      this.#free.push(stage)
      this.#onWritten(sizeBytes)
    })
  }
}

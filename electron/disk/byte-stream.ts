/**
 * Reading counted bytes from a stream and writing to it with back-pressure, without taking the stream over:
 * what was not asked for stays in it. Promises that every wait ends when the stream or the caller gives up.
 */
import type { Duplex } from 'node:stream'
import { fail } from '../../shared/errors/index.ts'

export class ByteReader {
  readonly #stream: Duplex
  readonly #signal: AbortSignal | undefined
  #wake: (() => void) | null = null
  #error: Error | null = null
  readonly #onWake = (): void => this.#wake?.()
  readonly #onError = (error: Error): void => {
    this.#error = error
    this.#wake?.()
  }

  constructor(stream: Duplex, signal?: AbortSignal) {
    this.#stream = stream
    this.#signal = signal
    stream.on('readable', this.#onWake)
    stream.on('end', this.#onWake)
    stream.on('close', this.#onWake)
    stream.on('error', this.#onError)
    signal?.addEventListener('abort', this.#onWake)
  }

  /** At least one byte, at most `limit`. @throws disk.transfer_cut at the end of the stream, host.cancelled */
  async readSome(limit: number): Promise<Buffer> {
    for (;;) {
      if (this.#signal?.aborted) throw fail('host.cancelled')
      const available = Math.min(limit, this.#stream.readableLength)
      const chunk: unknown = available > 0 ? this.#stream.read(available) : this.#stream.read(0)
      if (Buffer.isBuffer(chunk) && chunk.length > 0) return chunk
      this.#throwIfOver()
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      this.#wake = null
    }
  }

  /** Exactly `count` bytes; meant for a few. */
  async readExactly(count: number): Promise<Buffer> {
    const parts: Buffer[] = []
    for (let left = count; left > 0; ) {
      const part = await this.readSome(left)
      parts.push(part)
      left -= part.length
    }
    return Buffer.concat(parts)
  }

  /** Lets go of the stream. */
  release(): void {
    this.#stream.off('readable', this.#onWake)
    this.#stream.off('end', this.#onWake)
    this.#stream.off('close', this.#onWake)
    this.#stream.off('error', this.#onError)
    this.#signal?.removeEventListener('abort', this.#onWake)
  }

  #throwIfOver(): void {
    const { readableEnded, destroyed, errored } = this.#stream
    const error = this.#error ?? errored
    if (error === null && !readableEnded && !destroyed) return
    throw fail('disk.transfer_cut', {}, error ? { detail: error.message, cause: error } : {})
  }
}

/** Writes all of `chunk`, waiting while the stream is full. @throws disk.transfer_cut, host.cancelled */
export async function writeAll(stream: Duplex, chunk: Uint8Array, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) throw fail('host.cancelled')
  if (stream.destroyed || stream.writableEnded) throw fail('disk.transfer_cut')
  if (stream.write(chunk)) return
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onDrain = (): void => resolve()
  const onOver = (): void => reject(fail('disk.transfer_cut'))
  const onAbort = (): void => reject(fail('host.cancelled'))
  stream.once('drain', onDrain)
  stream.once('close', onOver)
  stream.once('error', onOver)
  signal?.addEventListener('abort', onAbort)
  try {
    await promise
  } finally {
    stream.off('drain', onDrain)
    stream.off('close', onOver)
    stream.off('error', onOver)
    signal?.removeEventListener('abort', onAbort)
  }
}

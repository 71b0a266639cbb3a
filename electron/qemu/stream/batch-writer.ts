/**
 * Writes small things to a stream in large pieces, out of two buffers: one is filled while the other is on its way.
 * Promises back-pressure, and that its memory is all it takes. A failure of the stream comes out of the method that
 * is called next, as qemu.load_failed: QEMU is at its other end.
 */
import type { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { fail, type WdockError } from '../../../shared/errors/index.ts'

const batchBytes = 256 * 1024

export class BatchWriter {
  readonly #target: Writable
  #other = Buffer.allocUnsafeSlow(batchBytes)
  #pending: Promise<void> = Promise.resolve()
  /** To be filled from `at` on, after `room`. */
  buffer = Buffer.allocUnsafeSlow(batchBytes)
  at = 0

  constructor(target: Writable) {
    this.#target = target
    // The callbacks of writing tell; without a listener the event would end the program.
    target.on('error', () => {})
  }

  /** Makes room for `bytes`, at most a batch. @returns a promise where that has to be waited for */
  room(bytes: number): Promise<void> | undefined {
    return this.at + bytes <= this.buffer.length ? undefined : this.#flush()
  }

  /** Writes bytes of any length, copying them. */
  async put(bytes: Buffer): Promise<void> {
    for (let from = 0; from < bytes.length; ) {
      await this.room(1)
      const count = bytes.copy(this.buffer, this.at, from)
      this.at += count
      from += count
    }
  }

  /** Writes what is left and ends the stream. @returns once the system has taken all of it */
  async end(): Promise<void> {
    await this.#flush()
    await this.#pending
    try {
      this.#target.end()
      await finished(this.#target, { readable: false })
    } catch (error) {
      throw brokenOff(error)
    }
  }

  async #flush(): Promise<void> {
    await this.#pending
    const full = this.buffer.subarray(0, this.at)
    this.#pending = this.#write(full)
    // Whoever comes next waits for it and gets the error.
    this.#pending.catch(() => {})
    const emptied = this.#other
    this.#other = this.buffer
    this.buffer = emptied
    this.at = 0
  }

  /** @returns once `bytes` are out of the stream's hands, or it is closed */
  #write(bytes: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      const onClose = (): void => reject(brokenOff('closed'))
      this.#target.once('close', onClose)
      this.#target.write(bytes, (error) => {
        this.#target.off('close', onClose)
        if (error) reject(brokenOff(error))
        else resolve()
      })
    })
  }
}

function brokenOff(error: unknown): WdockError {
  return fail('qemu.load_failed', {}, { detail: `the stream broke off: ${String(error)}`, cause: error })
}

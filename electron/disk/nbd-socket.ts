/**
 * A client's end of a unix socket. Promises that bodies are read by the kernel straight into the memory that is to
 * hold them, that nothing beyond a fixed scratch buffer is taken for bytes that nobody asked for, and that
 * everybody who waits is told, once, when the connection is over. Relies on its user to say in time, that is from
 * within the call for the bytes before, what the next bytes are.
 *
 * Node's streams would hand over a new buffer for every 64 KiB, to be copied and thrown away.
 */
import { connect, type Socket } from 'node:net'
import { fail, isCode, type WdockError } from '../../shared/errors/index.ts'

/** Takes many small answers in one read; the start of a large one is copied out of it. */
const scratchBytes = 64 * 1024

type Want =
  | { kind: 'take'; sizeBytes: number; then: (bytes: Buffer) => void }
  | { kind: 'fill'; target: Uint8Array; filledBytes: number; then: () => void }
  | { kind: 'skip'; remainingBytes: number; then: () => void }

/** A `disk.nbd_failed` with what happened as its detail. */
export function nbdFailure(detail: string, cause?: unknown): WdockError {
  return fail('disk.nbd_failed', {}, cause === undefined ? { detail } : { detail, cause })
}

export class NbdSocket {
  readonly #socket: Socket
  readonly #scratch = Buffer.allocUnsafeSlow(scratchBytes)
  #start = 0
  #end = 0
  #want: Want | null = null
  /** Into what the kernel reads next; null is the scratch buffer. */
  #reading: (Want & { kind: 'fill' }) | null = null
  #advancing = false
  #receivedBytes = 0
  #failure: WdockError | null = null
  readonly #listeners = new Set<(failure: WdockError) => void>()
  readonly #closed: Promise<void>

  private constructor(path: string) {
    this.#socket = connect({
      path,
      onread: {
        buffer: () => this.#nextBuffer(),
        callback: (sizeBytes) => this.#onRead(sizeBytes),
      },
    })
    this.#socket.on('error', (error: Error) => this.destroy(nbdFailure(error.message, error)))
    this.#socket.on('end', () => this.destroy(nbdFailure('the server closed the connection')))
    this.#closed = new Promise((resolve) => {
      this.#socket.once('close', () => {
        this.destroy(nbdFailure('the connection was closed'))
        resolve()
      })
    })
  }

  /** @throws disk.nbd_failed, host.cancelled */
  static async connect(path: string, signal?: AbortSignal): Promise<NbdSocket> {
    if (signal?.aborted) throw fail('host.cancelled')
    const socket = new NbdSocket(path)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const onAbort = (): void => socket.destroy(fail('host.cancelled'))
    const stopListening = socket.onOver(reject)
    signal?.addEventListener('abort', onAbort)
    socket.#socket.once('connect', resolve)
    try {
      await promise
      return socket
    } finally {
      stopListening()
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** Why it is over; null while it is not. */
  get failure(): WdockError | null {
    return this.#failure
  }

  /** Calls `listener` once when the connection is over, at once when it is. @returns a function that ends that */
  onOver(listener: (failure: WdockError) => void): () => void {
    if (this.#failure !== null) {
      listener(this.#failure)
      return () => {}
    }
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Gives the connection up when nothing has come for `silenceMs` although `isAsked`. Silence counts only when two
   * looks in a row find it: a process that stood still itself would take what waits in its socket for silence.
   */
  limitSilence(silenceMs: number, isAsked: () => boolean): void {
    let seenBytes = -1
    this.#socket.on('timeout', () => {
      if (isAsked() && seenBytes === this.#receivedBytes) {
        this.destroy(nbdFailure(`the server was silent for ${silenceMs} ms`))
      }
      seenBytes = isAsked() ? this.#receivedBytes : -1
      this.#socket.setTimeout(silenceMs / 2)
    })
    this.#socket.setTimeout(silenceMs / 2)
  }

  /** Hands the next few bytes to `then`, for as long as that call lasts. */
  take(sizeBytes: number, then: (bytes: Buffer) => void): void {
    if (sizeBytes > scratchBytes) throw new RangeError(`${sizeBytes} bytes are not a few`)
    this.#expect({ kind: 'take', sizeBytes, then })
  }

  /** Puts the next bytes into `target`, which belongs to this socket until `then` is called. */
  fill(target: Uint8Array, then: () => void): void {
    this.#expect({ kind: 'fill', target, filledBytes: 0, then })
  }

  /** Throws the next bytes away. */
  skip(sizeBytes: number, then: () => void): void {
    this.#expect({ kind: 'skip', remainingBytes: sizeBytes, then })
  }

  /** The next few bytes, to keep. @throws what ended the connection */
  async next(sizeBytes: number): Promise<Buffer> {
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
    const stopListening = this.onOver(reject)
    this.take(sizeBytes, (bytes) => resolve(Buffer.from(bytes)))
    try {
      return await promise
    } finally {
      stopListening()
    }
  }

  /** Requests are small and few at a time: they need no back-pressure. */
  write(bytes: Uint8Array): void {
    if (this.#failure === null) this.#socket.write(bytes)
  }

  /** Ends the connection and tells everybody who waits why. The first reason stands. */
  destroy(failure: WdockError): void {
    if (this.#failure === null) {
      this.#failure = failure
      const listeners = [...this.#listeners]
      this.#listeners.clear()
      for (const listener of listeners) listener(failure)
    }
    this.#socket.destroy()
  }

  /** Says a last word, if there is room for it, and closes. @returns once the connection is closed */
  async close(lastWord: Uint8Array, failure: WdockError): Promise<void> {
    this.write(lastWord)
    this.destroy(failure)
    await this.#closed
  }

  #expect(want: Want): void {
    this.#want = want
    this.#advance()
  }

  #nextBuffer(): Uint8Array {
    const want = this.#want
    // Little is left here ever: whoever takes waits for a few bytes, and the others take all there is.
    this.#scratch.copyWithin(0, this.#start, this.#end)
    this.#end -= this.#start
    this.#start = 0
    this.#reading = want?.kind === 'fill' && this.#end === 0 ? want : null
    if (this.#reading === null) return this.#scratch.subarray(this.#end)
    return this.#reading.target.subarray(this.#reading.filledBytes)
  }

  #onRead(sizeBytes: number): boolean {
    this.#receivedBytes += sizeBytes
    if (this.#reading !== null) this.#reading.filledBytes += sizeBytes
    else this.#end += sizeBytes
    this.#advance()
    // Only before the first request can bytes come that nobody waits for; and nobody does by now.
    if (this.#end - this.#start === scratchBytes)
      this.destroy(nbdFailure('the server sent more than it was asked'))
    return this.#failure === null
  }

  /** A loop, because each answer asks for the next from within: a read can hold thousands. */
  #advance(): void {
    if (this.#advancing) return
    this.#advancing = true
    try {
      let goesOn = true
      while (goesOn) goesOn = this.#failure === null && this.#want !== null && this.#satisfied(this.#want)
    } catch (error) {
      this.destroy(isCode(error, 'disk.nbd_failed') ? error : nbdFailure(String(error), error))
    } finally {
      this.#advancing = false
    }
  }

  #satisfied(want: Want): boolean {
    const held = this.#end - this.#start
    if (want.kind === 'take') {
      if (held < want.sizeBytes) return false
      const bytes = this.#scratch.subarray(this.#start, this.#start + want.sizeBytes)
      this.#start += want.sizeBytes
      this.#want = null
      want.then(bytes)
      return true
    }
    if (want.kind === 'skip') {
      const part = Math.min(held, want.remainingBytes)
      this.#start += part
      want.remainingBytes -= part
      if (want.remainingBytes > 0) return false
    } else {
      const part = Math.min(held, want.target.length - want.filledBytes)
      want.target.set(this.#scratch.subarray(this.#start, this.#start + part), want.filledBytes)
      this.#start += part
      want.filledBytes += part
      if (want.filledBytes < want.target.length) return false
    }
    this.#want = null
    want.then()
    return true
  }
}

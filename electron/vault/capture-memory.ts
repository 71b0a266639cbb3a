/**
 * Takes a guest's memory from a unix socket to which QEMU connects once. Promises that nobody can connect a second time,
 * that the socket file is gone afterwards, and an error for a stream that was not whole. Relies on a private folder:
 * whoever can connect could bring a guest.
 */
import { rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { fail } from '../../shared/errors/index.ts'
import { fsFailure } from '../platform/atomic-file.ts'
import { parseSocket } from '../qemu/stream/parse-socket.ts'
import { type CapturedMemory, MemorySink, type MemorySinkOptions } from './memory-sink.ts'

export interface MemoryCaptureOptions extends MemorySinkOptions {
  socketPath: string
  onFirstPart: () => void
}

export class MemoryCapture {
  readonly #options: MemoryCaptureOptions
  readonly #server: Server
  readonly #done = Promise.withResolvers<CapturedMemory>()

  private constructor(options: MemoryCaptureOptions) {
    this.#options = options
    this.#server = createServer({ pauseOnConnect: true }, (socket) => this.#take(socket))
    this.#server.maxConnections = 1
    this.#done.promise.catch(() => {})
  }

  /** @returns once QEMU may connect @throws host.no_permission, host.disk_full, host.cancelled */
  static async listen(options: MemoryCaptureOptions): Promise<MemoryCapture> {
    const capture = new MemoryCapture(options)
    const { socketPath, signal } = options
    try {
      await rm(socketPath, { force: true })
      await new Promise<void>((resolve, reject) => {
        capture.#server.once('error', reject)
        capture.#server.listen(socketPath, resolve)
      })
    } catch (error) {
      throw fsFailure(error, socketPath)
    }
    const onAbort = (): void => {
      capture.#server.close()
      capture.#done.reject(fail('host.cancelled'))
    }
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    capture.#done.promise.then(
      () => signal.removeEventListener('abort', onAbort),
      () => {},
    )
    return capture
  }

  /** Resolves when all of it has been read and every page has its place. @throws qemu.bad_stream, … */
  get done(): Promise<CapturedMemory> {
    return this.#done.promise
  }

  #take(socket: Socket): void {
    this.#server.close()
    const { signal, onFirstPart } = this.#options
    const sink = new MemorySink(this.#options)
    parseSocket(socket, sink, { onFirstPart, signal }).then(
      () => this.#done.resolve(sink.result()),
      this.#done.reject,
    )
  }
}

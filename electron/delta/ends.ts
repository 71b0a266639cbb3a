/**
 * The two sockets of one end of the codec: one that comes to where it listens, and one that it goes to. Promises that
 * `ended` is settled once, when both have ended in order or with the first thing that went wrong, and that afterwards
 * both are closed. Relies on its owner to say when both have ended.
 */
import { createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { fail } from '../../shared/errors/index.ts'

export class Ends {
  /** Resolves when both sockets have ended; rejects with what broke. */
  readonly ended: Promise<void>
  readonly #over = Promise.withResolvers<void>()
  readonly #server: Server
  #sockets: readonly Duplex[] = []

  /** @param join takes the socket that comes, not yet reading */
  constructor(join: (socket: Socket) => void) {
    this.ended = this.#over.promise
    this.ended.catch(() => undefined)
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true })
    this.#server.once('connection', (socket) => {
      this.#server.close()
      join(socket)
    })
  }

  async listen(path: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(path, resolve)
    })
  }

  /** @param onEnd asks whether both have ended; called when one of them has closed in order */
  watch(sockets: readonly Duplex[], onEnd: () => void): void {
    this.#sockets = sockets
    for (const socket of sockets) {
      socket.on('error', (error: Error) => this.fail(stopped(error.message)))
      socket.on('close', () => {
        if (socket.readableEnded) onEnd()
        else this.fail(stopped('a socket was closed without an end'))
      })
    }
  }

  /** What throws in `work` ends both. */
  try(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.fail(error)
    }
  }

  /** Both have ended in order. */
  done(): void {
    this.#over.resolve()
  }

  fail(error: unknown): void {
    this.#over.reject(error)
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }
}

export const stopped = (detail: string) => fail('delta.stopped', {}, { detail })

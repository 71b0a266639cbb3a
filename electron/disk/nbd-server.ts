/**
 * Exports a read-only disk over NBD on a unix socket, for QEMU as the client (`blockdev-add driver=nbd`), which
 * lays an overlay over it and copies it with `block-stream` while the guest runs. What the disk holds comes from a
 * provider that may have to fetch it. Promises what `nbd-connection.ts` does, for a few connections at once, and
 * that `close` leaves no connection, no read under way and no socket file. Relies on a private folder: whoever can
 * connect can read.
 */
import { rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { fsFailure } from '../platform/atomic-file.ts'
import { type BlockProvider, serveConnection } from './nbd-connection.ts'

export interface NbdServerOptions {
  /** Up to 107 bytes, in a private folder. What an earlier server left there is removed. */
  socketPath: string
  /** A client may also ask for the default export, the empty name. */
  exportName: string
  provider: BlockProvider
  /**
   * Says of holes that they are not allocated, and not that they read as zeros, which they do. QEMU's `block-stream`
   * then leaves them out, ten times as fast; else it reads them and writes zero clusters. Only for a QEMU that lays
   * an overlay over this export: the standard leaves open what others make of it. Default false.
   */
  skipHoles?: boolean
  /** Told of each read that failed, for the log; the client was told of an input/output error. */
  onReadError?: (error: unknown, offset: number, lengthBytes: number) => void
  /** How long a client may take for its handshake. Default 10 s. */
  handshakeMs?: number
}

/** Further clients are sent away: a QEMU needs one connection for each node. */
const maxConnections = 8

export class NbdServer {
  readonly #server: Server
  readonly #closing = new AbortController()
  readonly #connections = new Map<Socket, Promise<void>>()

  private constructor(options: NbdServerOptions) {
    this.#server = createServer((socket) => {
      const served = serveConnection(socket, {
        provider: options.provider,
        exportName: options.exportName,
        skipHoles: options.skipHoles ?? false,
        onReadError: options.onReadError ?? (() => {}),
        handshakeMs: options.handshakeMs ?? 10_000,
        closing: this.#closing.signal,
      })
      this.#connections.set(socket, served)
      void served.then(() => this.#connections.delete(socket))
    })
    this.#server.maxConnections = maxConnections
  }

  /** @throws host.no_permission, host.disk_full, host.unexpected */
  static async listen(options: NbdServerOptions): Promise<NbdServer> {
    const { socketPath } = options
    const server = new NbdServer(options)
    try {
      await rm(socketPath, { force: true })
      await new Promise<void>((resolve, reject) => {
        server.#server.once('error', reject)
        server.#server.listen(socketPath, resolve)
      })
    } catch (error) {
      throw fsFailure(error, socketPath)
    }
    // A connection that could not be accepted is the client's to try again.
    server.#server.on('error', () => {})
    return server
  }

  /** Clients connected now. */
  get connectionCount(): number {
    return this.#connections.size
  }

  /**
   * Takes no more requests, waits up to `graceMs` for those under way, then cuts them off; their reads are aborted.
   * @returns once every connection is closed and the socket file removed. May be called again.
   */
  async close(options: { graceMs?: number } = {}): Promise<void> {
    const stopped = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#closing.abort()
    const over = new AbortController()
    const all = Promise.all(this.#connections.values()).then(() => over.abort())
    await Promise.race([all, wait(options.graceMs ?? 0, undefined, { signal: over.signal }).catch(() => {})])
    for (const socket of this.#connections.keys()) socket.destroy()
    await all
    await stopped
  }
}

/**
 * Joins a unix socket of QEMU to a channel. QEMU only ever knows sockets in a private folder; what crosses the
 * network is TLS of ours. Promises that each relay ends when either end does, and frees its socket.
 */
import { rm } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { pipeDuplex } from '../../docks/flow.ts'

export interface Relay {
  /** Bytes carried so far, both ways. */
  bytes(): number
  close(): Promise<void>
}

/**
 * Listens on `socketPath` for one connection of QEMU and joins it to `channel`.
 * @param onEnd told once when the relay has ended, with the failure or null
 */
export async function relayFromQemu(
  socketPath: string,
  channel: Duplex,
  onEnd: (error: unknown) => void,
): Promise<Relay> {
  await rm(socketPath, { force: true })
  const server = createServer({ allowHalfOpen: true })
  let joined: Socket | null = null
  server.once('connection', (socket) => {
    joined = socket
    server.close()
    joinSockets(socket, channel, onEnd)
  })
  channel.once('error', onEnd)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(socketPath, resolve)
  })
  return {
    bytes: () => (joined === null ? 0 : joined.bytesRead + joined.bytesWritten),
    close: async () => {
      server.close()
      joined?.destroy()
      channel.destroy()
      await rm(socketPath, { force: true })
    },
  }
}

/** Connects to a socket on which QEMU listens and joins it to `channel`. */
export async function relayToQemu(
  socketPath: string,
  channel: Duplex,
  onEnd: (error: unknown) => void,
): Promise<Relay> {
  const socket = connect({ path: socketPath, allowHalfOpen: true })
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  })
  joinSockets(socket, channel, onEnd)
  return {
    bytes: () => socket.bytesRead + socket.bytesWritten,
    close: async () => {
      socket.destroy()
      channel.destroy()
    },
  }
}

function joinSockets(socket: Socket, channel: Duplex, onEnd: (error: unknown) => void): void {
  pipeDuplex(socket, channel).then(
    () => onEnd(null),
    (error: unknown) => onEnd(error),
  )
}

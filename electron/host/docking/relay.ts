/**
 * Joins a unix socket of QEMU to a channel. QEMU only ever knows sockets in a private folder; what crosses the
 * network is TLS of ours. Promises that each relay ends when either end does, and frees its socket.
 */
import { rm } from 'node:fs/promises'
import { createServer, Socket } from 'node:net'
import type { Joint } from '../../docks/joint.ts'

export interface Relay {
  /** Bytes carried so far, both ways. */
  bytes(): number
  close(): Promise<void>
}

/** Listens on `socketPath` for one connection of QEMU and hands it to the joint. */
export async function relayFromQemu(socketPath: string, joint: Joint): Promise<Relay> {
  await rm(socketPath, { force: true })
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true })
  server.once('connection', (socket) => {
    server.close()
    joint.join(socket)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(socketPath, resolve)
  })
  return {
    bytes: () => joint.bytes(),
    close: async () => {
      server.close()
      joint.destroy()
      await rm(socketPath, { force: true })
    },
  }
}

/** Connects to a socket on which QEMU listens and hands it to the joint. */
export async function relayToQemu(socketPath: string, joint: Joint): Promise<Relay> {
  const socket = new Socket({ allowHalfOpen: true }).pause()
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
    socket.connect(socketPath)
  })
  joint.join(socket)
  return {
    bytes: () => joint.bytes(),
    close: async () => joint.destroy(),
  }
}

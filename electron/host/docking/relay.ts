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

/** A connection of QEMU, accepted or awaited, from which nothing is read until it is joined. */
export interface HeldQemu {
  join(joint: Joint): Relay
  close(): Promise<void>
}

/** Listens on `socketPath` for one connection of QEMU. */
export async function holdQemu(socketPath: string): Promise<HeldQemu> {
  await rm(socketPath, { force: true })
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true })
  let held: Socket | null = null
  let joined: Joint | null = null
  server.once('connection', (socket) => {
    server.close()
    held = socket.on('error', () => undefined)
    joined?.join(socket)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(socketPath, resolve)
  })
  const close = async (): Promise<void> => {
    server.close()
    if (joined === null) held?.destroy()
    else joined.destroy()
    await rm(socketPath, { force: true })
  }
  return {
    join: (joint) => {
      joined = joint
      if (held !== null) joint.join(held)
      return { bytes: () => joint.bytes(), close }
    },
    close,
  }
}

/** Listens on `socketPath` for one connection of QEMU and hands it to the joint. */
export async function relayFromQemu(socketPath: string, joint: Joint): Promise<Relay> {
  return (await holdQemu(socketPath)).join(joint)
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

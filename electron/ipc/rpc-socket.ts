/**
 * Calls over one WebSocket. Promises that a slow reader slows its own answers only: the next event of a
 * stream is taken when the last one has left, so that events wait where they are counted (`watch-queue`).
 */
import type { WebSocket } from 'ws'
import type { HostRouter } from './router.ts'
import { createPeerServer } from './rpc-peer.ts'

/** RFC 6455, section 7.4.1: data of a kind that is not accepted, and data that does not fit its kind. */
const closeNotText = 1003
const closeBadMessage = 1007

/** Bytes that may wait in a socket before the next message is held back until they have left. */
const freeBytes = 64 * 1024

/** @returns a function that serves the router on a WebSocket until it closes. */
export function createSocketServer(router: HostRouter): (socket: WebSocket) => void {
  const servePeer = createPeerServer(router)
  return (socket) => {
    const peer = servePeer({
      send: (message) => sendWithPressure(socket, message),
      drop: () => socket.close(closeBadMessage),
    })
    socket.on('message', (data: Buffer, isBinary) => {
      if (isBinary) socket.close(closeNotText)
      else peer.receive(data.toString('utf8'))
    })
    socket.once('close', () => peer.closed())
  }
}

function sendWithPressure(socket: WebSocket, message: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.send(message, (error) => {
      if (error) reject(error)
      else resolve()
    })
    if (socket.bufferedAmount < freeBytes) resolve()
  })
}

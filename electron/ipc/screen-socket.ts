/**
 * A guest's screen over one WebSocket: bytes both ways with back-pressure. When one end closes or breaks, so
 * does the other.
 */
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream'
import { createWebSocketStream, type WebSocket } from 'ws'

/** Joins the two until either ends. */
export function bridgeScreen(socket: WebSocket, screen: Duplex): void {
  const bytes = createWebSocketStream(socket)
  socket.once('close', () => screen.destroy())
  screen.once('close', () => bytes.end())
  // An end that broke has destroyed the other one; there is nobody to tell.
  pipeline(bytes, screen, bytes, () => {})
}

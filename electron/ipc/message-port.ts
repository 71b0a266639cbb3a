/**
 * The contract over an Electron MessagePort. Promises the same calls as over the WebSocket; the calls of a
 * port end when it closes. Relies on the caller to have checked who sent the port.
 */
import type { HostRouter } from './router.ts'
import { createPeerServer } from './rpc-peer.ts'

/** What is used of Electron's `MessagePortMain`, so that nothing here needs Electron. */
export interface PortLike {
  on(event: 'message', listener: (event: { data: unknown }) => void): unknown
  on(event: 'close', listener: () => void): unknown
  start(): void
  close(): void
  postMessage(message: unknown): void
}

/** @returns a function that serves the router on a port and starts the port. */
export function createPortServer(router: HostRouter): (port: PortLike) => void {
  const servePeer = createPeerServer(router)
  return (port) => {
    const drop = (): void => {
      peer.closed()
      port.close()
    }
    const peer = servePeer({ send: (message) => port.postMessage(message), drop })
    port.on('message', ({ data }) => {
      if (typeof data === 'string') peer.receive(data)
      else drop()
    })
    port.on('close', () => peer.closed())
    port.start()
  }
}

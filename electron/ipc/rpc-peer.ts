/**
 * Calls over anything that carries text messages: a WebSocket or an Electron MessagePort. Promises that a message
 * which is not one of ours closes the connection and harms nothing else, and that all calls of a connection
 * end with it.
 */
import { RPCHandler } from '@orpc/server/websocket'
import type { HostRouter } from './router.ts'

/** One connection as the server sees it. */
export interface PeerLink {
  /** Resolves when there is room for the next message: streams wait for it. */
  send(message: string): Promise<void> | void
  /** Called after a message that makes no sense, or when sending failed. */
  drop(): void
}

export interface Peer {
  receive(message: string): void
  closed(): void
}

/** @returns a function that starts to serve the router to one connection. */
export function createPeerServer(router: HostRouter): (link: PeerLink) => Peer {
  const handler = new RPCHandler(router)
  return (link) => {
    const peer = {
      send: (message: unknown) => link.send(textOf(message)),
      addEventListener: () => {},
    }
    return {
      receive(message) {
        handler.message(peer, message).catch(() => link.drop())
      },
      closed() {
        handler.close(peer)
      },
    }
  }
}

/** oRPC makes binary messages of files and blobs only, and the contract has none. */
function textOf(message: unknown): string {
  if (typeof message === 'string') return message
  throw new TypeError('the contract has no binary values')
}

/**
 * The two ways to the host. In Electron's window a MessagePort is handed to the preload script, which passes it
 * to the main process; in a browser a WebSocket goes to the address the page came from, opened by a token.
 * Relies on the preload announcing itself as `window.wdock`.
 */
import { RPCLink as PortLink } from '@orpc/client/message-port'
import { RPCLink as SocketLink } from '@orpc/client/websocket'
import { fail } from '../../shared/errors/index.ts'
import type { OpenTransport, Transport } from './connection.ts'

export function isElectron(): boolean {
  return 'wdock' in window
}

export const electronTransport: Transport = {
  async open() {
    const { port1, port2 } = new MessageChannel()
    const closed = new Promise<void>((resolve) => {
      port1.addEventListener('close', () => resolve())
    })
    const link = new PortLink({ port: port1 })
    port1.start()
    window.postMessage({ type: 'wdock:port' }, window.location.origin, [port2])
    return { link, closed, close: () => port1.close() }
  },
}

const openTimeoutMs = 5000

/** @param token the secret that the page was opened with */
export function socketTransport(token: string | null): Transport {
  return {
    async open() {
      if (token === null) throw fail('host.out_of_touch')
      const address = new URL('rpc', window.location.href)
      address.protocol = window.location.protocol === 'https:' ? 'wss:' : 'ws:'
      address.search = new URLSearchParams({ token }).toString()
      address.hash = ''
      const socket = new WebSocket(address)
      await opened(socket)
      const closed = new Promise<void>((resolve) => {
        socket.addEventListener('close', () => resolve(), { once: true })
      })
      return {
        link: new SocketLink({ websocket: socket }),
        closed,
        close: () => socket.close(),
      } satisfies OpenTransport
    },
  }
}

function opened(socket: WebSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => socket.close(), openTimeoutMs)
    socket.addEventListener('open', () => {
      clearTimeout(timer)
      resolve()
    })
    socket.addEventListener('close', () => {
      clearTimeout(timer)
      reject(fail('host.out_of_touch'))
    })
  })
}

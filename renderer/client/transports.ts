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
const probeTimeoutMs = 2000

/** @param token the secret that the page was opened with */
export function socketTransport(token: string | null): Transport {
  return {
    async open() {
      if (token === null) throw fail('host.page_refused')
      const address = new URL('rpc', window.location.href)
      address.protocol = window.location.protocol === 'https:' ? 'wss:' : 'ws:'
      address.search = new URLSearchParams({ token }).toString()
      address.hash = ''
      const socket = new WebSocket(address)
      if (!(await opened(socket)))
        throw fail((await hostServes()) ? 'host.page_refused' : 'host.out_of_touch')
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

function opened(socket: WebSocket): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => socket.close(), openTimeoutMs)
    const settle = (isOpen: boolean): void => {
      clearTimeout(timer)
      resolve(isOpen)
    }
    socket.addEventListener('open', () => settle(true))
    socket.addEventListener('close', () => settle(false))
  })
}

/** A browser hides why a WebSocket failed; whether anybody is there at all, plain HTTP tells. */
async function hostServes(): Promise<boolean> {
  const probe = fetch(new URL('/', window.location.href), {
    method: 'HEAD',
    cache: 'no-store',
    signal: AbortSignal.timeout(probeTimeoutMs),
  })
  return await probe.then(
    () => true,
    () => false,
  )
}

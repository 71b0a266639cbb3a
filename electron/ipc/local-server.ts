/**
 * The host for browsers and programs of this PC: HTTP and WebSocket on 127.0.0.1. Serves the page, calls
 * under `/rpc` and guest screens under `/screen/<ticket>`. Promises that nothing but the page's own files is
 * given without token or ticket, that foreign origins and other users get nothing, and that what one client
 * can hold is limited. Relies on a `HostService`.
 */
import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fail } from '../../shared/errors/index.ts'
import { systemErrorCode } from '../platform/atomic-file.ts'
import { type Log, silentLog } from '../platform/log.ts'
import { type GuardOptions, isOwnHost } from './guards.ts'
import { writeHostFile } from './host-file.ts'
import { isOwnUser } from './peer-user.ts'
import { createHostRouter, type HostRouter } from './router.ts'
import type { HostService } from './service.ts'
import { type ServerLimits, SocketDoors } from './socket-doors.ts'
import { answer, serveFile, setSecurityHeaders } from './static-files.ts'

export interface LocalServerOptions {
  service: HostService
  /** The folder of the built page; null serves calls and screens only. */
  pageDir: string | null
  /** Where `host.json` goes; null writes none. */
  runtimeDir: string | null
  /** Default 0: the system chooses. */
  port?: number
  /** Origins besides our own that may connect, as `app://wdock`. */
  extraOrigins?: readonly string[]
  log?: Log
  /** Called after a face has asked the host to quit and has had the answer. */
  onQuit?: () => void
  limits?: Partial<ServerLimits>
}

const defaultLimits: ServerLimits = {
  messageBytes: 1024 * 1024,
  sockets: 64,
  connections: 128,
  waitingEvents: 512,
  silenceMs: 30_000,
}

export interface LocalServer {
  /** `http://127.0.0.1:<port>/` */
  url: string
  /** The address that opens the page: the token travels in the fragment, which browsers don't send. */
  pageUrl: string
  /** `ws://127.0.0.1:<port>` */
  screenOrigin: string
  token: string
  /** The same router, for a MessagePort. */
  router: HostRouter
  /** Ends all connections and removes `host.json`. */
  close(): Promise<void>
}

/** @throws host.port_in_use, host.no_permission, host.disk_full */
export async function startLocalServer(options: LocalServerOptions): Promise<LocalServer> {
  const limits = { ...defaultLimits, ...options.limits }
  const server = createServer({ headersTimeout: 10_000, requestTimeout: 30_000, maxHeaderSize: 8192 })
  server.maxConnections = limits.connections
  const port = await listen(server, options.port ?? 0)
  const token = randomBytes(32).toString('base64url')
  const screenOrigin = `ws://127.0.0.1:${port}`
  const router = createHostRouter(options.service, {
    screenOrigin: () => screenOrigin,
    maxWaitingEvents: limits.waitingEvents,
    onQuit: options.onQuit,
  })
  const guard: GuardOptions = { port, token, extraOrigins: options.extraOrigins ?? [] }
  const doors = new SocketDoors({
    service: options.service,
    log: options.log ?? silentLog,
    limits,
    guard,
    router,
  })
  server.on('request', (request, response) => void serveRequest(request, response, port, options))
  server.on('upgrade', (request, socket, head) => void doors.upgrade(request, socket, head))
  const url = `http://127.0.0.1:${port}/`
  const removeFile = await register(server, options.runtimeDir, { url, token })
  return {
    url,
    pageUrl: `${url}#token=${token}`,
    screenOrigin,
    token,
    router,
    close: async () => {
      await removeFile()
      await doors.close()
      await closeServer(server)
    },
  }
}

async function serveRequest(
  request: IncomingMessage,
  response: ServerResponse,
  port: number,
  options: LocalServerOptions,
): Promise<void> {
  if (!(await isOwnUser(request.socket))) {
    request.socket.destroy()
  } else if (isOwnHost(request, port)) {
    await serveFile(request, response, options.pageDir)
  } else {
    setSecurityHeaders(request, response)
    answer(response, 421, 'This server answers to 127.0.0.1 only.')
  }
}

async function listen(server: Server, port: number): Promise<number> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ host: '127.0.0.1', port }, resolve)
    })
  } catch (error) {
    if (systemErrorCode(error) === 'EADDRINUSE') throw fail('host.port_in_use', { port }, { cause: error })
    throw error
  }
  return (server.address() as AddressInfo).port
}

async function register(server: Server, runtimeDir: string | null, address: { url: string; token: string }) {
  if (runtimeDir === null) return async () => {}
  try {
    return await writeHostFile(runtimeDir, address)
  } catch (error) {
    await closeServer(server)
    throw error
  }
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

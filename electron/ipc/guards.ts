/**
 * Who may talk to the local server. A page of a foreign site can make a browser connect to 127.0.0.1, even
 * under a name that it points there (DNS rebinding): so the Host header must name this server, an Origin must
 * be ours, and calls need the token. Pure functions over what a request says.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

export interface GuardOptions {
  port: number
  token: string
  /** Origins besides our own, as `app://wdock` of the Electron window. */
  extraOrigins: readonly string[]
}

/** The Host header names 127.0.0.1 or localhost and our port. */
export function isOwnHost(request: IncomingMessage, port: number): boolean {
  const { host } = request.headers
  return host === `127.0.0.1:${port}` || host === `localhost:${port}`
}

/** No Origin (not a browser), our own, or one that we were told to accept. */
export function isOwnOrigin(request: IncomingMessage, options: GuardOptions): boolean {
  const { origin } = request.headers
  if (origin === undefined) return true
  // The page's own origin is the one under which it was loaded: Host has been checked before.
  return origin === `http://${request.headers.host}` || options.extraOrigins.includes(origin)
}

/** The token stands in `?token=` (a browser's WebSocket can't send headers) or as a bearer token. */
export function presentsToken(request: IncomingMessage, token: string): boolean {
  const bearer = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1]
  const given = bearer ?? addressOf(request)?.searchParams.get('token') ?? ''
  // Hashes have one length and give nothing away by the time that comparing takes.
  return timingSafeEqual(digest(given), digest(token))
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/** The request's target as an address; null when it is malformed. */
export function addressOf(request: IncomingMessage): URL | null {
  const target = request.url ?? '/'
  return target.startsWith('/') ? URL.parse(`http://localhost${target}`) : null
}

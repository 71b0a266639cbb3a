/**
 * Serves the built page under `app://wdock/`. Promises that nothing outside the page's folder can be read, that
 * every answer carries the content security policy, and that the page can reach one thing only: the local
 * server that carries the screens of guests. Relies on a folder that nobody else writes to.
 */
import { readFile } from 'node:fs/promises'
import { extname, join, sep } from 'node:path'
import type { Protocol } from 'electron'
import { appHost, appScheme } from './app-origin.ts'

export interface AppProtocolOptions {
  /** The folder of the built page. */
  rootDir: string
  /** Origin of the screens' WebSocket, `ws://127.0.0.1:<port>`. */
  screenOrigin: string
}

const contentTypes: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.json': 'application/json',
  '.woff2': 'font/woff2',
}

/** Must be called before Electron is ready. */
export function registerAppScheme(protocol: Protocol): void {
  protocol.registerSchemesAsPrivileged([
    { scheme: appScheme, privileges: { standard: true, secure: true, supportFetchAPI: true } },
  ])
}

/** Serves the page from now on. Call once, when Electron is ready. */
export function serveApp(protocol: Protocol, options: AppProtocolOptions): void {
  const headers = securityHeaders(options.screenOrigin)
  protocol.handle(appScheme, async (request) => {
    if (request.method !== 'GET') return new Response(null, { status: 405, headers })
    const file = resolveAppFile(options.rootDir, request.url)
    const type = file === null ? undefined : contentTypes[extname(file)]
    if (file === null || type === undefined) return new Response('Not found', { status: 404, headers })
    try {
      const content = new Uint8Array(await readFile(file))
      return new Response(content, { headers: { ...headers, 'content-type': type } })
    } catch {
      return new Response('Not found', { status: 404, headers })
    }
  })
}

/** The file that an address names, or null when it is not one of the page's. */
export function resolveAppFile(rootDir: string, address: string): string | null {
  if (!URL.canParse(address)) return null
  const url = new URL(address)
  if (url.protocol !== `${appScheme}:` || url.host !== appHost) return null
  let path: string
  try {
    path = decodeURIComponent(url.pathname)
  } catch {
    return null
  }
  if (path.includes('\0') || path.includes('\\')) return null
  if (path === '' || path === '/') path = '/index.html'
  const file = join(rootDir, path)
  return file.startsWith(rootDir.endsWith(sep) ? rootDir : rootDir + sep) ? file : null
}

export function securityHeaders(screenOrigin: string): Record<string, string> {
  return {
    'content-security-policy': contentSecurityPolicy(screenOrigin),
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'cache-control': 'no-store',
  }
}

/** @param screenOrigin the only place the page may connect to */
export function contentSecurityPolicy(screenOrigin: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data: blob:",
    "font-src 'self'",
    `connect-src ${screenOrigin}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}

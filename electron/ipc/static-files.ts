/**
 * Serves the built page. Promises that only plain files inside the folder are ever read, that every answer
 * carries the security headers, and that the page may load and reach nothing but this server.
 */
import { createReadStream } from 'node:fs'
import { realpath, stat } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { extname, join, sep } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { addressOf } from './guards.ts'

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
}

/** What the page may do, as a Content-Security-Policy. @param host the Host header, checked before */
export function pagePolicy(host: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    `connect-src 'self' ws://${host}`,
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}

/** Headers of every answer, errors included. */
export function setSecurityHeaders(request: IncomingMessage, response: ServerResponse): void {
  const headers = {
    'Content-Security-Policy': pagePolicy(request.headers.host ?? ''),
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Permissions-Policy': 'camera=(), microphone=(), geolocation=(), usb=(), serial=()',
  }
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
}

/** Answers one request from `folder`; null stands for a page that has not been built. */
export async function serveFile(
  request: IncomingMessage,
  response: ServerResponse,
  folder: string | null,
): Promise<void> {
  setSecurityHeaders(request, response)
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD')
    return answer(response, 405, 'Only GET and HEAD are served here.')
  }
  if (folder === null) return answer(response, 404, 'The page has not been built. Run: npm run build')
  const file = await findFile(folder, addressOf(request)?.pathname ?? null)
  if (file === null) return answer(response, 404, 'There is no such page.')
  response.statusCode = 200
  response.setHeader('Content-Type', types[extname(file.path)] ?? 'application/octet-stream')
  response.setHeader('Content-Length', file.sizeBytes)
  // Names under assets/ carry a hash of their content; the page itself must always be asked for.
  const cache = file.name.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-store'
  response.setHeader('Cache-Control', cache)
  if (request.method === 'HEAD') response.end()
  else await pipeline(createReadStream(file.path), response).catch(() => response.destroy())
}

/** A short answer in plain text. */
export function answer(response: ServerResponse, status: number, sentence: string): void {
  response.statusCode = status
  response.setHeader('Content-Type', 'text/plain; charset=utf-8')
  response.setHeader('Cache-Control', 'no-store')
  response.end(`${sentence}\n`)
}

interface FoundFile {
  name: string
  path: string
  sizeBytes: number
}

async function findFile(folder: string, pathname: string | null): Promise<FoundFile | null> {
  const name = decodedName(pathname)
  if (name === null) return null
  try {
    const inside = await realpath(folder)
    // Links are followed first, so that what is compared is the file that would be read.
    const path = await realpath(join(inside, name))
    const found = await stat(path)
    if (!path.startsWith(inside + sep) || !found.isFile()) return null
    return { name, path, sizeBytes: found.size }
  } catch {
    return null
  }
}

function decodedName(pathname: string | null): string | null {
  if (pathname === null) return null
  let name: string
  try {
    name = decodeURIComponent(pathname)
  } catch {
    return null
  }
  if (name.includes('\0') || name.includes('\\') || /(^|\/)\.\.?(\/|$)/.test(name)) return null
  return name === '/' ? '/index.html' : name
}

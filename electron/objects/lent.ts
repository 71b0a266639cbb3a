/**
 * What the holder of a link can do: read objects below its address, with the address's query as the only credential.
 * Plain GET (RFC 9110), so that any store that serves signed addresses can lend. The address is a stranger's: it is
 * https or of this PC, no redirect is followed, nothing is read beyond the limit of a call, and of a refusal only its
 * status and code. Each call is one try; `retryingLent` repeats.
 */
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { fail } from '../../shared/errors/index.ts'
import { systemErrorCode } from '../platform/atomic-file.ts'
import { systemClock } from '../platform/clock.ts'
import { readAddress } from './addresses.ts'
import { type Connections, openConnections } from './connections.ts'
import { checkName } from './names.ts'
import type { CallOptions, LentObjects } from './object-store.ts'
import { connectionError, type RefusedBy, refusalError } from './refusals.ts'
import type { TryOptions } from './tries.ts'

export interface LentOptions {
  /** Names a proxy. */
  env?: NodeJS.ProcessEnv
}

/** @throws store.bad_address, store.https_needed; nothing is sent yet */
export function openLent(address: string, options: LentOptions = {}): LentObjects {
  return new HttpLent(readAddress(address), openConnections(options.env ?? process.env))
}

class HttpLent implements LentObjects {
  readonly #address: URL
  readonly #connections: Connections

  constructor(address: URL, connections: Connections) {
    this.#address = address
    this.#connections = connections
  }

  get(name: string, limitBytes: number, options: TryOptions = {}): Promise<Buffer | null> {
    return this.#read(name, options, {}, (answer) => {
      const sizeBytes = lengthOf(answer)
      if (answer.statusCode !== 200 || sizeBytes === null) return 'unusable'
      if (sizeBytes > limitBytes) return 'too-big'
      options.onSize?.(sizeBytes)
      return sizeBytes
    })
  }

  getRange(
    name: string,
    offsetBytes: number,
    lengthBytes: number,
    options: CallOptions = {},
  ): Promise<Buffer | null> {
    // A range of nothing cannot be asked for; one byte tells whether the object is there.
    const last = offsetBytes + Math.max(lengthBytes, 1) - 1
    const range = lengthBytes === 0 ? 'bytes=0-0' : `bytes=${offsetBytes}-${last}`
    return this.#read(name, options, { range }, (answer) => {
      if (lengthBytes === 0) return 0
      if (answer.statusCode === 416) return 'short'
      if (answer.statusCode !== 206) return 'unusable'
      return lengthOf(answer) === lengthBytes ? lengthBytes : 'short'
    })
  }

  close(): void {
    this.#connections.close()
  }

  async #read(
    name: string,
    options: CallOptions,
    headers: Record<string, string>,
    judge: (answer: IncomingMessage) => number | 'too-big' | 'short' | 'unusable',
  ): Promise<Buffer | null> {
    checkName(name)
    options.signal?.throwIfAborted()
    try {
      const answer = await this.#ask(name, headers, options.signal)
      try {
        return await this.#take(name, answer, judge)
      } finally {
        answer.destroy()
      }
    } catch (error) {
      options.signal?.throwIfAborted()
      const code = systemErrorCode(error)
      // Coded ones have codes of ours, with a dot.
      if (code?.includes('.')) throw error
      throw connectionError(code ?? '', error instanceof Error ? error.message : '', this.#by(name))
    }
  }

  async #take(
    name: string,
    answer: IncomingMessage,
    judge: (answer: IncomingMessage) => number | 'too-big' | 'short' | 'unusable',
  ): Promise<Buffer | null> {
    const status = answer.statusCode ?? 0
    const code = header(answer, 'x-ms-error-code')
    if (status === 404 && code === 'BlobNotFound') return null
    if (status === 401 || status === 403 || status === 404) {
      throw fail('store.link_dead', {}, { detail: `HTTP ${status} ${code ?? ''}`.trim() })
    }
    const size = status < 300 || status === 416 ? judge(answer) : 'unusable'
    if (size === 'too-big') throw fail('store.too_big', { name })
    if (size === 'short') throw fail('store.short_read', { name })
    if (size === 'unusable') {
      const refusal = {
        status,
        code,
        retryAfter: header(answer, 'retry-after'),
        date: header(answer, 'date'),
      }
      throw refusalError(
        { ...refusal, detail: answer.statusMessage ?? '' },
        this.#by(name),
        systemClock.nowMs(),
      )
    }
    return readBody(answer, size)
  }

  #ask(
    name: string,
    headers: Record<string, string>,
    signal: AbortSignal | undefined,
  ): Promise<IncomingMessage> {
    const url = new URL(this.#address)
    url.hash = ''
    url.pathname = `${url.pathname.replace(/\/+$/, '')}/${name}`
    const isHttps = url.protocol === 'https:'
    const agent = isHttps ? this.#connections.https : this.#connections.http
    const options = { agent, headers, ...(signal ? { signal } : {}) }
    return new Promise((resolve, reject) => {
      const request: ClientRequest = (isHttps ? httpsRequest : httpRequest)(url, options, resolve)
      request.once('error', reject)
      request.end()
    })
  }

  #by(name: string): RefusedBy {
    const { host } = this.#address
    const place = 'the place of the link'
    return { place, host, account: host, container: host, auth: 'sas', accessEndsMs: null, name }
  }
}

function header(answer: IncomingMessage, name: string): string | null {
  const value = answer.headers[name]
  return typeof value === 'string' ? value : null
}

function lengthOf(answer: IncomingMessage): number | null {
  const text = header(answer, 'content-length')
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null
}

async function readBody(answer: IncomingMessage, sizeBytes: number): Promise<Buffer> {
  const body = Buffer.allocUnsafe(sizeBytes)
  let done = 0
  if (sizeBytes === 0) return body
  for await (const chunk of answer as AsyncIterable<Buffer>) done += chunk.copy(body, done)
  if (done === sizeBytes) return body
  throw Object.assign(new Error(`${done} of ${sizeBytes} bytes`), { code: 'ECONNRESET' })
}

/**
 * The Azure SDK as we use it: one try a call, no redirects, connections of our own, and every failure coded. Knows
 * nothing of stores. A failure keeps neither the SDK's error nor its request, for these hold keys and signatures.
 */
import {
  AnonymousCredential,
  BlobServiceClient,
  ContainerClient,
  newPipeline,
  type Pipeline,
  RestError,
  type StoragePipelineOptions,
  StorageSharedKeyCredential,
} from '@azure/storage-blob'
import { fail, WdockError } from '../../../shared/errors/index.ts'
import type { Clock } from '../../platform/clock.ts'
import { type Connections, openConnections } from '../connections.ts'
import type { CallOptions } from '../object-store.ts'
import { connectionError, firstLine, type Refusal, type RefusedBy, refusalError } from '../refusals.ts'
import { type AzurePlace, sentenceOf } from './access.ts'

export interface AzureClientOptions {
  clock: Pick<Clock, 'nowMs'>
  env: NodeJS.ProcessEnv
}

export class AzureClient {
  readonly place: AzurePlace
  readonly sentence: string
  /** Null where access is by SAS: nothing can be signed. */
  readonly credential: StorageSharedKeyCredential | null
  readonly #clock: Pick<Clock, 'nowMs'>
  readonly #connections: Connections
  readonly #pipeline: Pipeline
  readonly #accessEndsMs: number | null

  constructor(place: AzurePlace, options: AzureClientOptions) {
    this.place = place
    this.sentence = sentenceOf(place)
    this.#clock = options.clock
    this.#connections = openConnections(options.env)
    const { auth } = place
    this.credential = auth.kind === 'key' ? new StorageSharedKeyCredential(place.account, auth.key) : null
    this.#pipeline = makePipeline(this.credential ?? new AnonymousCredential(), this.#connections)
    this.#accessEndsMs = auth.kind === 'sas' ? expiryOf(auth.query) : null
  }

  container(name: string): ContainerClient {
    const { serviceUrl, auth } = this.place
    const query = auth.kind === 'sas' ? `?${auth.query}` : ''
    return new ContainerClient(`${serviceUrl}/${name}${query}`, this.#pipeline)
  }

  service(): BlobServiceClient {
    return new BlobServiceClient(this.place.serviceUrl, this.#pipeline)
  }

  /** One request. `name` is the object it is about, for sentences. @throws coded errors, or the signal's reason */
  async ask<T>(name: string, options: CallOptions, request: () => Promise<T>): Promise<T> {
    options.signal?.throwIfAborted()
    try {
      return await request()
    } catch (error) {
      options.signal?.throwIfAborted()
      throw this.#failure(error, name)
    }
  }

  close(): void {
    this.#connections.close()
  }

  #failure(error: unknown, name: string): WdockError {
    if (error instanceof WdockError) return error
    const by: RefusedBy = {
      ...{ place: this.sentence, host: new URL(this.place.serviceUrl).host, name },
      ...{ account: this.place.account, container: this.place.container },
      ...{ auth: this.place.auth.kind, accessEndsMs: this.#accessEndsMs },
    }
    const refusal = refusalOf(error)
    if (refusal !== null) return refusalError(refusal, by, this.#clock.nowMs())
    const { code, message } =
      error instanceof Error ? (error as RestError) : { code: '', message: String(error) }
    return connectionError(code ?? '', message, by)
  }
}

/** The answer in an error of the SDK; null where there was none. */
export function refusalOf(error: unknown): Refusal | null {
  if (!(error instanceof RestError) || error.statusCode === undefined) return null
  const headers = error.response?.headers
  return {
    status: error.statusCode,
    code: headers?.get('x-ms-error-code') ?? error.code ?? null,
    retryAfter: headers?.get('retry-after') ?? null,
    date: headers?.get('date') ?? null,
    detail: firstLine(error.message),
  }
}

/** @throws store.bad_address where a service did not say what time it is */
export function serviceDateMs(date: string | undefined, host: string): number {
  const ms = Date.parse(date ?? '')
  if (Number.isNaN(ms)) throw fail('store.bad_address', { address: host })
  return ms
}

/** A signal as the SDK wants it. */
export type Aborting = { abortSignal?: AbortSignal }

export function abortBy(options: CallOptions): Aborting {
  return options.signal ? { abortSignal: options.signal } : {}
}

/** The SDK takes other views apart into copies. */
export function asBuffer(body: Uint8Array): Buffer {
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength)
}

function makePipeline(
  credential: StorageSharedKeyCredential | AnonymousCredential,
  connections: Connections,
): Pipeline {
  // The SDK hands what it does not know on to its core, which would follow redirects otherwise.
  const options: StoragePipelineOptions & { redirectOptions: { maxRetries: number } } = {
    retryOptions: { maxTries: 1 },
    redirectOptions: { maxRetries: 0 },
  }
  const pipeline = newPipeline(credential, options)
  pipeline.factories.push({
    create: (next) => ({
      sendRequest: (request) => {
        request.agent = request.url.startsWith('https:') ? connections.https : connections.http
        return next.sendRequest(request)
      },
    }),
  })
  return pipeline
}

/** `se` of a SAS; absent where a stored access policy says it. */
function expiryOf(query: string): number | null {
  const ms = Date.parse(new URLSearchParams(query).get('se') ?? '')
  return Number.isNaN(ms) ? null : ms
}

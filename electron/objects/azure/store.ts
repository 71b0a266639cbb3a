/**
 * A store in a container of Azure Blob storage, or of anything that speaks its protocol. Promises what
 * object-store.ts does, one try a call. An object is one Put Blob, whole or not at all; `putNew` is `If-None-Match: *`.
 * A container that is missing is made by the first write where the access allows it, and counts as empty until then.
 */
import { Readable } from 'node:stream'
import { fail, isCode } from '../../../shared/errors/index.ts'
import { type Clock, systemClock } from '../../platform/clock.ts'
import { checkName, checkPrefix } from '../names.ts'
import type { CallOptions, Lending, ObjectInfo } from '../object-store.ts'
import { joinPages, type ListPage, type TryOptions, type TryStore } from '../tries.ts'
import { type AzureAccess, readAccess } from './access.ts'
import { type Aborting, AzureClient, abortBy, asBuffer, refusalOf, serviceDateMs } from './client.ts'
import { AzureLending } from './lending.ts'

export interface AzureOptions {
  clock?: Clock
  /** Names a proxy. */
  env?: NodeJS.ProcessEnv
  /** How many names a page of a list has. Default 2000, a fraction of what the service allows. */
  pageSize?: number
}

/** @throws what `readAccess` does; nothing is sent yet */
export function openAzure(access: AzureAccess, options: AzureOptions = {}): TryStore {
  const place = readAccess(access)
  const client = new AzureClient(place, {
    clock: options.clock ?? systemClock,
    env: options.env ?? process.env,
  })
  return new AzureStore(client, options)
}

/** That a name is taken is an answer, whatever the service calls it. */
const takenCodes: ReadonlySet<string> = new Set([
  'BlobAlreadyExists',
  'ConditionNotMet',
  'UnauthorizedBlobOverwrite',
])

class AzureStore implements TryStore {
  readonly sentence: string
  readonly settleMs = 0
  readonly lending: Lending | null
  readonly #client: AzureClient
  readonly #pageSize: number
  readonly #mayCreate: boolean
  /** Once it was there, a missing container is a loss, not an empty place. */
  #seen = false

  constructor(client: AzureClient, options: AzureOptions) {
    const { auth } = client.place
    this.sentence = client.sentence
    this.lending =
      client.credential && new AzureLending(client, client.credential, options.clock ?? systemClock)
    this.#client = client
    this.#pageSize = options.pageSize ?? 2000
    this.#mayCreate = auth.kind === 'key' || auth.covers === 'account'
  }

  put(name: string, body: Uint8Array, options: CallOptions = {}): Promise<void> {
    checkName(name)
    return this.#write(name, options, async (signal) => {
      await this.#blob(name).upload(asBuffer(body), body.length, signal)
    })
  }

  putNew(name: string, body: Uint8Array, options: CallOptions = {}): Promise<boolean> {
    checkName(name)
    return this.#write(name, options, async (signal) => {
      const conditions = { ifNoneMatch: '*' }
      try {
        await this.#blob(name).upload(asBuffer(body), body.length, { ...signal, conditions })
        return true
      } catch (error) {
        if (takenCodes.has(refusalOf(error)?.code ?? '')) return false
        throw error
      }
    })
  }

  get(name: string, limitBytes: number, options: TryOptions = {}): Promise<Buffer | null> {
    return this.#read(name, options, async (signal) => {
      const answer = await this.#blob(name).download(0, undefined, { ...signal, maxRetryRequests: 0 })
      const sizeBytes = answer.contentLength ?? 0
      const stream = asReadable(answer.readableStreamBody)
      if (sizeBytes > limitBytes) {
        stream.destroy()
        throw fail('store.too_big', { name })
      }
      options.onSize?.(sizeBytes)
      return readAll(stream, sizeBytes)
    })
  }

  getRange(
    name: string,
    offsetBytes: number,
    lengthBytes: number,
    options: CallOptions = {},
  ): Promise<Buffer | null> {
    return this.#read(name, options, async (signal) => {
      // A range of nothing cannot be asked for.
      if (lengthBytes === 0) {
        const { contentLength = 0 } = await this.#blob(name).getProperties(signal)
        if (contentLength < offsetBytes) throw fail('store.short_read', { name })
        return Buffer.alloc(0)
      }
      const answer = await this.#blob(name).download(offsetBytes, lengthBytes, {
        ...signal,
        maxRetryRequests: 0,
      })
      const stream = asReadable(answer.readableStreamBody)
      if (answer.contentLength !== lengthBytes) {
        stream.destroy()
        throw fail('store.short_read', { name })
      }
      return readAll(stream, lengthBytes)
    })
  }

  list(prefix: string, options: CallOptions = {}): AsyncIterable<ObjectInfo> {
    return joinPages((token) => this.listPage(prefix, token, options))
  }

  async listPage(prefix: string, token: string | null, options: CallOptions = {}): Promise<ListPage> {
    checkPrefix(prefix)
    const page = await this.#orEmpty(() =>
      this.#client.ask('', options, async () => {
        const pages = this.#container()
          .listBlobsFlat({ prefix, ...abortBy(options) })
          .byPage({ maxPageSize: this.#pageSize, ...(token === null ? {} : { continuationToken: token }) })
        const { done, value } = await pages.next()
        return done ? null : value
      }),
    )
    if (page === null) return { objects: [], next: null }
    const objects = page.segment.blobItems.map(({ name, properties }) => ({
      name,
      sizeBytes: properties.contentLength ?? 0,
      writtenAtMs: properties.lastModified.getTime(),
    }))
    return { objects, next: page.continuationToken || null }
  }

  async remove(name: string, options: CallOptions = {}): Promise<void> {
    checkName(name)
    await this.#orEmpty(() =>
      this.#client.ask(name, options, () =>
        this.#blob(name).delete({ deleteSnapshots: 'include', ...abortBy(options) }),
      ),
    )
  }

  /** Of whole seconds, as the times in lists are. Any answer carries it, also that an object is not there. */
  async nowMs(options: CallOptions = {}): Promise<number> {
    const { host } = new URL(this.#client.place.serviceUrl)
    return this.#client.ask('', options, async () => {
      try {
        const { date } = await this.#blob('vault.json').getProperties(abortBy(options))
        return serviceDateMs(date?.toISOString(), host)
      } catch (error) {
        const refusal = refusalOf(error)
        if (refusal?.status !== 404) throw error
        return serviceDateMs(refusal.date ?? undefined, host)
      }
    })
  }

  close(): void {
    this.#client.close()
  }

  #container() {
    return this.#client.container(this.#client.place.container)
  }

  #blob(name: string) {
    return this.#container().getBlockBlobClient(name)
  }

  async #read(
    name: string,
    options: CallOptions,
    request: (signal: Aborting) => Promise<Buffer>,
  ): Promise<Buffer | null> {
    checkName(name)
    return this.#orEmpty(() => this.#client.ask(name, options, () => request(abortBy(options))))
  }

  /** @returns null when the object is not there, nor, before the first write, the container */
  async #orEmpty<T>(ask: () => Promise<T>): Promise<T | null> {
    try {
      const value = await ask()
      this.#seen = true
      return value
    } catch (error) {
      if (isCode(error, 'store.missing')) {
        this.#seen = true
        return null
      }
      if (isCode(error, 'store.no_container') && this.#mayCreate && !this.#seen) return null
      throw error
    }
  }

  async #write<T>(name: string, options: CallOptions, request: (signal: Aborting) => Promise<T>): Promise<T> {
    const ask = () => this.#client.ask(name, options, () => request(abortBy(options)))
    try {
      const value = await ask()
      this.#seen = true
      return value
    } catch (error) {
      if (!isCode(error, 'store.no_container') || !this.#mayCreate || this.#seen) throw error
    }
    await this.#client.ask('', options, () => this.#container().createIfNotExists(abortBy(options)))
    const value = await ask()
    this.#seen = true
    return value
  }
}

function asReadable(body: NodeJS.ReadableStream | undefined): Readable {
  if (!(body instanceof Readable)) throw new TypeError('an answer without a body')
  return body
}

/** @throws store.cut when the connection ends before `sizeBytes` have come */
async function readAll(stream: Readable, sizeBytes: number): Promise<Buffer> {
  const body = Buffer.allocUnsafe(sizeBytes)
  let done = 0
  try {
    for await (const chunk of stream) {
      if (!Buffer.isBuffer(chunk) || done + chunk.length > sizeBytes)
        throw new TypeError('too long an answer')
      done += chunk.copy(body, done)
    }
  } catch (error) {
    throw Object.assign(new Error(`after ${done} of ${sizeBytes} bytes: ${String(error)}`), {
      code: 'ECONNRESET',
    })
  }
  if (done === sizeBytes) return body
  throw Object.assign(new Error(`after ${done} of ${sizeBytes} bytes`), { code: 'ECONNRESET' })
}

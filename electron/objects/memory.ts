/**
 * A store in memory, for tests and models: what object-store.ts promises, at once and by a clock that a test can
 * turn. Links are kept by the object as well; `lent` opens one as its receiver would.
 */
import { fail } from '../../shared/errors/index.ts'
import { type Clock, systemClock } from '../platform/clock.ts'
import { checkName, checkPrefix } from './names.ts'
import type { CallOptions, Lending, LendSpan, LentObjects, ObjectInfo } from './object-store.ts'
import { joinPages, type ListPage, type TryOptions, type TryStore } from './tries.ts'

export interface MemoryStoreOptions {
  clock?: Pick<Clock, 'nowMs'>
  settleMs?: number
  /** How many names a page of a list has. Default 1000. */
  pageSize?: number
}

interface Kept {
  body: Buffer
  writtenAtMs: number
}

const linkScheme = 'memory:'

export class MemoryStore implements TryStore {
  readonly sentence = 'the memory of this program'
  readonly settleMs: number
  readonly lending: Lending
  /** What is kept, by name: tests may look at it and damage it. */
  readonly objects = new Map<string, Kept>()
  /** What is lent, by share id. */
  readonly shares = new Map<string, { span: LendSpan; objects: Map<string, Buffer> }>()
  readonly #clock: Pick<Clock, 'nowMs'>
  readonly #pageSize: number

  constructor(options: MemoryStoreOptions = {}) {
    this.#clock = options.clock ?? systemClock
    this.settleMs = options.settleMs ?? 0
    this.#pageSize = options.pageSize ?? 1000
    this.lending = new MemoryLending(this)
  }

  async put(name: string, body: Uint8Array, options: CallOptions = {}): Promise<void> {
    await begin(name, options)
    this.objects.set(name, { body: Buffer.from(body), writtenAtMs: this.#clock.nowMs() })
  }

  async putNew(name: string, body: Uint8Array, options: CallOptions = {}): Promise<boolean> {
    await begin(name, options)
    if (this.objects.has(name)) return false
    this.objects.set(name, { body: Buffer.from(body), writtenAtMs: this.#clock.nowMs() })
    return true
  }

  async get(name: string, limitBytes: number, options: TryOptions = {}): Promise<Buffer | null> {
    await begin(name, options)
    return wholeOf(name, this.objects.get(name)?.body, limitBytes)
  }

  async getRange(
    name: string,
    offsetBytes: number,
    lengthBytes: number,
    options: CallOptions = {},
  ): Promise<Buffer | null> {
    await begin(name, options)
    return rangeOf(name, this.objects.get(name)?.body, offsetBytes, lengthBytes)
  }

  list(prefix: string, options: CallOptions = {}): AsyncIterable<ObjectInfo> {
    return joinPages((token) => this.listPage(prefix, token, options))
  }

  async listPage(prefix: string, token: string | null, options: CallOptions = {}): Promise<ListPage> {
    checkPrefix(prefix)
    await nextTurn(options)
    const names = [...this.objects.keys()].filter((name) => name.startsWith(prefix)).sort()
    const from = token === null ? 0 : names.findIndex((name) => name > token)
    const page = from < 0 ? [] : names.slice(from, from + this.#pageSize)
    const objects = page.flatMap((name) => {
      const kept = this.objects.get(name)
      return kept ? [{ name, sizeBytes: kept.body.length, writtenAtMs: kept.writtenAtMs }] : []
    })
    const last = page.at(-1)
    return { objects, next: last === undefined || last === names.at(-1) ? null : last }
  }

  async remove(name: string, options: CallOptions = {}): Promise<void> {
    await begin(name, options)
    this.objects.delete(name)
  }

  async nowMs(options: CallOptions = {}): Promise<number> {
    await nextTurn(options)
    return this.#clock.nowMs()
  }

  /** What the holder of a link can do. Fails as a link does that is not yet valid, has expired or was revoked. */
  lent(address: string): LentObjects {
    const share = () => {
      const found = this.shares.get(address.slice(linkScheme.length))
      const nowMs = this.#clock.nowMs()
      const good = found && nowMs >= (found.span.startMs ?? 0) && nowMs < (found.span.endMs ?? Infinity)
      if (!good) throw fail('store.link_dead')
      return found
    }
    return {
      get: async (name, limitBytes, options = {}) => {
        await begin(name, options)
        return wholeOf(name, share().objects.get(name), limitBytes)
      },
      getRange: async (name, offsetBytes, lengthBytes, options = {}) => {
        await begin(name, options)
        return rangeOf(name, share().objects.get(name), offsetBytes, lengthBytes)
      },
      close: () => {},
    }
  }

  close(): void {}
}

class MemoryLending implements Lending {
  readonly #store: MemoryStore

  constructor(store: MemoryStore) {
    this.#store = store
  }

  async open(shareId: string, span: LendSpan, options: CallOptions = {}): Promise<{ address: string }> {
    await nextTurn(options)
    const objects = this.#store.shares.get(shareId)?.objects ?? new Map()
    this.#store.shares.set(shareId, { span, objects })
    return { address: `${linkScheme}${shareId}` }
  }

  async put(shareId: string, name: string, body: Uint8Array, options: CallOptions = {}): Promise<void> {
    await begin(name, options)
    const share = this.#store.shares.get(shareId)
    if (!share) throw fail('store.share_gone')
    share.objects.set(name, Buffer.from(body))
  }

  async copy(shareId: string, name: string, options: CallOptions = {}): Promise<void> {
    await begin(name, options)
    const source = this.#store.objects.get(name)
    if (!source) throw fail('store.missing', { name })
    await this.put(shareId, name, source.body, options)
  }

  async revoke(shareId: string, options: CallOptions = {}): Promise<void> {
    await nextTurn(options)
    this.#store.shares.delete(shareId)
  }

  async *list(options: CallOptions = {}): AsyncGenerator<{ shareId: string; span: LendSpan }> {
    await nextTurn(options)
    for (const [shareId, { span }] of [...this.#store.shares]) yield { shareId, span }
  }
}

async function begin(name: string, options: CallOptions): Promise<void> {
  checkName(name)
  await nextTurn(options)
}

/** A call never answers in the turn of its caller, as no real store does. */
async function nextTurn(options: CallOptions): Promise<void> {
  options.signal?.throwIfAborted()
  await Promise.resolve()
  options.signal?.throwIfAborted()
}

function wholeOf(name: string, body: Buffer | undefined, limitBytes: number): Buffer | null {
  if (!body) return null
  if (body.length > limitBytes) throw fail('store.too_big', { name })
  return Buffer.from(body)
}

function rangeOf(name: string, body: Buffer | undefined, offset: number, length: number): Buffer | null {
  if (!body) return null
  if (offset + length > body.length) throw fail('store.short_read', { name })
  return Buffer.from(body.subarray(offset, offset + length))
}

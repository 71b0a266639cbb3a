/**
 * A store whose failures stay: the wrapper of `retry.ts` around every call of a store, of its lending and of a
 * link that was received. What it promises and relies on is said there.
 */
import { isCode } from '../../shared/errors/index.ts'
import type { CallOptions, Lending, LendSpan, LentObjects, ObjectInfo, ObjectStore } from './object-store.ts'
import { Retrier, type RetryOptions, type StoreCall } from './retry.ts'
import { joinPages, type TryOptions, type TryStore } from './tries.ts'

/** What a page of a list may weigh: 2000 names of about 900 bytes of XML. */
const listPageBytes = 2_000_000
/** A copy on the server carries nothing from here, but takes the server its time. */
const serverCopyBytes = 2_000_000

/** `store`, tried until its failures stay. Closing it closes `store`. */
export function retrying(store: TryStore, options: RetryOptions = {}): ObjectStore {
  return new RetryingStore(store, new Retrier(options))
}

/** The same for a link that was received. */
export function retryingLent(lent: LentObjects, options: RetryOptions = {}): LentObjects {
  const retrier = new Retrier(options)
  const place = 'the place of the link'
  return {
    get: (name, limitBytes, { signal } = {}) =>
      retrier.run({
        ...{ call: { kind: 'get', name }, sizeBytes: 0, signal, place },
        attempt: (tryOptions) => lent.get(name, limitBytes, tryOptions),
      }),
    getRange: (name, offsetBytes, lengthBytes, { signal } = {}) =>
      retrier.run({
        ...{ call: { kind: 'getRange', name }, sizeBytes: lengthBytes, signal, place },
        attempt: (tryOptions) => lent.getRange(name, offsetBytes, lengthBytes, tryOptions),
      }),
    close: () => lent.close(),
  }
}

class RetryingStore implements ObjectStore {
  readonly sentence: string
  readonly settleMs: number
  readonly lending: Lending | null
  readonly #store: TryStore
  readonly #retrier: Retrier
  /** Begins a sentence. */
  readonly #place: string

  constructor(store: TryStore, retrier: Retrier) {
    this.sentence = store.sentence
    this.settleMs = store.settleMs
    this.lending = store.lending && new RetryingLending(store.lending, retrier, store.sentence)
    this.#store = store
    this.#retrier = retrier
    this.#place = store.sentence
  }

  #run<T>(
    call: StoreCall,
    sizeBytes: number,
    options: CallOptions | undefined,
    attempt: (options: TryOptions, failedBefore: boolean) => Promise<T>,
  ): Promise<T> {
    return this.#retrier.run({ call, sizeBytes, signal: options?.signal, place: this.#place, attempt })
  }

  put(name: string, body: Uint8Array, options?: CallOptions): Promise<void> {
    return this.#run({ kind: 'put', name }, body.length, options, (tryOptions) =>
      this.#store.put(name, body, tryOptions),
    )
  }

  /**
   * An earlier try may have been carried out although its answer was lost, and then finds the name taken. Equal
   * bytes count as its own: names that are decided by who came first carry sealed bytes, of which no two are alike,
   * or nothing.
   */
  putNew(name: string, body: Uint8Array, options?: CallOptions): Promise<boolean> {
    return this.#run({ kind: 'putNew', name }, body.length, options, async (tryOptions, failedBefore) => {
      if (await this.#store.putNew(name, body, tryOptions)) return true
      return failedBefore && (await this.#holds(name, body, tryOptions))
    })
  }

  async #holds(name: string, body: Uint8Array, options: TryOptions): Promise<boolean> {
    try {
      const there = await this.#store.get(name, body.length, options)
      return there?.equals(body) ?? false
    } catch (error) {
      if (isCode(error, 'store.too_big')) return false
      throw error
    }
  }

  get(name: string, limitBytes: number, options?: CallOptions): Promise<Buffer | null> {
    return this.#run({ kind: 'get', name }, 0, options, (tryOptions) =>
      this.#store.get(name, limitBytes, tryOptions),
    )
  }

  getRange(
    name: string,
    offsetBytes: number,
    lengthBytes: number,
    options?: CallOptions,
  ): Promise<Buffer | null> {
    return this.#run({ kind: 'getRange', name }, lengthBytes, options, (tryOptions) =>
      this.#store.getRange(name, offsetBytes, lengthBytes, tryOptions),
    )
  }

  /** Tried page by page: what was told is not told again. */
  list(prefix: string, options?: CallOptions): AsyncIterable<ObjectInfo> {
    return joinPages((token) =>
      this.#run({ kind: 'list', name: prefix }, listPageBytes, options, (tryOptions) =>
        this.#store.listPage(prefix, token, tryOptions),
      ),
    )
  }

  remove(name: string, options?: CallOptions): Promise<void> {
    return this.#run({ kind: 'remove', name }, 0, options, (tryOptions) =>
      this.#store.remove(name, tryOptions),
    )
  }

  nowMs(options?: CallOptions): Promise<number> {
    return this.#run({ kind: 'nowMs', name: '' }, 0, options, (tryOptions) => this.#store.nowMs(tryOptions))
  }

  close(): void {
    this.#store.close()
  }
}

class RetryingLending implements Lending {
  readonly #lending: Lending
  readonly #retrier: Retrier
  readonly #place: string

  constructor(lending: Lending, retrier: Retrier, place: string) {
    this.#lending = lending
    this.#retrier = retrier
    this.#place = place
  }

  #run<T>(
    call: StoreCall,
    sizeBytes: number,
    options: CallOptions | undefined,
    attempt: (options: TryOptions) => Promise<T>,
  ): Promise<T> {
    return this.#retrier.run({ call, sizeBytes, signal: options?.signal, place: this.#place, attempt })
  }

  open(shareId: string, span: LendSpan, options?: CallOptions): Promise<{ address: string }> {
    return this.#run({ kind: 'lending', name: shareId }, 0, options, (tryOptions) =>
      this.#lending.open(shareId, span, tryOptions),
    )
  }

  put(shareId: string, name: string, body: Uint8Array, options?: CallOptions): Promise<void> {
    return this.#run({ kind: 'put', name }, body.length, options, (tryOptions) =>
      this.#lending.put(shareId, name, body, tryOptions),
    )
  }

  copy(shareId: string, name: string, options?: CallOptions): Promise<void> {
    return this.#run({ kind: 'put', name }, serverCopyBytes, options, (tryOptions) =>
      this.#lending.copy(shareId, name, tryOptions),
    )
  }

  revoke(shareId: string, options?: CallOptions): Promise<void> {
    return this.#run({ kind: 'lending', name: shareId }, 0, options, (tryOptions) =>
      this.#lending.revoke(shareId, tryOptions),
    )
  }

  async *list(options?: CallOptions): AsyncGenerator<{ shareId: string; span: LendSpan }> {
    yield* await this.#run({ kind: 'lending', name: '' }, listPageBytes, options, async (tryOptions) => {
      const all: { shareId: string; span: LendSpan }[] = []
      for await (const share of this.#lending.list(tryOptions)) all.push(share)
      return all
    })
  }
}

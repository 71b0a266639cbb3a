/**
 * What a place that keeps objects owes `retry.ts` beyond the contract: each call is one try, a list comes in pages,
 * and a failure that may pass can say for how long the store asked to be left alone.
 */
import type { CallOptions, ObjectInfo, ObjectStore } from './object-store.ts'

export interface TryOptions extends CallOptions {
  /** Told how much is coming, as soon as a store knows: a large object may take longer than a small one. */
  onSize?: (sizeBytes: number) => void
}

export interface ListPage {
  objects: ObjectInfo[]
  /** Where the next page begins; null after the last. */
  next: string | null
}

/** A store whose calls are single tries. */
export interface TryStore extends ObjectStore {
  get(name: string, limitBytes: number, options?: TryOptions): Promise<Buffer | null>
  /** One page of a list. `token` is `next` of the page before it, null at first. */
  listPage(prefix: string, token: string | null, options?: CallOptions): Promise<ListPage>
}

/** The cause of a coded error: the store asked for a pause (Retry-After, RFC 9110 section 10.2.3). */
export class AskedToWait extends Error {
  readonly waitMs: number

  constructor(waitMs: number) {
    super(`asked to wait ${waitMs} ms`)
    this.name = 'AskedToWait'
    this.waitMs = waitMs
  }
}

/** The pages of a list one after the other. */
export async function* joinPages(
  readPage: (token: string | null) => Promise<ListPage>,
): AsyncGenerator<ObjectInfo, void, undefined> {
  let token: string | null = null
  do {
    const page: ListPage = await readPage(token)
    yield* page.objects
    token = page.next
  } while (token !== null)
}

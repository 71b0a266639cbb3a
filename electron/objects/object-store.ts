/**
 * What a vault needs of a place that keeps objects, so that another provider is one file. Names are
 * `/`-separated, of lower-case letters, digits, `-`, `.`; a name never changes its meaning. Bodies are whole in
 * memory: nothing larger than a pack (16 MiB) and a manifest (64 MiB) is ever written.
 *
 * Every method fails with a coded error of `shared/errors/store-errors.ts` and nothing else; a try that may
 * succeed later has been repeated by the wrapper in `retry.ts` before a caller sees it.
 */

/** What a list tells of an object. */
export interface ObjectInfo {
  name: string
  sizeBytes: number
  /** By the store's clock, milliseconds since 1970. */
  writtenAtMs: number
}

export interface CallOptions {
  /** Ends the call with the signal's reason. */
  signal?: AbortSignal
}

export interface ObjectStore {
  /** Where objects are kept, for people: "the folder /media/usb/wdock", "the container x of the account y". */
  readonly sentence: string
  /** How long a write may take to be seen by a list from elsewhere. 0 where lists are always up to date. */
  readonly settleMs: number
  /** What is needed to lend; null where a store cannot. */
  readonly lending: Lending | null

  /** Writes an object, whole or not at all, over an older one. Durable when it resolves. */
  put(name: string, body: Uint8Array, options?: CallOptions): Promise<void>
  /** Writes an object if the name is free. Of several at once exactly one is told `true`. */
  putNew(name: string, body: Uint8Array, options?: CallOptions): Promise<boolean>
  /** The whole of an object; null when there is none. @throws store.too_big when longer than `limitBytes` */
  get(name: string, limitBytes: number, options?: CallOptions): Promise<Buffer | null>
  /** Exactly `lengthBytes` from `offsetBytes`; null when there is no object. @throws store.short_read when it is too short */
  getRange(
    name: string,
    offsetBytes: number,
    lengthBytes: number,
    options?: CallOptions,
  ): Promise<Buffer | null>
  /** Objects whose name begins with `prefix`, in no promised order; all that were written before the call. */
  list(prefix: string, options?: CallOptions): AsyncIterable<ObjectInfo>
  /** Removes an object. Nothing happens when there is none. */
  remove(name: string, options?: CallOptions): Promise<void>
  /** The store's clock: other PCs' clocks may be wrong. */
  nowMs(options?: CallOptions): Promise<number>
  /** Lets go of connections. */
  close(): void
}

/** A span in which a link is good; null is "at once" and "for ever". */
export interface LendSpan {
  startMs: number | null
  endMs: number | null
}

/** Places of their own for what is lent, each readable by its link and by nothing else. */
export interface Lending {
  /** Makes the place of a share and its link at once, before anything is in it. */
  open(shareId: string, span: LendSpan, options?: CallOptions): Promise<{ address: string }>
  /** Writes into a share's place. */
  put(shareId: string, name: string, body: Uint8Array, options?: CallOptions): Promise<void>
  /** Copies an object of this store into a share's place, on the server. */
  copy(shareId: string, name: string, options?: CallOptions): Promise<void>
  /** Takes the link back: nothing can be read with it any more (Azure: within 30 s). */
  revoke(shareId: string, options?: CallOptions): Promise<void>
  /** What is lent through this store now, by anyone. */
  list(options?: CallOptions): AsyncIterable<{ shareId: string; span: LendSpan }>
}

/** What the holder of a link can do: read single objects by name. */
export interface LentObjects {
  get(name: string, limitBytes: number, options?: CallOptions): Promise<Buffer | null>
  getRange(
    name: string,
    offsetBytes: number,
    lengthBytes: number,
    options?: CallOptions,
  ): Promise<Buffer | null>
  close(): void
}

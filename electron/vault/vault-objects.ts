/**
 * The sealed objects of a vault: read and written under their names, and the two things that need care. *Decided once*:
 * a name that its owner and others may put, of whom the first counts for ever. *Fence*: an object with nothing in it.
 * Promises that what is returned was sealed under that name, and named errors for everything else.
 */
import { type ErrorCode, fail, isCode, WdockError } from '../../shared/errors/index.ts'
import type { CallOptions, ObjectInfo, ObjectStore } from '../objects/object-store.ts'
import { idIn, type Prefix } from './names.ts'
import type { ObjectCache } from './object-cache.ts'
import type { ObjectSealer } from './sealed.ts'

/** Seals an object under its name, and opens it under no other. */
export type Sealer = Pick<ObjectSealer, 'seal' | 'open'>

const nothing = Buffer.alloc(0)

/** An object by its id. */
export interface IdInfo extends ObjectInfo {
  id: string
  /** It has nothing in it. */
  isFence: boolean
}

/** Whether an object was there but is damaged or newer: what a store that does not answer never says. */
export function isUnreadable(error: unknown): error is WdockError {
  return error instanceof WdockError && unreadable.has(error.code)
}

const unreadable: ReadonlySet<string> = new Set<ErrorCode>([
  'vault.bad_manifest',
  'vault.damaged_object',
  'vault.newer_object',
])

/** The longest sealed object of a payload: zstd adds less than 1 % to what it cannot compress. */
function sealedLimit(payloadBytes: number): number {
  return payloadBytes + Math.ceil(payloadBytes / 100) + 1024
}

export class VaultObjects {
  readonly store: ObjectStore
  readonly #sealer: Sealer
  readonly #cache: ObjectCache | null

  /** @param cache where objects that never change are kept on this PC, as they are */
  constructor(store: ObjectStore, sealer: Sealer, cache: ObjectCache | null = null) {
    this.store = store
    this.#sealer = sealer
    this.#cache = cache
  }

  seal(name: string, payload: Buffer): Buffer {
    return this.#sealer.seal(name, payload)
  }

  /** @throws vault.damaged_object, vault.newer_object */
  open(name: string, sealed: Buffer, limitBytes: number): Buffer {
    return this.#sealer.open(name, sealed, limitBytes)
  }

  /**
   * The payload of an object; null when there is none, or a fence.
   * @param limitBytes of the payload
   * @throws vault.damaged_object, vault.newer_object, and what the store throws
   */
  async read(name: string, limitBytes: number, options?: CallOptions): Promise<Buffer | null> {
    const sealed = await this.#get(name, limitBytes, options)
    return sealed === null || sealed.length === 0 ? null : this.open(name, sealed, limitBytes)
  }

  /** As `read`, for an object that never changes: from this PC where it was read before. */
  async readKept(name: string, limitBytes: number, options?: CallOptions): Promise<Buffer | null> {
    const kept = await this.#cache?.get(name)
    if (kept) {
      try {
        return this.open(name, kept, limitBytes)
      } catch {
        // What is on this PC was damaged: the store has it.
      }
    }
    const sealed = await this.#get(name, limitBytes, options)
    if (sealed === null || sealed.length === 0) return null
    const payload = this.open(name, sealed, limitBytes)
    await this.#cache?.put(name, sealed)
    return payload
  }

  /** Forgets what is kept on this PC of a kind, but of these. */
  async keepOnly(prefix: Prefix, ids: ReadonlySet<string>): Promise<void> {
    await this.#cache?.keepOnly(prefix, ids)
  }

  /** Writes an object over an older one. @returns how long it is, sealed */
  async write(name: string, payload: Buffer, options?: CallOptions): Promise<number> {
    const sealed = this.seal(name, payload)
    await this.store.put(name, sealed, options)
    return sealed.length
  }

  /** Puts a name that is decided once. @returns whether this was the first, and how long it is, sealed */
  async decide(
    name: string,
    payload: Buffer,
    options?: CallOptions,
  ): Promise<{ isFirst: boolean; sealedBytes: number }> {
    const sealed = this.seal(name, payload)
    return { isFirst: await this.store.putNew(name, sealed, options), sealedBytes: sealed.length }
  }

  /** Puts a fence on a name that is decided once. @returns whether its owner can never put it any more */
  async fence(name: string, options?: CallOptions): Promise<boolean> {
    if (await this.store.putNew(name, nothing, options)) return true
    return (await this.decided(name, options)) === 'closed'
  }

  /** Empties a name for ever: what it held is gone, and no late writer can bring it back. */
  async close(name: string, options?: CallOptions): Promise<void> {
    await this.store.put(name, nothing, options)
  }

  /** What has become of a name that is decided once. Asks for the object: a list may lag behind. */
  async decided(name: string, options?: CallOptions): Promise<'open' | 'closed' | 'content'> {
    try {
      return (await this.store.get(name, 0, options)) === null ? 'open' : 'closed'
    } catch (error) {
      if (isCode(error, 'store.too_big')) return 'content'
      throw error
    }
  }

  /** How long an object is, as it is stored; null when there is none. */
  async sizeOf(name: string, options?: CallOptions): Promise<number | null> {
    for await (const info of this.store.list(name, options)) if (info.name === name) return info.sizeBytes
    return null
  }

  /**
   * All objects of a kind, fences too, by their ids.
   * @param unknown told of names that have no id: something that this program does not know
   */
  async list(
    prefix: Prefix,
    options?: CallOptions,
    unknown: (name: string) => void = () => {},
  ): Promise<IdInfo[]> {
    const found: IdInfo[] = []
    for await (const info of this.store.list(prefix, options)) {
      const id = idIn(prefix, info.name)
      if (id === null) unknown(info.name)
      else found.push({ ...info, id, isFence: info.sizeBytes === 0 })
    }
    return found
  }

  /** A length that no sealed object has is damage as well. */
  async #get(name: string, limitBytes: number, options?: CallOptions): Promise<Buffer | null> {
    try {
      return await this.store.get(name, sealedLimit(limitBytes), options)
    } catch (error) {
      if (!isCode(error, 'store.too_big') && !isCode(error, 'store.short_read')) throw error
      throw fail('vault.damaged_object', { name }, { detail: error.message, cause: error })
    }
  }
}

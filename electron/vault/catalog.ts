/**
 * The checkpoints of a vault as people see them, put together from summaries, labels and what checks have found. Promises
 * that everything that is listed in the vault is shown, what cannot be read too, as damaged; that a second list asks the
 * store for names only; and that a failure of the store fails the list rather than shortening it.
 */
import { fail, isCode, type WdockError } from '../../shared/errors/index.ts'
import type { Checkpoint, CheckpointLabel } from '../../shared/models/checkpoint.ts'
import type { CallOptions } from '../objects/object-store.ts'
import { type DigestEntry, readDigest, writeDigest } from './catalog-digest.ts'
import { decodeLabel, encodeLabel } from './codec/label.ts'
import { limits } from './codec/limits.ts'
import type { Manifest } from './codec/manifest.ts'
import { decodeSummary, type Summary, type SummaryHead } from './codec/summary.ts'
import { decodeVerified, type Verified } from './codec/verified.ts'
import { damagedHead, summaryOfManifest } from './manifest-summary.ts'
import { type Prefix, prefixes } from './names.ts'
import type { ObjectCache } from './object-cache.ts'
import type { OpenVault } from './open-vault.ts'
import { forEachParallel } from './parallel.ts'
import { readManifest } from './reader.ts'
import { type IdInfo, isUnreadable } from './vault-objects.ts'

/** Reads at once. */
const lanes = 16
/** What was written so shortly before could be written again in the same instant of the store's clock. */
const youngMs = 5_000

/** What was changed or found after a checkpoint was made. */
export interface Later {
  label?: CheckpointLabel | null
  verified?: Verified | null
}

/** A checkpoint from its summary and what was changed or found later. */
export function checkpointOf(summary: Summary, place: Checkpoint['place'], later: Later = {}): Checkpoint {
  return shownAs(summary.head, summary.picture !== null, place, later)
}

function shownAs(
  head: SummaryHead,
  hasPicture: boolean,
  place: Checkpoint['place'],
  { label, verified }: Later,
): Checkpoint {
  const { version: _, lentUntilMs: __, label: firstLabel, ...shown } = head
  const error = verified?.error ?? null
  return {
    ...shown,
    label: label ?? firstLabel,
    hasPicture,
    verifiedAtMs: error === null ? (verified?.atMs ?? null) : null,
    place: error === null ? place : { kind: 'damaged', error },
  }
}

/** What is listed, and when. */
interface Listing {
  atMs: number
  labels: ReadonlyMap<string, IdInfo>
  verified: ReadonlyMap<string, IdInfo>
}

export class Catalog {
  readonly #vault: OpenVault
  readonly #cache: ObjectCache | null
  #entries: Map<string, DigestEntry> | null = null

  /** @param cache the one that `vault.objects` has, for what a list needs; null for none */
  constructor(vault: OpenVault, cache: ObjectCache | null = null) {
    this.#vault = vault
    this.#cache = cache
  }

  /** All that are listed, newest first. @throws what the store throws */
  async list(options: CallOptions = {}): Promise<Checkpoint[]> {
    const { objects, store } = this.#vault
    const before = await this.#before()
    const [atMs, decided, labels, verified] = await Promise.all([
      store.nowMs(options),
      objects.list(prefixes.checkpoints, options),
      this.#byId(prefixes.labels, options),
      this.#byId(prefixes.verified, options),
    ])
    const listing = { atMs, labels, verified }
    const entries = new Map<string, DigestEntry>()
    const found: Checkpoint[] = []
    const present = decided.filter(({ isFence }) => !isFence)
    await forEachParallel(present, lanes, async (info) => {
      try {
        const entry = await this.#entry(info.id, before.get(info.id), listing, options)
        // Null: it was deleted since it was listed.
        if (entry === null) return
        entries.set(info.id, entry)
        found.push(ofEntry(entry))
      } catch (error) {
        if (!isUnreadable(error)) throw error
        found.push(damaged(info.id, info.writtenAtMs, error))
      }
    })
    await this.#remember(before, entries)
    return found.sort((a, b) => b.atMs - a.atMs || (a.id < b.id ? -1 : 1))
  }

  /** @throws vault.checkpoint_missing, what the store throws */
  async one(id: string, options: CallOptions = {}): Promise<Checkpoint> {
    const { objects, store } = this.#vault
    if ((await objects.decided(prefixes.checkpoints + id, options)) !== 'content') {
      throw fail('vault.checkpoint_missing')
    }
    const label = await this.labelOf(id, options)
    const verified = await this.#readSmall(prefixes.verified + id, decodeVerified, options)
    try {
      const found = await this.#readHead(id, options)
      if (found === null) throw fail('vault.checkpoint_missing')
      return shownAs(found.head, found.hasPicture, { kind: 'vault' }, { label, verified })
    } catch (error) {
      if (!isUnreadable(error)) throw error
      return damaged(id, await store.nowMs(options), error)
    }
  }

  /** The picture of a checkpoint, PNG; null where there is none, or it cannot be read. @throws what the store throws */
  async picture(id: string, options: CallOptions = {}): Promise<Buffer | null> {
    return (await this.#readSummary(id, options))?.picture ?? null
  }

  /** What it was changed to; null while nobody changed it. */
  async labelOf(id: string, options: CallOptions = {}): Promise<CheckpointLabel | null> {
    return await this.#readSmall(prefixes.labels + id, decodeLabel, options)
  }

  /** Of two PCs that change a label at once, the later one counts. */
  async writeLabel(id: string, label: CheckpointLabel, options: CallOptions = {}): Promise<void> {
    await this.#vault.objects.write(prefixes.labels + id, encodeLabel(label), options)
  }

  /** @throws vault.checkpoint_missing, vault.bad_manifest, vault.damaged_object, vault.newer_object */
  async manifest(id: string, options: CallOptions = {}): Promise<Manifest> {
    return await readManifest(this.#vault, id, options)
  }

  async #before(): Promise<Map<string, DigestEntry>> {
    this.#entries ??= this.#cache ? await readDigest(this.#vault.objects, this.#cache) : new Map()
    return this.#entries
  }

  async #byId(prefix: Prefix, options: CallOptions): Promise<Map<string, IdInfo>> {
    const listed = await this.#vault.objects.list(prefix, options)
    return new Map(listed.map((info) => [info.id, info]))
  }

  async #entry(
    id: string,
    before: DigestEntry | undefined,
    listing: Listing,
    options: CallOptions,
  ): Promise<DigestEntry | null> {
    const found = before ?? (await this.#readHead(id, options))
    if (found === null) return null
    const label = await this.#changing(listing.labels.get(id), before?.label, listing, (name) =>
      this.#readSmall(name, decodeLabel, options),
    )
    const verified = await this.#changing(listing.verified.get(id), before?.verified, listing, (name) =>
      this.#readSmall(name, decodeVerified, options),
    )
    return { id, head: found.head, hasPicture: found.hasPicture, label, verified }
  }

  /** What was read before where it still stands; null where there is none, or it cannot be read. */
  async #changing<T>(
    info: IdInfo | undefined,
    before: { writtenAtMs: number; sizeBytes: number; value: T } | null | undefined,
    { atMs }: Listing,
    read: (name: string) => Promise<T | null>,
  ): Promise<{ writtenAtMs: number; sizeBytes: number; value: T } | null> {
    if (info === undefined) return null
    const { name, writtenAtMs, sizeBytes } = info
    if (before && before.writtenAtMs === writtenAtMs && before.sizeBytes === sizeBytes) return before
    const value = await read(name)
    // Noted under a time that no list will show, it is read again.
    const notedMs = atMs - writtenAtMs < youngMs ? -1 : writtenAtMs
    return value === null ? null : { writtenAtMs: notedMs, sizeBytes, value }
  }

  /**
   * From the summary; where that is missing or damaged, from the manifest, which has all but the picture.
   * @returns null when the checkpoint is gone
   */
  async #readHead(
    id: string,
    options: CallOptions,
  ): Promise<{ head: SummaryHead; hasPicture: boolean } | null> {
    const summary = await this.#readSummary(id, options)
    if (summary !== null) return { head: summary.head, hasPicture: summary.picture !== null }
    try {
      return { head: summaryOfManifest(await this.manifest(id, options)), hasPicture: false }
    } catch (error) {
      if (isCode(error, 'vault.checkpoint_missing')) return null
      throw error
    }
  }

  /** Null when there is none, and when it cannot be read: it is no loss but of a picture. */
  async #readSummary(id: string, options: CallOptions): Promise<Summary | null> {
    const { objects, log } = this.#vault
    const name = prefixes.summaries + id
    try {
      const payload = await objects.readKept(name, limits.summaryBytes, options)
      if (payload === null) return null
      const summary = decodeSummary(name, payload)
      return summary.head.id === id ? summary : null
    } catch (error) {
      if (!isUnreadable(error)) throw error
      log.warn('a summary cannot be read', { name, error })
      return null
    }
  }

  /** Null when there is none, and when it cannot be read: a damaged label must not hide its checkpoint. */
  async #readSmall<T>(
    name: string,
    decode: (name: string, payload: Buffer) => T,
    options: CallOptions,
  ): Promise<T | null> {
    try {
      const payload = await this.#vault.objects.read(name, limits.smallBytes, options)
      return payload === null ? null : decode(name, payload)
    } catch (error) {
      if (!isUnreadable(error)) throw error
      this.#vault.log.warn('what was noted of a checkpoint cannot be read', { name, error })
      return null
    }
  }

  async #remember(before: Map<string, DigestEntry>, entries: Map<string, DigestEntry>): Promise<void> {
    this.#entries = entries
    const isSame =
      before.size === entries.size &&
      [...entries].every(([id, entry]) => {
        const old = before.get(id)
        return old !== undefined && old.label === entry.label && old.verified === entry.verified
      })
    if (isSame || this.#cache === null) return
    await writeDigest(this.#vault.objects, this.#cache, entries.values())
    const ids = new Set(entries.keys())
    await this.#cache.keepOnly(prefixes.summaries, ids)
    await this.#cache.keepOnly(prefixes.checkpoints, ids)
  }
}

function ofEntry({ head, hasPicture, label, verified }: DigestEntry): Checkpoint {
  const later = { label: label?.value ?? null, verified: verified?.value ?? null }
  return shownAs(head, hasPicture, { kind: 'vault' }, later)
}

function damaged(id: string, atMs: number, error: WdockError): Checkpoint {
  return shownAs(damagedHead(id, atMs), false, { kind: 'damaged', error: error.toJSON() }, {})
}

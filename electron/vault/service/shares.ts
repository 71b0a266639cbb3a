/**
 * Links to checkpoints of this vault: made at once, what they lead to is prepared behind them. Promises that a preparation
 * which was cut off goes on when the vault is opened again, that a store which does not answer is tried again, and
 * that a link which was taken back stays so. What this PC made is in the spool, sealed: a link is a key.
 */
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { fail, toWdockError } from '../../../shared/errors/index.ts'
import { type CheckpointId, type LentLink, lentLink } from '../../../shared/models/checkpoint.ts'
import type { Lending } from '../../objects/object-store.ts'
import { fsFailure, writeFileAtomic } from '../../platform/atomic-file.ts'
import { badObject, encodeJson, parseJson } from '../codec/json.ts'
import { limits } from '../codec/limits.ts'
import { decodeSummary } from '../codec/summary.ts'
import { summaryOfManifest } from '../manifest-summary.ts'
import { isObjectId, prefixes } from '../names.ts'
import { prepareShare } from '../share.ts'
import { encodeLink, parseLink } from '../share-link.ts'
import { mayPass } from '../upload-abandon.ts'
import { isUnreadable } from '../vault-objects.ts'
import type { OpenedVaultParts } from './opened-vault.ts'
import type { VaultEvent } from './vault-service.ts'

const journalFile = z.object({ version: z.literal(1), link: lentLink })

const firstPauseMs = 5_000
const longestPauseMs = 60_000
const shareKeyBytes = 32

export class Shares {
  readonly #opened: OpenedVaultParts
  readonly #emit: (event: VaultEvent) => void
  readonly #folder: string
  readonly #links = new Map<string, LentLink>()
  readonly #preparing = new Map<string, { over: AbortController; ended: Promise<void> }>()
  #resumed: Promise<void> = Promise.resolve()
  #closing = false

  constructor(opened: OpenedVaultParts, emit: (event: VaultEvent) => void) {
    this.#opened = opened
    this.#emit = emit
    this.#folder = join(opened.folders.spool, 'shares', opened.vault.vaultId)
  }

  /** Goes on with what an earlier run of this program left. Never rejects. */
  resumeAll(): Promise<void> {
    this.#resumed = this.#resumeAll()
    return this.#resumed
  }

  async #resumeAll(): Promise<void> {
    for (const shareId of (await readdir(this.#folder).catch(() => [])).filter(isObjectId)) {
      try {
        const link = await this.#readJournal(shareId)
        this.#links.set(shareId, link)
        if (link.state.kind === 'preparing' && !this.#closing) this.#prepare(link)
      } catch (error) {
        this.#opened.vault.log.error('a link could not be taken up again', { shareId, error })
      }
    }
  }

  /** @throws vault.cannot_lend, vault.bad_span, vault.checkpoint_missing, what the store throws */
  async lend(id: CheckpointId, span: { startMs: number | null; endMs: number | null }): Promise<LentLink> {
    const { vault, catalog } = this.#opened
    const lending = this.#lending()
    const nowMs = vault.clock.nowMs()
    const { startMs, endMs } = span
    if (endMs !== null && (endMs <= nowMs || (startMs !== null && endMs <= startMs))) {
      throw fail('vault.bad_span')
    }
    const { guestName, atMs } = await catalog.one(id)
    const shareId = vault.random.hex(16)
    const shareKey = vault.random.bytes(shareKeyBytes)
    const { address } = await lending.open(shareId, span)
    const link: LentLink = {
      ...{ shareId, checkpointId: id, guestName, atMs, lentAtMs: nowMs, startMs, endMs },
      link: encodeLink({ address, shareKey }),
      state: { kind: 'preparing', doneBytes: 0, totalBytes: 0 },
    }
    try {
      await this.#writeJournal(link)
    } catch (error) {
      await lending.revoke(shareId).catch(() => {})
      throw error
    }
    this.#links.set(shareId, link)
    this.#prepare(link)
    return link
  }

  /** @throws vault.cannot_lend, what the store throws */
  async revoke(shareId: string): Promise<void> {
    const lending = this.#lending()
    const preparing = this.#preparing.get(shareId)
    preparing?.over.abort(fail('host.cancelled'))
    await preparing?.ended
    await lending.revoke(shareId)
    this.#links.delete(shareId)
    await rm(this.#path(shareId), { force: true })
  }

  /** What is lent by links of this PC now. @throws what the store throws */
  async list(): Promise<LentLink[]> {
    const { lending } = this.#opened.vault.store
    if (lending === null) return []
    await this.#resumed
    const found: LentLink[] = []
    for await (const { shareId } of lending.list()) {
      const ours = this.#links.get(shareId)
      // Links of other PCs, and of other vaults, say nothing of what they lead to.
      if (ours !== undefined) found.push(ours)
    }
    return found
  }

  async close(): Promise<void> {
    this.#closing = true
    for (const { over } of this.#preparing.values()) over.abort(fail('host.cancelled'))
    await Promise.all([...this.#preparing.values()].map(({ ended }) => ended))
  }

  #lending(): Lending {
    const { store } = this.#opened.vault
    if (store.lending === null) throw fail('vault.cannot_lend', { place: store.sentence })
    return store.lending
  }

  #prepare(link: LentLink): void {
    const over = new AbortController()
    const ended = this.#run(link, over.signal).finally(() => this.#preparing.delete(link.shareId))
    this.#preparing.set(link.shareId, { over, ended })
  }

  /** Never rejects. */
  async #run(link: LentLink, signal: AbortSignal): Promise<void> {
    const { clock } = this.#opened.vault
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      try {
        await this.#prepareOnce(link, signal)
        return await this.#become({ ...link, state: { kind: 'ready' } })
      } catch (error) {
        if (signal.aborted) return
        if (!mayPass(error)) {
          return await this.#become({
            ...link,
            state: { kind: 'failed', error: toWdockError(error).toJSON() },
          })
        }
        this.#opened.vault.log.warn('a link waits for the store', { shareId: link.shareId, error })
        await clock.sleep(pauseMs, signal).catch(() => {})
      }
    }
  }

  async #prepareOnce(link: LentLink, signal: AbortSignal): Promise<void> {
    const { vault, catalog, frames } = this.#opened
    const { shareId, checkpointId } = link
    const manifest = await catalog.manifest(checkpointId, { signal })
    const name = prefixes.summaries + checkpointId
    const summary = await vault.objects
      .readKept(name, limits.summaryBytes, { signal })
      .then((payload) => (payload === null ? null : decodeSummary(name, payload)))
      .catch((error: unknown) => {
        if (!isUnreadable(error)) throw error
        return null
      })
    const { shareKey } = parseLink(link.link)
    const shown = summary ?? { head: summaryOfManifest(manifest), picture: null }
    // What its owner calls it is not for others.
    const label = { name: '', note: '', pinned: false }
    await prepareShare({
      ...{ vault, lending: this.#lending(), frames, shareId, shareKey, manifest, signal },
      summary: { ...shown, head: { ...shown.head, label, lentUntilMs: link.endMs } },
      onProgress: (doneBytes, totalBytes) => {
        const told: LentLink = { ...link, state: { kind: 'preparing', doneBytes, totalBytes } }
        this.#links.set(shareId, told)
        this.#emit({ type: 'share.changed', link: told })
      },
    })
  }

  async #become(link: LentLink): Promise<void> {
    this.#links.set(link.shareId, link)
    await this.#writeJournal(link).catch((error: unknown) => {
      // It is prepared again at the next start.
      this.#opened.vault.log.warn('a link could not be noted', { shareId: link.shareId, error })
    })
    this.#emit({ type: 'share.changed', link })
  }

  async #writeJournal(link: LentLink): Promise<void> {
    const path = this.#path(link.shareId)
    const sealed = this.#opened.vault.objects.seal(nameOf(link.shareId), encodeJson({ version: 1, link }))
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 })
      await writeFileAtomic(path, sealed)
    } catch (error) {
      throw fsFailure(error, path)
    }
  }

  async #readJournal(shareId: string): Promise<LentLink> {
    const name = nameOf(shareId)
    const sealed = await readFile(this.#path(shareId))
    const payload = this.#opened.vault.objects.open(name, sealed, limits.smallBytes)
    return parseJson(payload, journalFile, name, badObject(name)).link
  }

  #path(shareId: string): string {
    if (!isObjectId(shareId)) throw fail('host.bad_input', { why: 'a link is named by an id' })
    return join(this.#folder, shareId)
  }
}

function nameOf(shareId: string): string {
  return `spool/shares/${shareId}`
}

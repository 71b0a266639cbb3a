/**
 * The vault's service, in the thread that it is made in. In the program that is the vault's own thread (`vault.worker.ts`);
 * tests use it where they are. Promises what `VaultService` does. One vault at a time is open.
 */
import { setMaxListeners } from 'node:events'
import { fail, toWdockError, type WdockError } from '../../../shared/errors/index.ts'
import {
  type Checkpoint,
  type CheckpointId,
  type CheckpointLabel,
  checkpointLabel,
  type LentLink,
  type PlaceFinding,
  type ReceivedLink,
  type VaultCheck,
  type VaultPlace,
  type VaultStats,
} from '../../../shared/models/checkpoint.ts'
import { type Clock, systemClock } from '../../platform/clock.ts'
import { type Log, silentLog } from '../../platform/log.ts'
import { type Random, systemRandom } from '../../platform/random.ts'
import { checkVault } from '../check.ts'
import { removeCheckpoint } from '../remove-checkpoint.ts'
import { vaultStats } from '../stats.ts'
import { sweep } from '../sweep.ts'
import { lookAtPlace, OpenedVaultParts, type OpeningParts } from './opened-vault.ts'
import { Restores } from './restores.ts'
import { Shares } from './shares.ts'
import { Uploads } from './uploads.ts'
import type {
  CaptureInstant,
  CaptureStart,
  CheckpointFacts,
  FrozenDisk,
  OpenedVault,
  RestoreMemory,
  VaultEvent,
  VaultFolders,
  VaultService,
} from './vault-service.ts'

export interface VaultServiceParts {
  onEvent: (event: VaultEvent) => void
  /** Where Azure's emulator keeps what it is given, before a vault is open. */
  azuriteFolder?: string
  clock?: Clock
  random?: Random
  log?: Log
}

/** An open vault and the work that goes on in it. */
interface Open {
  parts: OpenedVaultParts
  uploads: Uploads
  shares: Shares
  resuming: Promise<unknown>
}

export class VaultServiceHere implements VaultService {
  readonly #emit: (event: VaultEvent) => void
  readonly #opening: OpeningParts
  readonly #azuriteFolder: string
  readonly #works = new Map<string, AbortController>()
  readonly #restores: Restores
  #open: Open | null = null

  constructor(options: VaultServiceParts) {
    const { clock = systemClock, random = systemRandom, log = silentLog, onEvent } = options
    this.#emit = onEvent
    this.#azuriteFolder = options.azuriteFolder ?? ''
    const onTrouble = (error: WdockError | null): void =>
      onEvent({ type: 'trouble', error: error?.toJSON() ?? null })
    this.#opening = { clock, random, log, onTrouble }
    this.#restores = new Restores({ clock, log, onEvent })
  }

  async look(place: VaultPlace): Promise<PlaceFinding> {
    return await lookAtPlace(place, { azurite: this.#azuriteFolder }, this.#opening)
  }

  async create(place: VaultPlace, folders: VaultFolders): Promise<OpenedVault & { phrase: string }> {
    await this.close()
    const parts = await OpenedVaultParts.create(place, folders, this.#opening)
    return { ...this.#begin(parts), phrase: parts.phrase() }
  }

  async open(
    place: VaultPlace,
    folders: VaultFolders,
    secret: { phrase: string } | { vaultKey: Uint8Array },
  ): Promise<OpenedVault> {
    await this.close()
    return this.#begin(await OpenedVaultParts.open(place, folders, secret, this.#opening))
  }

  async phrase(): Promise<string> {
    return this.#opened().parts.phrase()
  }

  /** Nothing is lost: what is on its way goes on when the vault is opened again. Restores from the vault end. */
  async close(): Promise<void> {
    for (const work of this.#works.values()) work.abort(fail('host.cancelled'))
    await this.#restores.endAll()
    const open = this.#open
    this.#open = null
    if (open === null) return
    await Promise.all([open.uploads.close(), open.shares.close()])
    await open.resuming
    await open.parts.close()
  }

  async list(): Promise<Checkpoint[]> {
    const { parts, uploads } = this.#opened()
    // Asked for first: what is published meanwhile is then listed, and shown once.
    const onItsWay = uploads.list()
    const listed = await parts.catalog.list()
    const ids = new Set(listed.map(({ id }) => id))
    return [...onItsWay.filter(({ id }) => !ids.has(id)), ...listed]
  }

  async picture(id: CheckpointId): Promise<Uint8Array | null> {
    const { parts, uploads } = this.#opened()
    const here = uploads.find(id)
    return here === null ? await parts.catalog.picture(id) : here.onItsWay.summary.picture
  }

  async relabel(id: CheckpointId, change: Partial<CheckpointLabel>): Promise<Checkpoint> {
    const { parts, uploads } = this.#opened()
    const here = uploads.find(id)
    const { label: before } = here?.checkpoint ?? (await parts.catalog.one(id))
    const parsed = checkpointLabel.safeParse({ ...before, ...change })
    if (!parsed.success) throw fail('host.bad_input', { why: parsed.error.message })
    await parts.catalog.writeLabel(id, parsed.data)
    if (here === null) return await parts.catalog.one(id)
    here.onItsWay.label = parsed.data
    return { ...here.checkpoint, label: parsed.data }
  }

  async remove(id: CheckpointId): Promise<void> {
    const { parts, uploads } = this.#opened()
    const here = uploads.find(id)
    // One that was published in the same moment is deleted like any other.
    if (here !== null && (await uploads.abandon(here.captureId)) === 'cancelled') return
    await removeCheckpoint(parts.vault, id)
  }

  async stats(): Promise<VaultStats> {
    return await vaultStats(this.#opened().parts.vault)
  }

  async check({ readData, workId }: { readData: boolean; workId: string }): Promise<VaultCheck> {
    const { vault } = this.#opened().parts
    return await this.#work(workId, (signal) =>
      checkVault(vault, {
        ...{ readData, signal },
        onProgress: (checkpoints, ofCheckpoints, readBytes) => {
          const progress = { kind: 'check', checkpoints, ofCheckpoints, readBytes } as const
          this.#emit({ type: 'work.progress', workId, progress })
        },
      }),
    )
  }

  async sweep(workId: string): Promise<{ freedBytes: number }> {
    const { vault } = this.#opened().parts
    return await this.#work(workId, async (signal) => {
      const { freedBytes } = await sweep(vault, {
        signal,
        onProgress: (progress) => {
          if (progress.kind !== 'freeing') return
          const { doneBytes, totalBytes } = progress
          const told = { kind: 'sweep', doneBytes, totalBytes } as const
          this.#emit({ type: 'work.progress', workId, progress: told })
        },
      })
      return { freedBytes }
    })
  }

  async cancelWork(workId: string): Promise<void> {
    this.#works.get(workId)?.abort(fail('host.cancelled'))
  }

  async beginCapture(start: CaptureStart): Promise<void> {
    await this.#opened().uploads.begin(start)
  }

  async memoryCaptured(captureId: string): Promise<void> {
    await this.#opened().uploads.capture(captureId).memoryCaptured()
  }

  async captureDisk(captureId: string, disk: FrozenDisk): Promise<void> {
    await this.#opened().uploads.capture(captureId).disk(disk)
  }

  async completeCapture(captureId: string, instant: CaptureInstant): Promise<Checkpoint> {
    return await this.#opened().uploads.complete(captureId, instant)
  }

  async abandonCapture(captureId: string): Promise<'cancelled' | 'published'> {
    return await this.#opened().uploads.abandon(captureId)
  }

  async beginRestore(
    restoreId: string,
    from: { checkpointId: CheckpointId } | { link: string },
  ): Promise<CheckpointFacts> {
    if ('link' in from) return await this.#restores.beginFromLink(restoreId, from.link)
    return await this.#restores.begin(restoreId, this.#opened().parts, from.checkpointId)
  }

  async restoreBootFile(restoreId: string, sha256: string, path: string): Promise<void> {
    await this.#restores.get(restoreId).bootFile(sha256, path)
  }

  async serveDisk(restoreId: string, nodeName: string, socketPath: string): Promise<{ exportName: string }> {
    return await this.#restores.get(restoreId).serveDisk(nodeName, socketPath)
  }

  async sendMemory(restoreId: string, memory: RestoreMemory): Promise<void> {
    await this.#restores.get(restoreId).sendMemory(memory)
  }

  async endRestore(restoreId: string): Promise<void> {
    await this.#restores.end(restoreId)
  }

  async lend(id: CheckpointId, span: { startMs: number | null; endMs: number | null }): Promise<LentLink> {
    return await this.#opened().shares.lend(id, span)
  }

  async revoke(shareId: string): Promise<void> {
    await this.#opened().shares.revoke(shareId)
  }

  async lent(): Promise<LentLink[]> {
    return await this.#opened().shares.list()
  }

  async lookAtLink(link: string): Promise<ReceivedLink> {
    return await this.#restores.look(link)
  }

  #begin(parts: OpenedVaultParts): OpenedVault {
    const uploads = new Uploads(parts, this.#emit)
    const shares = new Shares(parts, this.#emit)
    const resuming = Promise.all([uploads.resumeAll(), shares.resumeAll()])
    this.#open = { parts, uploads, shares, resuming }
    const { vaultId, store } = parts.vault
    const { vaultKey } = parts
    return { vaultId, vaultKey, placeSentence: store.sentence, canLend: store.lending !== null }
  }

  #opened(): Open {
    if (this.#open === null) throw fail('vault.none')
    return this.#open
  }

  async #work<T>(workId: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#works.has(workId)) throw fail('host.bad_input', { why: 'there is work of this name' })
    const over = new AbortController()
    // One for each call of the store that waits.
    setMaxListeners(0, over.signal)
    this.#works.set(workId, over)
    try {
      return await work(over.signal)
    } catch (error) {
      throw over.signal.aborted ? fail('host.cancelled') : toWdockError(error)
    } finally {
      this.#works.delete(workId)
    }
  }
}

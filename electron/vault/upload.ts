/**
 * One checkpoint on its way into the vault, in the order of writes of FORMAT.md. Packs are sent while the guest is still
 * being captured; the manifest is put when everything that it lists is there. Promises that the checkpoint is published
 * whole or not at all, that a crash, a reboot or a broken link only makes it later (`resume`), that nothing is sent
 * twice without need, and that giving up takes back what was announced. Relies on the spool for everything that must
 * survive, and on the store's wrapper for what passes by itself within minutes.
 */
import { fail, isCode, type WdockError } from '../../shared/errors/index.ts'
import type { FrameCache } from '../pages/frame-cache.ts'
import { KnownPages } from '../pages/known-pages.ts'
import type { PackSink } from '../pages/pack-writer.ts'
import { encodeIntent, type Intent } from './codec/intent.ts'
import { limits } from './codec/limits.ts'
import { decodeKeptManifest, encodeManifest, type Manifest } from './codec/manifest.ts'
import { encodeSummary, type Summary } from './codec/summary.ts'
import { prefixes } from './names.ts'
import type { OpenVault } from './open-vault.ts'
import { PackSender, type SendProgress } from './pack-sender.ts'
import { loadKnownPages } from './page-index.ts'
import { pause } from './pause.ts'
import { Refresher } from './refresher.ts'
import type { Spool, SpoolState } from './spool.ts'
import { abandonUpload, mayPass } from './upload-abandon.ts'
import { queuePacks, sendPack, sentAll, storedPacks } from './upload-packs.ts'
import { rescueFrames } from './upload-rescue.ts'
import { sendTables } from './upload-tables.ts'
import { usablePacks } from './usable-packs.ts'

export interface UploadOptions {
  vault: OpenVault
  spool: Spool
  /** The store of frames on this PC, which gets what was sent; null without one. */
  frames: FrameCache | null
  onProgress?: (progress: SendProgress) => void
  /** The store does not answer; it is tried on. Null when it answers again. */
  onTrouble?: (error: WdockError | null) => void
}

export interface Published {
  checkpointId: string
  /** What it added to the vault. */
  addedBytes: number
}

/** How long a start waits for a store that does not answer. After that everything counts as new. */
const offlineAfterMs = 10_000
const firstPauseMs = 5_000
const longestPauseMs = 60_000

export class Upload {
  readonly #options: UploadOptions
  readonly #vault: OpenVault
  readonly #spool: Spool
  #state: SpoolState
  readonly #over = new AbortController()
  #sender = this.#newSender()
  /** Whether the sender has been told of what is in the spool. */
  #queued: boolean
  #refresher: Refresher | null = null
  #ending: Promise<void> = Promise.resolve()
  #entering: Promise<void> = Promise.resolve()
  #tidied = false
  #inTrouble = false
  readonly #published = Promise.withResolvers<Published>()

  private constructor(options: UploadOptions, state: SpoolState) {
    this.#options = options
    this.#vault = options.vault
    this.#spool = options.spool
    this.#state = state
    this.#queued = state.phase === 'collecting'
    // Whoever does not wait for it finds the journal at the next start.
    this.#published.promise.catch(() => {})
  }

  /**
   * Announces an upload and tells which pages are in the vault already: none when the store does not answer for 10 s;
   * then everything is sent when it does.
   * @throws what the store throws that does not pass by itself, and what the spool throws; then the spool is removed
   */
  static async begin(
    options: UploadOptions & { intent: Intent },
  ): Promise<{ upload: Upload; known: KnownPages }> {
    const { vault, spool, intent } = options
    const fresh = { phase: 'collecting', fenceFirst: false, link: 'never' } as const
    const upload = new Upload(options, {
      version: 1,
      vaultId: vault.vaultId,
      id: vault.random.hex(16),
      ...intent,
      ...fresh,
    })
    try {
      await spool.writeState(upload.#state)
      const known = await upload.#firstAttach()
      upload.#start()
      return { upload, known }
    } catch (error) {
      await upload.#refresher?.stopNow()
      await spool.remove()
      throw error
    }
  }

  /**
   * Goes on with what an earlier run of this program left.
   * @returns null when there is nothing to go on with: the capture was cut off, or the upload given up. What it had
   * announced was taken back; where the store did not answer, that is left for the next time.
   */
  static async resume(options: UploadOptions): Promise<Upload | null> {
    const { vault, spool } = options
    const state = await spool.readState()
    if (state === null) await spool.remove()
    if (state === null || state.vaultId !== vault.vaultId) return null
    if (state.phase === 'collecting' || state.phase === 'abandoning') {
      await abandonUpload(vault, spool, state)
      return null
    }
    const upload = new Upload(options, state)
    upload.#start()
    return upload
  }

  /** The id that the checkpoint is going to have. It changes when a sweep has ended the upload meanwhile. */
  get id(): string {
    return this.#state.id
  }

  get progress(): SendProgress {
    return this.#sender.progress
  }

  /** Resolves when the checkpoint exists. Rejects with what stays wrong, or `host.cancelled`. */
  get published(): Promise<Published> {
    return this.#published.promise
  }

  /** Resolves when nothing more happens: all is tidied up, or what is left waits for the next run of the program. */
  get ended(): Promise<void> {
    return this.#ending
  }

  /** Where the packer writes to. What is finished is sent at once. */
  get sink(): PackSink {
    return {
      begin: async (packId) => {
        const file = await this.#spool.begin(packId)
        let sizeBytes = 0
        return {
          write: (bytes) => {
            sizeBytes += bytes.length
            return file.write(bytes)
          },
          finish: async (contents) => {
            await file.finish(contents)
            this.#sender.add({ id: packId.toString('hex'), sizeBytes })
          },
          discard: () => file.discard(),
        }
      },
    }
  }

  /**
   * Everything has been captured and all packs are finished. From here on the checkpoint survives this program.
   * @param manifest with any checkpoint id: the upload's own is put in; so with the summary and its sizes
   * @throws what the spool throws
   */
  async complete(manifest: Manifest, summary: Summary): Promise<void> {
    await this.#spool.writePart('manifest', encodeManifest(manifest))
    await this.#spool.writePart('summary', encodeSummary(summary))
    await this.#enter({ phase: 'sending' })
    const needed = new Set(manifest.frames.packs)
    this.#sender.complete((id) => needed.has(id))
  }

  /**
   * Gives the upload up: what was announced is taken back, what was spooled is removed.
   * @returns `published` when it was too late: the checkpoint exists
   */
  async cancel(): Promise<'cancelled' | 'published'> {
    await this.close()
    return this.#tidied ? 'published' : await abandonUpload(this.#vault, this.#spool, this.#state)
  }

  /** Stops sending, for this run of the program; `resume` goes on. */
  async close(): Promise<void> {
    this.#over.abort(fail('host.cancelled'))
    await this.#ending
    await this.#refresher?.stopNow()
  }

  #start(): void {
    this.#ending = this.#run().catch(async (error: unknown) => {
      // Sweeps need not wait for what does not go on.
      await this.#refresher?.stopNow()
      // What is lost need not be tried again.
      if (isCode(error, 'vault.upload_lost')) await abandonUpload(this.#vault, this.#spool, this.#state)
      this.#published.reject(error)
    })
  }

  async #run(): Promise<void> {
    const before = await this.#persist(() => this.#findOut())
    if (before !== null) this.#published.resolve(before)
    while (before === null) {
      if (this.#state.link !== 'kept') await this.#persist(() => this.#attach())
      const sent = await this.#persist(() => sentAll(this.#sender, this.#over.signal))
      const published = sent ? await this.#persist(() => this.#publish()) : null
      if (published !== null) {
        this.#published.resolve(published)
        break
      }
      await this.#persist(() => this.#startAgain())
    }
    await this.#persist(() => this.#tidy())
  }

  /**
   * After a restart: what has become of this upload, and which of its packs are in the store already.
   * @returns not null when the checkpoint was published before
   */
  async #findOut(): Promise<Published | null> {
    const { link, id } = this.#state
    if (this.#queued || link !== 'kept') return null
    const { objects } = this.#vault
    const options = { signal: this.#over.signal }
    // Listed before the fence is looked for: of an upload that was not ended yet, no pack has been freed.
    await this.#queue(await storedPacks(this.#vault, options), await this.#manifest())
    const intentBytes = await objects.sizeOf(prefixes.uploads + id, options)
    const decided = await objects.decided(prefixes.checkpoints + id, options)
    if (decided === 'content') return { checkpointId: id, addedBytes: this.#sender.progress.totalBytes }
    // Only a sweep takes an intent away; it has closed the name before, and closed names do not stay for ever.
    if (decided === 'closed' || intentBytes === null) await this.#startAgain()
    else await this.#announce(options.signal)
    return null
  }

  /** 1 and 2 of the order of writes, the first time: with the wish to know what is there already. */
  async #firstAttach(): Promise<KnownPages> {
    const { clock, store } = this.#vault
    const patience = new AbortController()
    const answered = new AbortController()
    const signal = AbortSignal.any([this.#over.signal, patience.signal])
    const timer = clock.sleep(offlineAfterMs, answered.signal).then(
      () => patience.abort(fail('store.unreachable', { place: store.sentence })),
      () => {},
    )
    try {
      await this.#announce(signal)
      const usable = await usablePacks(this.#vault, { signal })
      const known = await loadKnownPages(this.#vault, usable, { signal })
      await this.#enter({ link: 'kept' })
      return known
    } catch (error) {
      if (!mayPass(error)) throw error
      this.#inTrouble = true
      this.#options.onTrouble?.(error)
      return new KnownPages()
    } finally {
      answered.abort()
      await timer
    }
  }

  /**
   * 1 and 2 again. A `lost` upload may rely on packs that are being freed, also on its own; one that never was in touch
   * with the store relies on nothing there.
   */
  async #attach(): Promise<void> {
    const signal = this.#over.signal
    if (this.#state.link === 'never') await this.#renameIfEnded()
    await this.#announce(signal)
    if (this.#state.link === 'lost') {
      const usable = await usablePacks(this.#vault, { signal })
      const { spool, vault, frames } = this.#options
      const manifest = await rescueFrames({
        ...{ spool, vault, frames, usable, signal },
        manifest: await this.#manifest(),
      })
      await spool.writePart('manifest', encodeManifest(manifest))
      await spool.keepOnly(new Set(manifest.frames.packs))
      await this.#queue(usable, manifest)
    } else if (!this.#queued) await this.#queue(new Map(), await this.#manifest())
    await this.#enter({ link: 'kept' })
  }

  /** An intent that arrived although nobody was told, and was silent for long: its name is closed already. */
  async #renameIfEnded(): Promise<void> {
    const { objects, random } = this.#vault
    const name = prefixes.checkpoints + this.#state.id
    if ((await objects.decided(name, { signal: this.#over.signal })) === 'open') return
    await this.#refresher?.stop()
    this.#refresher = null
    await this.#enter({ id: random.hex(16) })
  }

  /** 1 of the order of writes. */
  async #announce(signal: AbortSignal): Promise<void> {
    await this.#refresher?.stop()
    this.#refresher = null
    const name = prefixes.uploads + this.#state.id
    const payload = encodeIntent(this.#state)
    await this.#vault.objects.write(name, payload, { signal })
    this.#refresher = new Refresher(this.#vault, name, payload)
  }

  /** @param stored packs by id, with their lengths: from the one list that this upload relies on */
  async #queue(stored: ReadonlyMap<string, number>, manifest: Manifest): Promise<void> {
    const sender = this.#newSender()
    await queuePacks(sender, this.#spool, new Set(manifest.frames.packs), stored)
    this.#sender = sender
    this.#queued = true
  }

  /** The rest of 3, and 4. @returns null when a sweep has ended this upload */
  async #publish(): Promise<Published | null> {
    const { objects } = this.#vault
    const { id } = this.#state
    const options = { signal: this.#over.signal }
    const manifest = await this.#manifest()
    manifest.head.checkpointId = id
    const name = prefixes.checkpoints + id
    const tableBytes = await sendTables(this.#vault, this.#spool, id, manifest, options)
    await this.#enter({ phase: 'publishing' })
    const { isFirst, sealedBytes } = await objects.decide(name, encodeManifest(manifest), options)
    // Nobody else puts content under this name: it was put before a crash.
    const isOurs = isFirst || (await objects.decided(name, options)) === 'content'
    return isOurs ? { checkpointId: id, addedBytes: tableBytes + sealedBytes } : null
  }

  /** A sweep has ended this upload: from 1 again, under a new id. A label that a person gave meanwhile comes along. */
  async #startAgain(): Promise<void> {
    const { objects, store, random, log } = this.#vault
    const options = { signal: this.#over.signal }
    const former = this.#state.id
    const id = random.hex(16)
    log.info('an upload was ended by a sweep, and starts again', { former, id })
    await this.#refresher?.stop()
    const label = await objects.read(prefixes.labels + former, limits.smallBytes, options)
    if (label !== null) await objects.write(prefixes.labels + id, label, options)
    await store.remove(prefixes.uploads + former, options)
    await this.#enter({ id, phase: 'sending', link: 'lost' })
  }

  /** 5 of the order of writes; what was sent is kept on this PC for reading. */
  async #tidy(): Promise<void> {
    await this.#refresher?.stop()
    await this.#vault.store.remove(prefixes.uploads + this.#state.id, { signal: this.#over.signal })
    for (const { id } of await this.#spool.packs()) {
      const file = this.#spool.packFile(id)
      if (file !== null) await this.#options.frames?.adopt(Buffer.from(id, 'hex'), file)
    }
    await this.#spool.remove()
    this.#tidied = true
  }

  async #manifest(): Promise<Manifest> {
    return decodeKeptManifest(this.#state.id, await this.#spool.readPart('manifest'))
  }

  /** One write after the other: the last state is the one that stays. */
  async #enter(change: Partial<SpoolState>): Promise<void> {
    this.#state = { ...this.#state, ...change }
    const written = this.#entering.then(() => this.#spool.writeState(this.#state))
    this.#entering = written.catch(() => {})
    await written
  }

  #newSender(): PackSender {
    return new PackSender(
      (pack, options) => sendPack(this.#vault, this.#spool, pack.id, options),
      (progress) => this.#options.onProgress?.(progress),
    )
  }

  /** Tries again for as long as the store does not answer and nobody stops it. */
  async #persist<T>(work: () => Promise<T>): Promise<T> {
    const { signal } = this.#over
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      try {
        signal.throwIfAborted()
        const result = await work()
        if (this.#inTrouble) this.#options.onTrouble?.(null)
        this.#inTrouble = false
        return result
      } catch (error) {
        signal.throwIfAborted()
        if (!mayPass(error)) throw error
        this.#inTrouble = true
        this.#options.onTrouble?.(error)
        await pause(this.#vault.clock, pauseMs, signal)
      }
    }
  }
}

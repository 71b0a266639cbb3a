/**
 * Captures of this PC and what is on its way from here into the vault. Promises that each upload is told of from when it is
 * kept here to when it is published or given up, also one that an earlier run of this program began, and that there
 * is one entry for each. The host's name for a capture is also that of its folder in the spool.
 */
import { fail, toWdockError, type WdockError } from '../../../shared/errors/index.ts'
import type { Checkpoint, CheckpointId, CheckpointLabel } from '../../../shared/models/checkpoint.ts'
import { Capture } from '../capture.ts'
import { checkpointOf } from '../catalog.ts'
import { decodeSummary, type Summary } from '../codec/summary.ts'
import type { DiskSpool } from '../disk-spool.ts'
import { isObjectId } from '../names.ts'
import { Upload } from '../upload.ts'
import type { OpenedVaultParts } from './opened-vault.ts'
import type { CaptureInstant, CaptureStart, VaultEvent } from './vault-service.ts'

interface OnItsWay {
  upload: Upload
  summary: Summary
  label: CheckpointLabel | null
}

export class Uploads {
  readonly #opened: OpenedVaultParts
  readonly #emit: (event: VaultEvent) => void
  readonly #captures = new Map<string, Capture>()
  readonly #onItsWay = new Map<string, OnItsWay>()
  /** Captures that are being begun. */
  readonly #beginning = new Map<string, Promise<void>>()
  /** What became of uploads that ended, for who gives one up too late. */
  readonly #published = new Set<string>()
  #closing = false

  constructor(opened: OpenedVaultParts, emit: (event: VaultEvent) => void) {
    this.#opened = opened
    this.#emit = emit
  }

  /** Goes on with what an earlier run of this program left. What cannot be read is logged and stays. */
  async resumeAll(): Promise<void> {
    const { vault, spools } = this.#opened
    // At once: giving up one that was cut off may have to wait for the store.
    const resume = async (spool: DiskSpool): Promise<void> => {
      const { id: captureId } = spool
      const isOurs = this.#beginning.has(captureId) || this.#captures.has(captureId)
      if (isOurs || this.#onItsWay.has(captureId)) return
      try {
        const upload = await Upload.resume({ vault, spool, ...this.#parts(captureId) })
        if (upload === null) return
        if (this.#closing) return await upload.close()
        const summary = decodeSummary('spool/summary', await spool.readPart('summary'))
        this.#follow(captureId, { upload, summary, label: null })
      } catch (error) {
        vault.log.error('an upload could not be taken up again', { captureId, error })
      }
    }
    await Promise.all((await spools.left()).map(resume))
  }

  /** @throws what `Capture.begin` throws */
  async begin(start: CaptureStart): Promise<void> {
    const { captureId } = start
    if (!isObjectId(captureId)) throw fail('host.bad_input', { why: 'a capture is named by an id' })
    const isThere = this.#captures.has(captureId) || this.#onItsWay.has(captureId)
    if (isThere || this.#beginning.has(captureId)) {
      throw fail('host.bad_input', { why: 'there is a capture of this name' })
    }
    const beginning = this.#begin(start)
    this.#beginning.set(captureId, beginning)
    try {
      await beginning
    } finally {
      this.#beginning.delete(captureId)
    }
  }

  async #begin(start: CaptureStart): Promise<void> {
    const { captureId } = start
    const { vault, spools, contents } = this.#opened
    const capture = await Capture.begin({
      vault,
      start,
      contents,
      upload: { spool: await spools.create(captureId, 0), ...this.#parts(captureId) },
      onFirstPart: () => this.#emit({ type: 'capture.first-part', captureId }),
      onRead: (memoryBytes, diskBytes) =>
        this.#emit({ type: 'capture.read', captureId, memoryBytes, diskBytes }),
    })
    this.#captures.set(captureId, capture)
  }

  /** @throws host.bad_input when there is none */
  capture(captureId: string): Capture {
    const capture = this.#captures.get(captureId)
    if (capture === undefined) throw fail('host.bad_input', { why: 'there is no such capture' })
    return capture
  }

  async complete(captureId: string, instant: CaptureInstant): Promise<Checkpoint> {
    const capture = this.capture(captureId)
    const summary = await capture.complete(instant)
    this.#captures.delete(captureId)
    return this.#follow(captureId, { upload: capture.upload, summary, label: null })
  }

  /** One that is still being begun is given up as soon as it has been; nobody has to wait for that. */
  async abandon(captureId: string): Promise<'cancelled' | 'published'> {
    const beginning = this.#beginning.get(captureId)
    if (beginning !== undefined) {
      void this.#abandonWhenBegun(captureId, beginning)
      return 'cancelled'
    }
    const capture = this.#captures.get(captureId)
    if (capture !== undefined) {
      this.#captures.delete(captureId)
      return await capture.abandon()
    }
    const onItsWay = this.#onItsWay.get(captureId)
    if (onItsWay === undefined) return this.#published.has(captureId) ? 'published' : 'cancelled'
    return await this.#giveUp(captureId, onItsWay)
  }

  async #abandonWhenBegun(captureId: string, beginning: Promise<void>): Promise<void> {
    try {
      await beginning
    } catch {
      return
    }
    try {
      await this.#captures.get(captureId)?.abandon()
    } catch (error) {
      this.#opened.vault.log.warn('a capture was not given up', { captureId, error })
    } finally {
      this.#captures.delete(captureId)
    }
  }

  /** What is on its way, as people see it. */
  list(): Checkpoint[] {
    return [...this.#onItsWay.values()].map(shown)
  }

  /** The one that is going to have this id; null when there is none. */
  find(id: CheckpointId): { captureId: string; onItsWay: OnItsWay; checkpoint: Checkpoint } | null {
    for (const [captureId, onItsWay] of this.#onItsWay) {
      if (onItsWay.upload.id === id) return { captureId, onItsWay, checkpoint: shown(onItsWay) }
    }
    return null
  }

  /** Stops everything for this run of the program. */
  async close(): Promise<void> {
    this.#closing = true
    const captures = [...this.#captures.values()].map((capture) => capture.close())
    const uploads = [...this.#onItsWay.values()].map(({ upload }) => upload.close())
    await Promise.all([...captures, ...uploads])
  }

  async #giveUp(captureId: string, onItsWay: OnItsWay): Promise<'cancelled' | 'published'> {
    this.#onItsWay.delete(captureId)
    return await onItsWay.upload.cancel()
  }

  #follow(captureId: string, onItsWay: OnItsWay): Checkpoint {
    this.#onItsWay.set(captureId, onItsWay)
    const checkpoint = shown(onItsWay)
    this.#emit({ type: 'upload.kept', captureId, checkpoint })
    void this.#settle(captureId, onItsWay, checkpoint.id)
    return checkpoint
  }

  async #settle(captureId: string, onItsWay: OnItsWay, previousId: CheckpointId): Promise<void> {
    try {
      const { checkpointId: id, addedBytes } = await onItsWay.upload.published
      this.#published.add(captureId)
      this.#onItsWay.delete(captureId)
      const { head, picture } = onItsWay.summary
      const { label } = onItsWay
      const summary = { head: { ...head, id, addedBytes }, picture }
      const checkpoint = checkpointOf(summary, { kind: 'vault' }, { label })
      this.#emit({ type: 'upload.published', captureId, checkpoint, previousId })
    } catch (error) {
      // Given up, or the program ends: whoever did that knows.
      if (this.#closing || !this.#onItsWay.delete(captureId)) return
      this.#emit({ type: 'upload.failed', captureId, error: toWdockError(error).toJSON() })
    }
  }

  #parts(captureId: string) {
    return {
      frames: this.#opened.frames,
      onProgress: (progress: { doneBytes: number; totalBytes: number }) =>
        this.#emit({ type: 'upload.progress', captureId, progress }),
      onTrouble: (error: WdockError | null) => {
        if (error !== null) this.#opened.vault.log.warn('an upload waits', { captureId, error })
      },
    }
  }
}

function shown({ upload, summary, label }: OnItsWay): Checkpoint {
  const { head, picture } = summary
  return checkpointOf({ head: { ...head, id: upload.id }, picture }, { kind: 'on-its-way' }, { label })
}

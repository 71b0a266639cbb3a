/**
 * Sends packs, four at a time, as they become ready. Promises that `run` ends when no more are to come and all are in
 * the store, or with the first failure; what was sent stays counted, so that it is not sent again.
 */
import type { CallOptions } from '../objects/object-store.ts'
import type { SpooledPack } from './spool.ts'

const lanes = 4

export interface SendProgress {
  doneBytes: number
  totalBytes: number
}

export class PackSender {
  readonly #send: (pack: SpooledPack, options: CallOptions) => Promise<void>
  readonly #onProgress: (progress: SendProgress) => void
  #waiting: SpooledPack[] = []
  #complete = false
  #wake = Promise.withResolvers<void>()
  #doneBytes = 0
  #totalBytes = 0

  /** @param send resolves when the pack is in the store */
  constructor(
    send: (pack: SpooledPack, options: CallOptions) => Promise<void>,
    onProgress: (progress: SendProgress) => void,
  ) {
    this.#send = send
    this.#onProgress = onProgress
  }

  get progress(): SendProgress {
    return { doneBytes: this.#doneBytes, totalBytes: this.#totalBytes }
  }

  add(pack: SpooledPack): void {
    this.#waiting.push(pack)
    this.#totalBytes += pack.sizeBytes
    this.#awaken()
  }

  /** A pack that is in the store already. */
  addSent(pack: SpooledPack): void {
    this.#totalBytes += pack.sizeBytes
    this.#doneBytes += pack.sizeBytes
  }

  /** No more are to come. @param isNeeded what waits and is not needed after all is not sent */
  complete(isNeeded: (id: string) => boolean): void {
    for (const pack of this.#waiting) if (!isNeeded(pack.id)) this.#totalBytes -= pack.sizeBytes
    this.#waiting = this.#waiting.filter(({ id }) => isNeeded(id))
    this.#complete = true
    this.#awaken()
  }

  /** @throws whatever `send` throws; then it can be run again: what failed waits again */
  async run(signal: AbortSignal): Promise<void> {
    const failed = new AbortController()
    const over = AbortSignal.any([signal, failed.signal])
    const wakeAll = (): void => this.#awaken()
    over.addEventListener('abort', wakeAll)
    try {
      const ended = await Promise.allSettled(
        Array.from({ length: lanes }, () =>
          this.#lane(signal, over).catch((error) => fallWith(failed, error)),
        ),
      )
      signal.throwIfAborted()
      const failure = ended.find((each) => each.status === 'rejected')
      if (failure) throw failure.reason
    } finally {
      over.removeEventListener('abort', wakeAll)
    }
  }

  async #lane(signal: AbortSignal, over: AbortSignal): Promise<void> {
    while (!over.aborted) {
      const pack = this.#waiting.shift()
      if (pack === undefined) {
        if (this.#complete) return
        await this.#wake.promise
        continue
      }
      try {
        await this.#send(pack, { signal })
      } catch (error) {
        this.#waiting.unshift(pack)
        throw error
      }
      this.#doneBytes += pack.sizeBytes
      this.#onProgress(this.progress)
    }
  }

  #awaken(): void {
    this.#wake.resolve()
    this.#wake = Promise.withResolvers()
  }
}

/** The first failure ends the other lanes, once what they are sending has arrived. */
function fallWith(failed: AbortController, error: unknown): never {
  failed.abort()
  throw error
}

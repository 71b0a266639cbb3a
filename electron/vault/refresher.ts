/**
 * Says again and again that somebody is at work: writes an object every two minutes until it is stopped. A write that
 * fails is tried again at the next turn: whoever waits for us does so for half an hour.
 */
import { type OpenVault, refreshMs } from './open-vault.ts'

export class Refresher {
  /** Ends the waiting. */
  readonly #stop = new AbortController()
  /** Ends a write that is under way, too. */
  readonly #hurry = new AbortController()
  readonly #running: Promise<void>

  /** @param payload of the object, which was just written */
  constructor(vault: OpenVault, name: string, payload: Buffer) {
    this.#running = this.#run(vault, name, payload)
  }

  /** Ends it, so that nothing is written any more. Waits for a write that is under way: it must not come later. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  /** Ends it at once. A write that is under way may still arrive; a sweep then removes what it wrote. */
  async stopNow(): Promise<void> {
    this.#hurry.abort()
    await this.stop()
  }

  async #run(vault: OpenVault, name: string, payload: Buffer): Promise<void> {
    for (;;) {
      await vault.clock.sleep(refreshMs, this.#stop.signal).catch(() => {})
      if (this.#stop.signal.aborted) return
      try {
        await vault.objects.write(name, payload, { signal: this.#hurry.signal })
      } catch (error) {
        if (!this.#hurry.signal.aborted) vault.log.warn('work could not be announced again', { name, error })
      }
    }
  }
}

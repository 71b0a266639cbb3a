/**
 * Keeps dialling paired docks that have no link: at once on a fresh hint, else after 0.5 s, doubling up to
 * 15 s, with some chance so that two docks don't keep meeting half-way. Promises one attempt at a time for
 * each dock. Relies on `links.ts` for what becomes of a channel.
 */
import { fail, isCode, toWdockError, type WdockError } from '../../shared/errors/index.ts'
import type { Log } from '../platform/log.ts'
import type { Random } from '../platform/random.ts'
import type { Address } from './address.ts'
import { type ChannelRegistry, controlAlpn } from './channels.ts'
import { dialAny } from './dial-any.ts'
import type { Identity } from './identity.ts'
import type { Links } from './links.ts'

const firstDelayMs = 500
const maxDelayMs = 15_000
/** Two docks that dial each other at once settle on a link within this. */
const surplusWaitMs = 1000

export interface RedialOptions {
  identity: Identity
  links: Links
  registry: ChannelRegistry
  random: Random
  log: Log
  /** Where the dock may be, best first; null when it is not paired. */
  addressesOf: (dockId: string) => Address[] | null
  nameOf: (dockId: string) => string
}

interface Entry {
  delayMs: number
  timer: NodeJS.Timeout | null
  attempt: Promise<WdockError | null> | null
}

export class Redialler {
  readonly #options: RedialOptions
  readonly #entries = new Map<string, Entry>()
  readonly #stopping = new AbortController()

  constructor(options: RedialOptions) {
    this.#options = options
  }

  /** Tries again later, if nothing is under way. */
  schedule(dockId: string): void {
    const entry = this.#entry(dockId)
    if (entry.timer !== null || entry.attempt !== null || this.#stopping.signal.aborted) return
    const delayMs = entry.delayMs * (0.8 + this.#options.random.int(401) / 1000)
    entry.delayMs = Math.min(entry.delayMs * 2, maxDelayMs)
    entry.timer = setTimeout(() => {
      entry.timer = null
      void this.now(dockId)
    }, delayMs)
  }

  /**
   * Dials now, or joins the attempt under way.
   * @returns null when the dock has a link, else why not
   */
  now(dockId: string): Promise<WdockError | null> {
    const entry = this.#entry(dockId)
    if (entry.timer !== null) clearTimeout(entry.timer)
    entry.timer = null
    entry.attempt ??= this.#attempt(dockId).finally(() => {
      entry.attempt = null
      if (this.#options.links.get(dockId) !== null) entry.delayMs = firstDelayMs
      else if (this.#options.addressesOf(dockId) !== null) this.schedule(dockId)
    })
    return entry.attempt
  }

  /**
   * Dials and waits until the dock is online, until it is clear that it will not be, or until `signal`.
   * @returns why it is not online; null when it is, or when `signal` came first
   */
  bring(dockId: string, onOnline: (listener: (dockId: string) => void) => () => void, signal: AbortSignal) {
    return new Promise<WdockError | null>((resolve) => {
      let timer: NodeJS.Timeout | null = null
      const done = (failure: WdockError | null): void => {
        if (timer !== null) clearTimeout(timer)
        forgetOnline()
        signal.removeEventListener('abort', onAbort)
        resolve(failure)
      }
      const onAbort = (): void => done(null)
      const forgetOnline = onOnline((id) => {
        if (id === dockId) done(null)
      })
      signal.addEventListener('abort', onAbort)
      void this.now(dockId).then((failure) => {
        // Closed as surplus: both docks dialled at once, and the other channel is about to be the link.
        if (failure !== null && isCode(failure, 'dock.link_lost'))
          timer = setTimeout(done, surplusWaitMs, failure)
        else done(failure)
      })
    })
  }

  /** A fresh hint: whatever waited need not wait any more. */
  kick(dockId: string): void {
    if (this.#options.links.get(dockId) !== null) return
    this.#entry(dockId).delayMs = firstDelayMs
    void this.now(dockId)
  }

  forget(dockId: string): void {
    const entry = this.#entries.get(dockId)
    if (entry?.timer) clearTimeout(entry.timer)
    this.#entries.delete(dockId)
  }

  async close(): Promise<void> {
    this.#stopping.abort()
    const attempts = [...this.#entries.values()].map(({ attempt }) => attempt)
    for (const dockId of [...this.#entries.keys()]) this.forget(dockId)
    await Promise.all(attempts)
  }

  #entry(dockId: string): Entry {
    const entry = this.#entries.get(dockId) ?? { delayMs: firstDelayMs, timer: null, attempt: null }
    this.#entries.set(dockId, entry)
    return entry
  }

  async #attempt(dockId: string): Promise<WdockError | null> {
    const { links, log } = this.#options
    if (links.get(dockId) !== null) return null
    const addresses = this.#options.addressesOf(dockId)
    const dock = this.#options.nameOf(dockId)
    if (addresses === null) return fail('dock.not_paired', { dock })
    if (links.isBanned(dockId)) return fail('dock.rate_limited')
    try {
      const { channel, address } = await dialAny({
        identity: this.#options.identity,
        addresses,
        alpn: controlAlpn,
        expectedId: dockId,
        dockName: dock,
        signal: this.#stopping.signal,
      })
      if (this.#stopping.signal.aborted || !this.#options.registry.add(dockId, channel.socket)) {
        channel.socket.destroy()
        return fail('dock.unreachable', { dock })
      }
      const settled = await links.admit(channel, address)
      // A surplus channel is closed because there is a link.
      return settled.kind === 'link' || links.get(dockId) !== null ? null : settled.error
    } catch (error) {
      const coded = toWdockError(error)
      log.debug('dial failed', { dockId, code: coded.code, detail: coded.detail })
      return coded
    }
  }
}

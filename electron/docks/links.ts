/**
 * The links: at most one control channel a paired dock, whoever dialled. Promises one `online` and one
 * `offline` for each link, in order, and that of several channels both docks settle on the same one (the
 * dock with the smaller id chooses; PROTOCOL.md, "One link"). Relies on `redial.ts` to dial.
 */
import { fail, isCode, type WdockError } from '../../shared/errors/index.ts'
import type { Clock } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import type { Address } from './address.ts'
import { Calls, type Handlers } from './calls.ts'
import type { Channel, ChannelRegistry } from './channels.ts'
import { ControlChannel } from './control.ts'
import { plainAddress } from './listener.ts'
import { type HelloMessage, protocolRange } from './messages.ts'
import { RateLimit } from './rate-limit.ts'

const surplusWithinMs = 2000
const badMessagesPerMinute = 5

/** One dock that is online. */
export interface Link {
  control: ControlChannel
  calls: Calls
  name: string
  appVersion: string
  session: string
  /** Where the dock listens, as far as this channel tells. */
  address: Address
  upAtMs: number
}

export interface LinksOptions {
  ownId: string
  /** Random for each start of this host. */
  session: string
  /** What hello says of this dock. */
  about: () => { name: string; appVersion: string; port: number }
  handlers: Handlers
  registry: ChannelRegistry
  clock: Clock
  log: Log
  /** A dock came online. */
  online: (dockId: string, link: Link) => void
  offline: (dockId: string, error: WdockError) => void
  /** The dock, under its right identity, says that it is not paired with us. */
  disowned: (dockId: string) => void
}

/** How an attempt to make a channel the link ended. */
export type Settled = { kind: 'link' } | { kind: 'closed'; error: WdockError }

export class Links {
  readonly #options: LinksOptions
  readonly #links = new Map<string, Link>()
  readonly #badMessages: RateLimit

  constructor(options: LinksOptions) {
    this.#options = options
    this.#badMessages = new RateLimit(badMessagesPerMinute, 60_000, options.clock)
  }

  get(dockId: string): Link | null {
    return this.#links.get(dockId) ?? null
  }

  all(): Iterable<[string, Link]> {
    return this.#links.entries()
  }

  /** True while a dock that sent too much garbage has to wait. */
  isBanned(dockId: string): boolean {
    return this.#badMessages.exhausted(dockId)
  }

  /**
   * Greets a verified control channel. Resolves when it is the link or has been closed.
   * @param dialled the address it was dialled at; null when the other dock dialled
   */
  admit(channel: Channel, dialled: Address | null): Promise<Settled> {
    const { dockId, socket } = channel
    if (this.isBanned(dockId)) {
      socket.destroy()
      return Promise.resolve({ kind: 'closed', error: fail('dock.rate_limited') })
    }
    return new Promise((resolve) => {
      let link: Link | null = null
      const control = new ControlChannel({
        channel,
        clock: this.#options.clock,
        hello: this.#hello(),
        tookBytes: () => this.#options.registry.tookBytes(dockId),
        events: {
          greeted: (hello) => {
            link = this.#linkOf(control, hello, dialled)
            if (this.#options.ownId > dockId) return
            this.#choose(link)
            if (control.up) resolve({ kind: 'link' })
          },
          use: () => {
            if (link !== null) this.#establish(link, false)
            resolve({ kind: 'link' })
          },
          call: (message) => link?.calls.receive(message),
          closed: (error) => {
            this.#onClosed(dockId, link, error)
            resolve({ kind: 'closed', error })
          },
        },
      })
    })
  }

  /** Closes the link of a dock, telling it why. */
  drop(dockId: string, error: WdockError | null): void {
    this.#links.get(dockId)?.control.bye(error)
  }

  dropAll(): void {
    for (const dockId of [...this.#links.keys()]) this.drop(dockId, null)
  }

  #hello(): HelloMessage {
    const { ownId, session, about } = this.#options
    return { kind: 'hello', protocol: protocolRange, dockId: ownId, session, ...about() }
  }

  #linkOf(control: ControlChannel, hello: HelloMessage, dialled: Address | null): Link {
    const { handlers, log, clock } = this.#options
    const { dockId } = control
    const link: Link = {
      control,
      calls: new Calls({
        handlers,
        log,
        from: () => ({ dockId, name: link.name }),
        send: (message) => control.send(message),
      }),
      name: hello.name,
      appVersion: hello.appVersion,
      session: hello.session,
      address: dialled ?? { host: plainAddress(control.remoteAddress), port: hello.port },
      upAtMs: clock.monotonicMs(),
    }
    return link
  }

  #choose(link: Link): void {
    const current = this.#links.get(link.control.dockId)
    const young = current !== undefined && link.upAtMs - current.upAtMs < surplusWithinMs
    if (young && current.session === link.session) link.control.bye(null)
    else this.#establish(link, true)
  }

  #establish(link: Link, tell: boolean): void {
    const { dockId } = link.control
    const old = this.#links.get(dockId)
    if (old !== undefined) old.control.bye(null)
    link.control.establish(tell)
    // Writing may have ended it already.
    if (!link.control.up) return
    this.#links.set(dockId, link)
    this.#options.log.info('dock online', { dockId, name: link.name })
    this.#options.online(dockId, link)
  }

  #onClosed(dockId: string, link: Link | null, error: WdockError): void {
    link?.calls.end(error)
    const wasLink = link !== null && this.#links.get(dockId) === link
    if (wasLink) this.#links.delete(dockId)
    if (isCode(error, 'dock.bad_message')) this.#onBadMessage(dockId, error)
    // Silence says that the way there is gone: nothing on it will end by itself.
    if (wasLink && isCode(error, 'dock.silent')) this.#options.registry.cut(dockId)
    if (wasLink) {
      this.#options.log.info('dock offline', { dockId, code: error.code, detail: error.detail })
      this.#options.offline(dockId, error)
    }
    if (isCode(error, 'dock.not_paired')) this.#options.disowned(dockId)
  }

  #onBadMessage(dockId: string, error: WdockError): void {
    if (this.#badMessages.take(dockId)) {
      this.#options.log.warn('bad message from a dock', { dockId, detail: error.detail })
    }
  }
}

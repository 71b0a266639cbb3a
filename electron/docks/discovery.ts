/**
 * Finding docks by mDNS/DNS-SD, `_wdock._tcp`. Promises hints and nothing more: what is heard here may be
 * forged and decides nothing. One responder for each interface, following addresses that come and go; goodbye
 * on stop. Relies on bonjour-service for the DNS and on `multicast.ts` to keep its failures from being fatal.
 */
import { networkInterfaces } from 'node:os'
import type { Bonjour, Browser, Service } from 'bonjour-service'
import { z } from 'zod'
import type { Clock } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import { type Address, uniqueAddresses } from './address.ts'
import { dockIdSchema, shortId } from './dock-id.ts'
import { dockNameSchema } from './identity.ts'
import { chooseInterfaces, type UsableInterface } from './interfaces.ts'
import { protocolRange } from './messages.ts'
import { openBonjour } from './multicast.ts'

const serviceType = 'wdock'
const lookEveryMs = 3000
/** A question may be lost, on Wi-Fi above all. */
const askAgainMs = [300, 1000]
const askEveryMs = 30_000
/** Two questions without an answer: gone without goodbye. */
const staleAfterMs = 2.5 * askEveryMs
const maxHints = 256
const maxAddresses = 4
/** A label of DNS holds 63 bytes. */
const maxLabelBytes = 63
const goodbyeTimeoutMs = 300

/** A dock that is said to be at some addresses. */
export interface Hint {
  dockId: string
  name: string
  /** Best first. */
  addresses: Address[]
}

export interface DiscoveryOptions {
  dockId: string
  name: string
  port: number
  /** Empty: all real ones. */
  interfaces: readonly string[]
  clock: Clock
  log: Log
  /** A dock was heard of, for the first time or with something new. */
  found: (hint: Hint) => void
  /** A dock said goodbye, or its records expired. */
  lost: (dockId: string) => void
}

const heardService = z.object({
  fqdn: z.string().max(512),
  port: z.int().min(1).max(65_535),
  txt: z.object({ id: dockIdSchema, name: dockNameSchema }),
  addresses: z.array(z.string().max(64)).max(64),
  referer: z.object({ address: z.string().max(64) }),
})

interface Responder {
  address: string
  bonjour: Bonjour
  browser: Browser | null
  askedAtMs: number
  timers: NodeJS.Timeout[]
}

export class Discovery {
  readonly #options: DiscoveryOptions
  readonly #responders = new Map<string, Responder>()
  /** By interface and service name: a dock is lost when nothing is heard of it anywhere. */
  readonly #heard = new Map<string, Hint & { heardAtMs: number }>()
  readonly #timer: NodeJS.Timeout
  #name: string
  #looking: Promise<void> = Promise.resolve()
  #stopped = false

  constructor(options: DiscoveryOptions) {
    this.#options = options
    this.#name = options.name
    this.#timer = setInterval(() => this.#look(), lookEveryMs)
    this.#look()
  }

  /** Resolves when the interfaces have been looked at and are in use. */
  async ready(): Promise<void> {
    await this.#looking
  }

  /** Announces another name. */
  async rename(name: string): Promise<void> {
    this.#name = name
    await this.#looking
    for (const { bonjour } of this.#responders.values()) {
      await goodbye(bonjour)
      this.#publish(bonjour)
    }
  }

  /** Says goodbye on every interface and stops. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearInterval(this.#timer)
    await this.#looking
    await Promise.all([...this.#responders.keys()].map((name) => this.#close(name)))
  }

  #look(): void {
    this.#looking = this.#looking
      .then(() => this.#follow())
      .catch((error: unknown) => {
        this.#options.log.warn('looking at network interfaces failed', { error })
      })
  }

  async #follow(): Promise<void> {
    if (this.#stopped) return
    const chosen = chooseInterfaces(networkInterfaces(), this.#options.interfaces)
    for (const [name, { address }] of [...this.#responders]) {
      if (!chosen.some((each) => each.name === name && each.address === address)) await this.#close(name)
    }
    for (const each of chosen) {
      if (!this.#responders.has(each.name)) await this.#open(each)
    }
    const nowMs = this.#options.clock.monotonicMs()
    for (const [name, responder] of this.#responders) {
      if (nowMs - responder.askedAtMs >= askEveryMs) this.#ask(name, responder)
    }
    for (const [key, { heardAtMs }] of [...this.#heard]) {
      if (nowMs - heardAtMs > staleAfterMs) this.#forget(key)
    }
  }

  async #open(on: UsableInterface): Promise<void> {
    const { name, address } = on
    const { log } = this.#options
    const onTrouble = (error: unknown): void => log.debug('multicast trouble', { name, address, error })
    const bonjour = await openBonjour(on, onTrouble)
    if (bonjour === null) return
    const responder = { address, bonjour, browser: null, askedAtMs: 0, timers: [] }
    this.#responders.set(name, responder)
    this.#ask(name, responder)
    this.#publish(bonjour)
    log.info('discovery on interface', { name, address })
  }

  /** With a browser of its own: one that knows a dock already does not say that it was heard again. */
  #ask(name: string, responder: Responder): void {
    responder.browser?.stop()
    for (const timer of responder.timers) clearTimeout(timer)
    const browser = responder.bonjour.find({ type: serviceType })
    const heard = (service: Service): void => this.#onHeard(name, service)
    browser.on('up', heard).on('txt-update', heard).on('srv-update', heard)
    browser.on('down', (service) => this.#forget(`${name} ${service.fqdn}`))
    responder.browser = browser
    responder.askedAtMs = this.#options.clock.monotonicMs()
    responder.timers = askAgainMs.map((delayMs) => setTimeout(() => browser.update(), delayMs))
  }

  #publish(bonjour: Bonjour): void {
    const { dockId, port } = this.#options
    bonjour.publish({
      name: instanceName(this.#name, dockId),
      type: serviceType,
      port,
      host: `wdock-${shortId(dockId)}.local`,
      txt: { id: dockId, name: this.#name, v: String(protocolRange.max) },
      // The short id makes the name ours: asking first would only cost a second.
      probe: false,
    })
  }

  async #close(name: string): Promise<void> {
    const responder = this.#responders.get(name)
    if (responder === undefined) return
    this.#responders.delete(name)
    for (const timer of responder.timers) clearTimeout(timer)
    responder.browser?.stop()
    await goodbye(responder.bonjour)
    await new Promise<void>((resolve) => responder.bonjour.destroy(() => resolve()))
    for (const key of [...this.#heard.keys()]) {
      if (key.startsWith(`${name} `)) this.#forget(key)
    }
  }

  #onHeard(name: string, service: Service): void {
    const parsed = heardService.safeParse(service)
    if (!parsed.success || this.#stopped) return
    const { fqdn, port, txt, addresses, referer } = parsed.data
    const key = `${name} ${fqdn}`
    if (txt.id === this.#options.dockId || (this.#heard.size >= maxHints && !this.#heard.has(key))) return
    // The sender of the packet is on this link; what it lists may be on others.
    const hosts = [referer.address, ...addresses.filter((host) => host !== referer.address && isIpv4(host))]
    const hint = { dockId: txt.id, name: txt.name, addresses: hosts.map((host) => ({ host, port })) }
    this.#heard.set(key, { ...hint, heardAtMs: this.#options.clock.monotonicMs() })
    this.#tell(txt.id)
  }

  #forget(key: string): void {
    const hint = this.#heard.get(key)
    if (hint === undefined) return
    this.#heard.delete(key)
    this.#tell(hint.dockId)
  }

  /** Puts together what was heard of a dock on all interfaces: the senders' own addresses first. */
  #tell(dockId: string): void {
    if (this.#stopped) return
    const heard = [...this.#heard.values()].filter((hint) => hint.dockId === dockId)
    const latest = heard.toSorted((one, other) => other.heardAtMs - one.heardAtMs)[0]
    if (latest === undefined) {
      this.#options.lost(dockId)
      return
    }
    const senders = heard.flatMap(({ addresses }) => addresses.slice(0, 1))
    const addresses = uniqueAddresses([...senders, ...heard.flatMap((hint) => hint.addresses)])
    this.#options.found({ dockId, name: latest.name, addresses: addresses.slice(0, maxAddresses) })
  }
}

function isIpv4(host: string): boolean {
  return /^\d+\.\d+\.\d+\.\d+$/.test(host)
}

/** `NAME (SHORT-ID)`, cut to what DNS allows at a character. */
function instanceName(name: string, dockId: string): string {
  const suffix = ` (${shortId(dockId)})`
  let text = name
  while (Buffer.byteLength(text + suffix) > maxLabelBytes) text = [...text].slice(0, -1).join('')
  return text + suffix
}

function goodbye(bonjour: Bonjour): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, goodbyeTimeoutMs)
    bonjour.unpublishAll(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}

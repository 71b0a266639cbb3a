/**
 * All pairing of a host: who asks, one ceremony at a time, and how the last one ended. Promises that a stranger
 * learns no more than name, version and port, and starts at most six ceremonies a minute; that one pairing at most
 * is listed; and that a failed one stays listed until a person has seen it or the next one starts. Relies on the
 * listener for the limits on connections.
 */
import { errorFromShape, fail } from '../../shared/errors/index.ts'
import type { Clock } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import type { Random } from '../platform/random.ts'
import type { Address } from './address.ts'
import { Ceremony } from './ceremony.ts'
import { type Channel, dial, endSoon, firstFrameTimeoutMs, pairingAlpn } from './channels.ts'
import { dialAny } from './dial-any.ts'
import { encodeFrame, pairingFrameLimitBytes, readFrame } from './framing.ts'
import type { Identity } from './identity.ts'
import { errorForPeer, protocolRange, protocolsMeet } from './messages.ts'
import { nonceBytes } from './pairing.ts'
import { type AboutDock, type PairingMessage, pairingMessage, type StartMessage } from './pairing-messages.ts'
import { RateLimit } from './rate-limit.ts'
import type { PairingInfo } from './types.ts'

const ceremoniesPerMinute = 6
/** How long a success stays listed: long enough to be read. */
const keepPairedMs = 8000
const tickMs = 250

export interface PairingDeskOptions {
  identity: Identity
  clock: Clock
  random: Random
  log: Log
  about: () => AboutDock
  isPeer: (dockId: string) => boolean
  /** Both persons confirmed: stores the peer. */
  store: (dockId: string, about: AboutDock, host: string) => Promise<void>
  /** The ceremony failed after `store`: takes it back. */
  unstore: (dockId: string) => void
  changed: () => void
  /** What an address sent was not valid. */
  penalise: (host: string) => void
}

export class PairingDesk {
  readonly #options: PairingDeskOptions
  readonly #ceremonies: RateLimit
  /** How the last ceremony ended, until it was dismissed, has been read, or another one starts. */
  #last: PairingInfo | null = null
  #forgetLast: NodeJS.Timeout | null = null
  /** Ceremonies of ours that gave way to the same one of the other side: nobody needs to hear of them. */
  readonly #superseded = new WeakSet<Ceremony>()
  #current: Ceremony | null = null
  #dialling = false
  #timer: NodeJS.Timeout | null = null

  constructor(options: PairingDeskOptions) {
    this.#options = options
    this.#ceremonies = new RateLimit(ceremoniesPerMinute, 60_000, options.clock)
  }

  /** The ceremony under way, or how the last one ended. */
  list(): PairingInfo[] {
    const shown = this.#current?.info() ?? this.#last
    return shown === null ? [] : [shown]
  }

  /** Asks who answers at an address. @throws dock.unreachable, dock.silent, dock.rate_limited */
  async ask(address: Address): Promise<{ dockId: string; about: AboutDock }> {
    const { identity } = this.#options
    const channel = await dial({
      identity,
      address,
      alpn: pairingAlpn,
      expectedId: null,
      dockName: address.host,
    })
    try {
      send(channel, { kind: 'who' })
      const message = await readMessage(channel, address.host)
      if (message.kind === 'refuse') throw errorFromShape(message.error)
      if (message.kind !== 'here') throw fail('dock.bad_message', {}, { detail: message.kind })
      return { dockId: channel.dockId, about: message }
    } finally {
      channel.socket.destroy()
    }
  }

  /**
   * Starts a ceremony as initiator.
   * @throws pairing.busy, pairing.already_paired, dock.unreachable, dock.identity_changed
   */
  async start(dockId: string, dockName: string, addresses: readonly Address[]): Promise<PairingInfo> {
    const { identity, isPeer } = this.#options
    if (isPeer(dockId)) throw fail('pairing.already_paired')
    if (this.#dialling || this.#isBusy()) throw fail('pairing.busy')
    this.#dialling = true
    try {
      const alpn = pairingAlpn
      const { channel, address } = await dialAny({ identity, addresses, alpn, expectedId: dockId, dockName })
      if (this.#isBusy()) {
        channel.socket.destroy()
        throw fail('pairing.busy')
      }
      return this.#run(channel, null, dockName, address.host)
    } finally {
      this.#dialling = false
    }
  }

  /** Takes a verified pairing channel of anybody. Never throws. */
  async receive(channel: Channel, host: string): Promise<void> {
    const { identity, log, penalise } = this.#options
    try {
      if (channel.dockId === identity.id) throw fail('host.bad_input', { why: 'that is this PC itself' })
      const message = await readMessage(channel, host)
      if (message.kind === 'who') {
        send(channel, { kind: 'here', ...this.#options.about() })
        endSoon(channel.socket)
        return
      }
      if (message.kind !== 'start') throw fail('dock.bad_message', {}, { detail: message.kind })
      this.#admit(channel, message, host)
    } catch (error) {
      const shape = errorForPeer(error)
      if (shape.code === 'dock.bad_message') penalise(host)
      log.info('pairing turned away', {
        host,
        dockId: channel.dockId,
        code: shape.code,
        detail: shape.detail,
      })
      send(channel, { kind: 'refuse', error: shape })
      endSoon(channel.socket)
    }
  }

  /** @throws pairing.not_found, host.bad_input while there is no code */
  confirm(pairingId: string): void {
    this.#find(pairingId).confirm()
  }

  /** @throws pairing.not_found */
  refuse(pairingId: string): void {
    this.#find(pairingId).refuse()
  }

  /** A person has read how a pairing ended. One that is under way, or gone already, stays as it is. */
  dismiss(pairingId: string): void {
    if (this.#last?.id !== pairingId) return
    this.#keepLast(null)
    this.#options.changed()
  }

  close(): void {
    this.#current?.refuse()
    this.#keepLast(null)
    this.#stopTicking()
  }

  #find(pairingId: string): Ceremony {
    const ceremony = this.#current
    if (ceremony === null || ceremony.info().id !== pairingId) throw fail('pairing.not_found')
    return ceremony
  }

  #isBusy(): boolean {
    this.#current?.tick()
    return this.#current !== null
  }

  #admit(channel: Channel, start: StartMessage, host: string): void {
    const { about, identity } = this.#options
    if (!protocolsMeet(start.protocol)) {
      const ours = about()
      const values = { dock: ours.name, theirs: ours.appVersion, ours: start.appVersion }
      throw fail('dock.version_mismatch', values)
    }
    if (!this.#ceremonies.take(host)) throw fail('dock.rate_limited')
    this.#current?.tick()
    const current = this.#current
    if (current !== null) {
      // Both started at once: the smaller id stays the initiator.
      const crossed = current.dockId === channel.dockId && current.isWaitingInitiator
      if (!crossed || identity.id < channel.dockId) throw fail('pairing.busy')
      this.#superseded.add(current)
      current.refuse()
    }
    this.#run(channel, start, start.name, host)
  }

  #run(channel: Channel, start: StartMessage | null, dockName: string, host: string): PairingInfo {
    const { clock, identity, random, about, store, unstore } = this.#options
    const ceremony = new Ceremony({
      id: random.uuid(),
      channel,
      ownHash: identity.certificateHash,
      ownNonce: random.bytes(nonceBytes),
      about: about(),
      start,
      dockName,
      clock,
      store: (theirs) => store(channel.dockId, theirs, host),
      unstore: () => unstore(channel.dockId),
      changed: () => this.#onChanged(ceremony),
    })
    this.#current = ceremony
    this.#keepLast(null)
    this.#timer ??= setInterval(() => this.#current?.tick(), tickMs)
    ceremony.begin(protocolRange)
    this.#options.log.info('pairing started', { dockId: channel.dockId, host, role: ceremony.info().role })
    this.#options.changed()
    return ceremony.info()
  }

  #onChanged(ceremony: Ceremony): void {
    if (ceremony.ended) this.#onEnded(ceremony)
    this.#options.changed()
  }

  #onEnded(ceremony: Ceremony): void {
    const info = ceremony.info()
    if (!this.#superseded.has(ceremony)) this.#keepLast(info)
    this.#options.log.info('pairing ended', { dockId: info.dockId, state: info.state })
    if (this.#current !== ceremony) return
    this.#current = null
    this.#stopTicking()
  }

  #keepLast(info: PairingInfo | null): void {
    if (this.#forgetLast !== null) clearTimeout(this.#forgetLast)
    this.#forgetLast = null
    this.#last = info
    if (info?.state.kind !== 'ended' || info.state.outcome !== 'paired') return
    this.#forgetLast = setTimeout(() => this.dismiss(info.id), keepPairedMs)
    this.#forgetLast.unref()
  }

  #stopTicking(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }
}

function send({ socket }: Channel, message: PairingMessage): void {
  if (socket.writable) socket.write(encodeFrame(message, pairingFrameLimitBytes))
}

async function readMessage({ socket }: Channel, dock: string): Promise<PairingMessage> {
  const frame = await readFrame(socket, {
    limitBytes: pairingFrameLimitBytes,
    timeoutMs: firstFrameTimeoutMs,
    dock,
  })
  const parsed = pairingMessage.safeParse(frame)
  if (!parsed.success) throw fail('dock.bad_message', {}, { detail: parsed.error.message })
  return parsed.data
}

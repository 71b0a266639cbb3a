/**
 * One side of a pairing over its channel. Promises that it ends: by both persons' word, a refusal, its
 * timeout or the channel's end; and that the other side is told when it ends here. Relies on `pairing.ts` for
 * what may happen when, and on its owner to call `tick`.
 */
import { assertNever } from '../../shared/assert-never.ts'
import { fail, toWdockError } from '../../shared/errors/index.ts'
import type { Clock } from '../platform/clock.ts'
import { type Channel, endSoon } from './channels.ts'
import { certificateHash } from './dock-id.ts'
import { encodeFrame, FrameSplitter, pairingFrameLimitBytes } from './framing.ts'
import { errorForPeer } from './messages.ts'
import {
  type CeremonyAction,
  type CeremonyEvent,
  type CeremonyState,
  ceremonyTimeoutMs,
  codeOf,
  commitmentOf,
  shownState,
  stepCeremony,
} from './pairing.ts'
import { type AboutDock, type PairingMessage, pairingMessage, type StartMessage } from './pairing-messages.ts'
import type { PairingInfo } from './types.ts'

export interface CeremonyOptions {
  id: string
  channel: Channel
  ownHash: Buffer
  ownNonce: Buffer
  about: AboutDock
  /** For the responder: what opened it. */
  start: StartMessage | null
  /** For the initiator: the name the dock is known by so far. */
  dockName: string
  clock: Clock
  /** Writes the peer; `about` is what it said of itself. */
  store: (about: AboutDock) => Promise<void>
  /** Takes `store` back: the ceremony failed after it. */
  unstore: () => void
  changed: () => void
}

export class Ceremony {
  readonly #options: CeremonyOptions
  readonly #splitter = new FrameSplitter(pairingFrameLimitBytes)
  readonly #startedAtMs: number
  readonly #deadlineMs: number
  #state: CeremonyState = { kind: 'waiting-for-peer' }
  #about: AboutDock | null

  constructor(options: CeremonyOptions) {
    const { channel, clock, start } = options
    this.#options = options
    this.#about = start
    this.#startedAtMs = clock.nowMs()
    this.#deadlineMs = clock.monotonicMs() + ceremonyTimeoutMs
    channel.socket.on('data', (chunk: Buffer) => this.#onData(chunk))
    channel.socket.on('end', () => this.#onLost())
    channel.socket.on('close', () => this.#onLost())
  }

  /** Sends the first message of this side. */
  begin(protocol: { min: number; max: number }): void {
    const { about, ownNonce, start } = this.#options
    if (start !== null) this.#send({ kind: 'answer', nonce: ownNonce.toString('hex'), ...about })
    else this.#send({ kind: 'start', protocol, commitment: commitmentOf(ownNonce), ...about })
  }

  get dockId(): string {
    return this.#options.channel.dockId
  }

  get ended(): boolean {
    return this.#state.kind === 'ended'
  }

  get isWaitingInitiator(): boolean {
    return this.#options.start === null && this.#state.kind === 'waiting-for-peer'
  }

  info(): PairingInfo {
    return {
      id: this.#options.id,
      dockId: this.dockId,
      dockName: this.#about?.name ?? this.#options.dockName,
      role: this.#options.start === null ? 'initiator' : 'responder',
      state: shownState(this.#state),
      startedAtMs: this.#startedAtMs,
      expiresAtMs: this.#startedAtMs + ceremonyTimeoutMs,
    }
  }

  /** The person here compared the digits. @throws host.bad_input while there are none to compare */
  confirm(): void {
    if (this.#state.kind === 'waiting-for-peer') throw fail('host.bad_input', { why: 'there is no code yet' })
    this.#apply({ kind: 'confirmed-here' })
  }

  refuse(): void {
    this.#apply({ kind: 'refused-here' })
  }

  failWith(error: Error): void {
    this.#apply({ kind: 'failed', error: errorForPeer(error) })
  }

  /** To be called a few times a second: ends the ceremony when its time is over. */
  tick(): void {
    if (this.#options.clock.monotonicMs() >= this.#deadlineMs) this.#apply({ kind: 'expired' })
  }

  #onData(chunk: Buffer): void {
    if (this.ended) return
    try {
      for (const frame of this.#splitter.push(chunk)) {
        const parsed = pairingMessage.safeParse(frame)
        if (!parsed.success) throw fail('dock.bad_message', {}, { detail: parsed.error.message })
        this.#onMessage(parsed.data)
      }
    } catch (error) {
      this.#apply({ kind: 'failed', error: toWdockError(error).toJSON() })
    }
  }

  #onMessage(message: PairingMessage): void {
    switch (message.kind) {
      case 'answer':
        this.#onAnswer(message.nonce, message)
        break
      case 'reveal':
        this.#onReveal(message.nonce)
        break
      case 'confirm':
        this.#apply({ kind: 'confirmed-there' })
        break
      case 'stored':
        this.#apply({ kind: 'stored-there' })
        break
      case 'refuse':
        this.#apply({ kind: 'refused-there', error: message.error })
        break
      case 'who':
      case 'here':
      case 'start':
        throw fail('dock.bad_message', {}, { detail: `${message.kind} out of turn` })
      default:
        assertNever(message)
    }
  }

  #onAnswer(nonce: string, about: AboutDock): void {
    const { channel, ownHash, ownNonce, start } = this.#options
    if (start !== null || this.#about !== null)
      throw fail('dock.bad_message', {}, { detail: 'answer out of turn' })
    this.#about = { name: about.name, appVersion: about.appVersion, port: about.port }
    this.#send({ kind: 'reveal', nonce: ownNonce.toString('hex') })
    const code = codeOf({
      initiatorHash: ownHash,
      responderHash: certificateHash(channel.certificate),
      initiatorNonce: ownNonce,
      responderNonce: Buffer.from(nonce, 'hex'),
    })
    this.#apply({ kind: 'code-known', code })
  }

  #onReveal(nonceHex: string): void {
    const { channel, ownHash, ownNonce, start } = this.#options
    const nonce = Buffer.from(nonceHex, 'hex')
    if (start === null) throw fail('dock.bad_message', {}, { detail: 'reveal out of turn' })
    if (commitmentOf(nonce) !== start.commitment) throw fail('pairing.code_mismatch')
    const code = codeOf({
      initiatorHash: certificateHash(channel.certificate),
      responderHash: ownHash,
      initiatorNonce: nonce,
      responderNonce: ownNonce,
    })
    this.#apply({ kind: 'code-known', code })
  }

  #onLost(): void {
    const dock = this.info().dockName
    if (!this.ended) this.#apply({ kind: 'failed', error: fail('dock.link_lost', { dock }).toJSON() })
  }

  #apply(event: CeremonyEvent): void {
    const before = this.#state
    const { state, actions } = stepCeremony(before, event)
    this.#state = state
    for (const action of actions) this.#act(action)
    if (state.kind === 'ended' && before.kind !== 'ended') {
      if (before.kind === 'storing' && state.outcome !== 'paired') this.#options.unstore()
      endSoon(this.#options.channel.socket)
    }
    if (state !== before) this.#options.changed()
  }

  #act(action: CeremonyAction): void {
    switch (action) {
      case 'send-confirm':
        this.#send({ kind: 'confirm' })
        break
      case 'send-refuse':
        this.#send({ kind: 'refuse', error: this.#reasonForPeer() })
        break
      case 'store':
        void this.#store()
        break
      default:
        assertNever(action)
    }
  }

  #reasonForPeer(): PairingInfoError {
    const error = this.#state.kind === 'ended' ? this.#state.error : null
    return error ?? fail('pairing.refused').toJSON()
  }

  async #store(): Promise<void> {
    try {
      if (this.#about === null) throw fail('dock.bad_message')
      await this.#options.store(this.#about)
      // It may have been refused or lost while the file was being written.
      if (this.ended) {
        this.#options.unstore()
        return
      }
      this.#send({ kind: 'stored' })
      this.#apply({ kind: 'stored-here' })
    } catch (error) {
      this.failWith(toWdockError(error))
    }
  }

  #send(message: PairingMessage): void {
    const { socket } = this.#options.channel
    if (socket.writable) socket.write(encodeFrame(message, pairingFrameLimitBytes))
  }
}

type PairingInfoError = Extract<PairingMessage, { kind: 'refuse' }>['error']

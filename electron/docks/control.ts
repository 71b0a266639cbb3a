/**
 * One control channel from hello to bye: frames, checks, heartbeat. Promises that `closed` is told exactly
 * once, with a coded reason, whatever ends it. Relies on `links.ts` to decide which channel becomes the link
 * and on `calls.ts` for requests and events.
 */
import { assertNever } from '../../shared/assert-never.ts'
import { errorFromShape, fail, toWdockError, type WdockError } from '../../shared/errors/index.ts'
import type { Clock } from '../platform/clock.ts'
import { type Channel, endSoon, firstFrameTimeoutMs } from './channels.ts'
import { controlFrameLimitBytes, encodeFrame, FrameSplitter } from './framing.ts'
import {
  type CallMessage,
  type ControlMessage,
  controlMessage,
  type HelloMessage,
  protocolRange,
  protocolsMeet,
} from './messages.ts'

export const idleHeartbeatMs = 5000
const missedLimit = 3
const queueLimitBytes = 8 * 1024 * 1024

export interface ControlEvents {
  /** Both hellos have crossed and fit. */
  greeted: (hello: HelloMessage) => void
  /** The chooser made this channel the link. */
  use: () => void
  call: (message: CallMessage) => void
  closed: (error: WdockError) => void
}

export interface ControlOptions {
  channel: Channel
  hello: HelloMessage
  clock: Clock
  /** True when any channel of this dock has brought bytes since the last call. */
  tookBytes: () => boolean
  events: ControlEvents
}

type State = 'greeting' | 'greeted' | 'up' | 'closed'

export class ControlChannel {
  readonly dockId: string
  readonly #options: ControlOptions
  readonly #splitter = new FrameSplitter(controlFrameLimitBytes)
  #state: State = 'greeting'
  #theirName = 'The other dock'
  #stageTimer: NodeJS.Timeout
  #heartbeat: NodeJS.Timeout | null = null
  #missed = 0
  #pingNumber = 0
  #pingSentAtMs: number | null = null
  #rttMs: number | null = null

  constructor(options: ControlOptions) {
    const { socket, dockId } = options.channel
    this.#options = options
    this.dockId = dockId
    this.#stageTimer = this.#limitStage()
    socket.on('data', (chunk: Buffer) => this.#onData(chunk))
    socket.on('end', () => this.#lost('ended'))
    socket.on('error', (error) => this.#lost(error.message))
    socket.on('close', () => this.#lost('closed'))
    this.#write(options.hello)
  }

  get up(): boolean {
    return this.#state === 'up'
  }

  /** Round trip of the last heartbeat in milliseconds. */
  get rttMs(): number | null {
    return this.#rttMs
  }

  get remoteAddress(): string | undefined {
    return this.#options.channel.socket.remoteAddress
  }

  /** Becomes the link; the chooser also tells the other side. */
  establish(tell: boolean): void {
    if (this.#state !== 'greeted') return
    this.#state = 'up'
    clearTimeout(this.#stageTimer)
    if (tell) this.#write({ kind: 'use' })
    this.setHeartbeat(idleHeartbeatMs)
  }

  setHeartbeat(intervalMs: number): void {
    if (this.#state !== 'up') return
    if (this.#heartbeat !== null) clearInterval(this.#heartbeat)
    this.#missed = 0
    this.#heartbeat = setInterval(() => this.#beat(), intervalMs)
    this.#ping()
  }

  /** Sends on a link that is up; drops silently otherwise. @throws host.bad_input over 1 MiB */
  send(message: CallMessage): void {
    if (this.#state === 'up') this.#write(message)
  }

  /** Says bye and closes. `error` tells the other side why; null: nothing is wrong. */
  bye(error: WdockError | null): void {
    if (this.#state === 'closed') return
    this.#write({ kind: 'bye', error: error?.toJSON() ?? null })
    this.#close(error ?? this.#linkLost('closed here'), true)
  }

  #onData(chunk: Buffer): void {
    if (this.#state === 'closed') return
    try {
      for (const frame of this.#splitter.push(chunk)) {
        const parsed = controlMessage.safeParse(frame)
        if (!parsed.success) throw fail('dock.bad_message', {}, { detail: parsed.error.message })
        this.#onMessage(parsed.data)
        if (this.#isClosed()) return
      }
    } catch (error) {
      this.bye(toWdockError(error))
    }
  }

  #isClosed(): boolean {
    return this.#state === 'closed'
  }

  #onMessage(message: ControlMessage): void {
    switch (message.kind) {
      case 'bye':
        this.#close(
          message.error === null ? this.#linkLost('closed there') : errorFromShape(message.error),
          true,
        )
        break
      case 'hello':
        this.#onHello(message)
        break
      case 'ping':
        this.#write({ kind: 'pong', n: message.n })
        break
      case 'pong':
        this.#onPong(message.n)
        break
      case 'use':
        this.#expect('greeted', message)
        this.#options.events.use()
        break
      case 'request':
      case 'response':
      case 'cancel':
      case 'event':
        this.#expect('up', message)
        this.#options.events.call(message)
        break
      default:
        assertNever(message)
    }
  }

  #expect(state: State, { kind }: ControlMessage): void {
    if (this.#state !== state) throw fail('dock.bad_message', {}, { detail: `${kind} out of turn` })
  }

  #onHello(hello: HelloMessage): void {
    const { hello: ours, events } = this.#options
    this.#expect('greeting', hello)
    if (hello.dockId !== this.dockId) throw fail('dock.bad_message', {}, { detail: 'hello of another dock' })
    this.#theirName = hello.name
    if (!protocolsMeet(hello.protocol)) {
      const theirs = `${hello.appVersion}, protocol ${hello.protocol.min}–${hello.protocol.max}`
      const here = `${ours.appVersion}, protocol ${protocolRange.min}–${protocolRange.max}`
      throw fail('dock.version_mismatch', { dock: hello.name, theirs, ours: here })
    }
    this.#state = 'greeted'
    clearTimeout(this.#stageTimer)
    this.#stageTimer = this.#limitStage()
    events.greeted(hello)
  }

  /** A greeting, or the wait for `use`, that takes too long. */
  #limitStage(): NodeJS.Timeout {
    return setTimeout(() => this.bye(fail('dock.silent', { dock: this.#theirName })), firstFrameTimeoutMs)
  }

  #beat(): void {
    this.#missed = this.#options.tookBytes() ? 0 : this.#missed + 1
    if (this.#missed < missedLimit) this.#ping()
    else this.#close(fail('dock.silent', { dock: this.#theirName }), false)
  }

  #ping(): void {
    if (this.#pingSentAtMs === null) {
      this.#pingNumber += 1
      this.#pingSentAtMs = this.#options.clock.monotonicMs()
    }
    this.#write({ kind: 'ping', n: this.#pingNumber })
  }

  #onPong(n: number): void {
    if (n !== this.#pingNumber || this.#pingSentAtMs === null) return
    this.#rttMs = this.#options.clock.monotonicMs() - this.#pingSentAtMs
    this.#pingSentAtMs = null
  }

  #write(message: ControlMessage): void {
    const { socket } = this.#options.channel
    const frame = encodeFrame(message, controlFrameLimitBytes)
    if (this.#state === 'closed' || !socket.writable) return
    socket.write(frame)
    if (socket.writableLength > queueLimitBytes)
      this.#close(fail('dock.silent', { dock: this.#theirName }), false)
  }

  #lost(detail: string): void {
    this.#close(this.#linkLost(detail), false)
  }

  #linkLost(detail: string): WdockError {
    return fail('dock.link_lost', { dock: this.#theirName }, { detail })
  }

  #close(error: WdockError, gently: boolean): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    clearTimeout(this.#stageTimer)
    if (this.#heartbeat !== null) clearInterval(this.#heartbeat)
    const { socket } = this.#options.channel
    if (gently) endSoon(socket)
    else socket.destroy()
    this.#options.events.closed(error)
  }
}

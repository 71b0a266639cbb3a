/**
 * Streams: channels that carry bytes of one use after one header and one answer. Promises that no byte flows
 * before the far handler has accepted, and that a refusal reaches the caller as the error it is. Relies on
 * the listener and `dial` for who is at the other end. A stream is half-open: each side ends its own half.
 */
import type { Duplex } from 'node:stream'
import { z } from 'zod'
import { errorFromShape, errorShape, fail } from '../../shared/errors/index.ts'
import type { Log } from '../platform/log.ts'
import type { Address } from './address.ts'
import {
  type Channel,
  type ChannelRegistry,
  dial,
  endSoon,
  firstFrameTimeoutMs,
  streamAlpn,
} from './channels.ts'
import { encodeFrame, headerFrameLimitBytes, readFrame } from './framing.ts'
import type { Identity } from './identity.ts'
import { errorForPeer } from './messages.ts'
import type { CallOptions, From, StreamHandler, StreamUse } from './types.ts'

const openTimeoutMs = 10_000

const headerFrame = z.object({ header: z.unknown() })

const answerFrame = z.object({ ok: z.boolean(), error: errorShape.optional() })

export interface OpenStreamOptions extends CallOptions {
  identity: Identity
  registry: ChannelRegistry
  address: Address
  dockId: string
  dockName: string
  use: StreamUse
  header: unknown
}

/**
 * Dials a stream and waits for the far handler.
 * @throws what the far handler threw; dock.unreachable, dock.identity_changed, dock.silent, dock.link_lost
 */
export async function openStream(options: OpenStreamOptions): Promise<Duplex> {
  const { dockId, dockName, signal } = options
  const timeoutMs = options.timeoutMs ?? openTimeoutMs
  const frame = encodeFrame({ header: options.header ?? null }, headerFrameLimitBytes)
  const { socket } = await dial({ ...options, alpn: streamAlpn(options.use), expectedId: dockId, timeoutMs })
  try {
    if (!options.registry.add(dockId, socket)) throw fail('dock.rate_limited')
    socket.write(frame)
    const limits = { limitBytes: headerFrameLimitBytes, timeoutMs, dock: dockName, signal }
    const answer = answerFrame.safeParse(await readFrame(socket, limits))
    if (!answer.success) throw fail('dock.bad_message', {}, { detail: answer.error.message })
    if (answer.data.ok) return socket
    throw answer.data.error ? errorFromShape(answer.data.error) : fail('dock.refused', { dock: dockName })
  } catch (error) {
    socket.destroy()
    throw error
  }
}

/** The handlers of incoming streams. */
export class StreamDesk {
  readonly #handlers = new Map<StreamUse, StreamHandler>()
  readonly #log: Log

  constructor(log: Log) {
    this.#log = log
  }

  handle(use: StreamUse, handler: StreamHandler): void {
    this.#handlers.set(use, handler)
  }

  /** Takes a verified stream channel: reads its header, asks the handler, answers. Never throws. */
  async receive(channel: Channel, use: StreamUse, from: From): Promise<void> {
    const { socket } = channel
    try {
      const limits = { limitBytes: headerFrameLimitBytes, timeoutMs: firstFrameTimeoutMs, dock: from.name }
      const parsed = headerFrame.safeParse(await readFrame(socket, limits))
      if (!parsed.success) throw fail('dock.bad_message', {}, { detail: parsed.error.message })
      const handler = this.#handlers.get(use)
      if (handler === undefined) throw fail('dock.refused', { dock: 'The other dock' })
      const take = await handler(from, parsed.data.header)
      if (socket.destroyed) return
      socket.write(encodeFrame({ ok: true }, headerFrameLimitBytes))
      take(socket)
    } catch (error) {
      this.#refuse(channel, use, error)
    }
  }

  #refuse({ socket, dockId }: Channel, use: StreamUse, error: unknown): void {
    const shape = errorForPeer(error)
    if (shape.code === 'host.unexpected') this.#log.error('taking a stream failed', { dockId, use, error })
    else this.#log.info('stream refused', { dockId, use, code: shape.code })
    if (!socket.writable) {
      socket.destroy()
      return
    }
    socket.write(encodeFrame({ ok: false, error: shape }, headerFrameLimitBytes))
    endSoon(socket)
  }
}

/**
 * A joint carries the bytes of a local socket of QEMU over a channel and back, until both have ended. Promises
 * back-pressure and half-close both ways, and that both streams are closed when it is over. Relies on both being
 * half-open, and on the local socket being paused since its start.
 */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { pipeDuplex } from './pipe.ts'

export interface Joint {
  /** Resolves when both sides have ended; rejects when one of them failed, joined or not. */
  readonly ended: Promise<void>
  join(local: Socket): void
  /** Bytes that have crossed the local socket, both ways. */
  bytes(): number
  /** Cuts both sides. */
  destroy(): void
}

/** A joint that puts the bytes on the channel as they are. */
export function plainJoint(channel: Duplex): Joint {
  const { promise: ended, resolve, reject } = Promise.withResolvers<void>()
  ended.catch(() => undefined)
  channel.once('error', reject)
  let joined: Socket | null = null
  return {
    ended,
    join: (local) => {
      joined = local
      pipeDuplex(local, channel).then(() => resolve(), reject)
      local.resume()
    },
    bytes: () => (joined === null ? 0 : joined.bytesRead + joined.bytesWritten),
    destroy: () => {
      joined?.destroy()
      channel.destroy()
    },
  }
}

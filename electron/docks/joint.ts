/**
 * A joint carries the bytes of a local socket of QEMU over a channel and back, until both have ended. Promises
 * back-pressure and half-close both ways, and that both streams are closed when it is over. Relies on both being
 * half-open, and on the local socket being paused since its start.
 */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { fail } from '../../shared/errors/index.ts'
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

/**
 * A joint that puts the bytes on the channel as they are. `ended` rejects with the first error of either side, or
 * with dock.link_lost when one of them closes without an end.
 */
export function plainJoint(channel: Duplex): Joint {
  const { promise: ended, resolve, reject } = Promise.withResolvers<void>()
  ended.catch(() => undefined)
  const onEarlyClose = (): void =>
    reject(fail('dock.link_lost', { dock: 'The other side' }, { detail: 'closed before it was joined' }))
  channel.once('error', reject)
  channel.once('close', onEarlyClose)
  if (channel.destroyed) onEarlyClose()
  let joined: Socket | null = null
  return {
    ended,
    join: (local) => {
      joined = local
      // From here on a channel may close after its end while the local socket still takes the last bytes.
      channel.off('close', onEarlyClose)
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

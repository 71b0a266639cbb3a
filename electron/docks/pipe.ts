/**
 * Joins two byte streams, such as a unix socket of QEMU and a channel. Promises back-pressure, half-close
 * and failure in both directions, and that both streams are closed when it settles. Relies on both being
 * half-open streams; one that closes itself after its end is taken as finished in both directions.
 */
import type { Duplex } from 'node:stream'
import { fail } from '../../shared/errors/index.ts'
import { Stager } from './stager.ts'

export interface PipedBytes {
  aToB: number
  bToA: number
}

/** How long what was written to a closing side may take to get out. */
const lingerMs = 5000

interface Side {
  stream: Duplex
  readBytes: number
  readEnded: boolean
  finished: boolean
}

/**
 * Copies both ways until both sides have ended.
 * @throws the first error of either stream; dock.link_lost when one closes without an end
 */
export function pipeDuplex(a: Duplex, b: Duplex): Promise<PipedBytes> {
  return new Promise((resolve, reject) => {
    const sideA: Side = { stream: a, readBytes: 0, readEnded: false, finished: false }
    const sideB: Side = { stream: b, readBytes: 0, readEnded: false, finished: false }
    let settled = false
    let linger: NodeJS.Timeout | null = null
    const settle = (error: Error | null): void => {
      if (settled) return
      settled = true
      if (linger !== null) clearTimeout(linger)
      if (error !== null) {
        a.destroy()
        b.destroy()
        reject(error)
        return
      }
      closeSoon(a)
      closeSoon(b)
      resolve({ aToB: sideA.readBytes, bToA: sideB.readBytes })
    }
    const update = (): void => {
      const done = (from: Side, to: Side): boolean => from.readEnded && (to.finished || to.stream.destroyed)
      if (done(sideA, sideB) && done(sideB, sideA)) settle(null)
    }
    const onClose = (side: Side, other: Side): void => {
      if (!side.readEnded) {
        settle(fail('dock.link_lost', { dock: 'The other side' }, { detail: 'closed without an end' }))
        return
      }
      // Nothing can be written to this side any more: let the other one get its last bytes out and end.
      other.readEnded = true
      other.stream.resume()
      if (!settled) linger ??= setTimeout(() => settle(null), lingerMs)
      update()
    }
    join(sideA, sideB, { settle, update, onClose })
    join(sideB, sideA, { settle, update, onClose })
  })
}

interface PipeEvents {
  settle: (error: Error | null) => void
  update: () => void
  onClose: (side: Side, other: Side) => void
}

/** Copies `from` to `to`. */
function join(from: Side, to: Side, { settle, update, onClose }: PipeEvents): void {
  const source = from.stream
  const target = to.stream
  const stager = new Stager(target)
  source.on('data', (chunk: Buffer) => {
    from.readBytes += chunk.length
    if (!target.writable) return
    stager.put(chunk)
    if (target.writableNeedDrain) source.pause()
  })
  target.on('drain', () => source.resume())
  const onEnd = (): void => {
    from.readEnded = true
    stager.flush()
    target.end()
    update()
  }
  source.on('end', onEnd)
  source.on('finish', () => {
    from.finished = true
    update()
  })
  source.on('error', (error: Error) => settle(error))
  source.on('close', () => onClose(from, to))
  if (source.readableEnded) onEnd()
  if (source.destroyed) onClose(from, to)
}

/** Lets what was written get out, then closes. */
export function closeSoon(stream: Duplex): void {
  if (stream.destroyed) return
  stream.resume()
  const timer = setTimeout(() => stream.destroy(), lingerMs)
  timer.unref()
  stream.once('close', () => clearTimeout(timer))
}

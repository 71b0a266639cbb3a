/**
 * A stream that takes its time: what is written to it goes on at a pace that may change meanwhile; what comes back is
 * passed at once. Promises back-pressure to the writer and ends as the stream behind it ends. For files that are sent
 * while nobody waits for them.
 */
import { Duplex } from 'node:stream'
import type { Clock } from '../../../platform/clock.ts'

/** @param bytesPerS asked before each piece */
export function pacedStream(behind: Duplex, bytesPerS: () => number, clock: Clock): Duplex {
  const over = new AbortController()
  let freeAtMs = clock.monotonicMs()
  const paced = new Duplex({
    writableHighWaterMark: 64 * 1024,
    write(chunk: Buffer, _encoding, done) {
      const nowMs = clock.monotonicMs()
      const waitMs = Math.max(0, freeAtMs - nowMs)
      freeAtMs = Math.max(nowMs, freeAtMs) + (chunk.length * 1000) / Math.max(1, bytesPerS())
      clock.sleep(waitMs, over.signal).then(() => behind.write(chunk, done), done)
    },
    final(done) {
      behind.end(done)
    },
    read() {
      behind.resume()
    },
    destroy(error, done) {
      over.abort()
      behind.destroy()
      done(error)
    },
  })
  behind.on('data', (chunk: Buffer) => {
    if (!paced.push(chunk)) behind.pause()
  })
  behind.on('end', () => paced.push(null))
  behind.on('error', (error) => paced.destroy(error))
  behind.on('close', () => paced.destroy())
  return paced
}

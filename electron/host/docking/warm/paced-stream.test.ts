import { duplexPair } from 'node:stream'
import { expect, it } from 'vitest'
import { systemClock } from '../../../platform/clock.ts'
import { pacedStream } from './paced-stream.ts'

it('takes its time for what is written, passes what comes back, and ends as a whole', async () => {
  const [near, far] = duplexPair()
  const waits: number[] = []
  const clock = {
    ...systemClock,
    monotonicMs: () => 0,
    sleep: async (ms: number) => void waits.push(Math.round(ms)),
  }
  const paced = pacedStream(near, () => 10_000, clock)
  const came: Buffer[] = []
  far.on('data', (chunk: Buffer) => came.push(chunk))
  const ended = new Promise((resolve) => far.on('end', resolve))
  for (let piece = 0; piece < 3; piece += 1) paced.write(Buffer.alloc(1000, piece))
  far.write('answer')
  expect(String(await new Promise((resolve) => paced.once('data', resolve)))).toBe('answer')
  paced.end()
  await ended
  expect(Buffer.concat(came).length).toBe(3000)
  expect(waits).toEqual([0, 100, 200])
})

it('closes what is behind it', async () => {
  const [near, far] = duplexPair()
  const paced = pacedStream(near, () => 1, systemClock)
  paced.on('error', () => undefined)
  far.on('error', () => undefined)
  paced.write(Buffer.alloc(100))
  paced.write(Buffer.alloc(100))
  paced.destroy()
  await new Promise((resolve) => paced.once('close', resolve))
  expect(near.destroyed).toBe(true)
})

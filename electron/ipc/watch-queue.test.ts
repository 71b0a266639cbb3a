import { setTimeout as wait } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { boundedStream } from './watch-queue.ts'

const never = new AbortController().signal

/** Counts up for ever, faster than anybody reads, and tells when it was closed. */
function endless(): { source: AsyncGenerator<number>; isClosed: () => boolean } {
  let closed = false
  async function* numbers() {
    try {
      for (let n = 0; ; n += 1) {
        yield n
        await null
      }
    } finally {
      closed = true
    }
  }
  return { source: numbers(), isClosed: () => closed }
}

async function* few(...values: number[]) {
  yield* values
}

async function collect(stream: AsyncIterable<number>): Promise<number[]> {
  const seen: number[] = []
  for await (const value of stream) seen.push(value)
  return seen
}

describe('the queue before a watcher', () => {
  it('hands everything on, in order, to a watcher that keeps up', async () => {
    expect(await collect(boundedStream(() => few(1, 2, 3), never, 8))).toEqual([1, 2, 3])
  })

  it('ends the stream of a watcher that falls behind, and closes the source', async () => {
    const { source, isClosed } = endless()
    const stream = boundedStream(() => source, never, 8)
    expect((await stream.next()).value).toBe(0)
    await wait(20)
    const rest = await collect(stream)
    expect(rest.length).toBeLessThanOrEqual(8)
    await wait(5)
    expect(isClosed()).toBe(true)
  })

  it('ends at once when the call is aborted, though no event comes', async () => {
    const controller = new AbortController()
    async function* silent() {
      yield 1
      await new Promise(() => {})
    }
    const stream = boundedStream(silent, controller.signal, 8)
    await stream.next()
    const next = stream.next()
    controller.abort()
    expect(await next).toEqual({ done: true, value: undefined })
  })

  it('passes a failure of the source on after what came before it', async () => {
    async function* broken() {
      yield 1
      throw new Error('broken')
    }
    const stream = boundedStream(broken, never, 8)
    expect((await stream.next()).value).toBe(1)
    await expect(stream.next()).rejects.toThrow('broken')
  })

  it('closes the source when the watcher leaves', async () => {
    const { source, isClosed } = endless()
    for await (const value of boundedStream(() => source, never, 1e6)) if (value > 3) break
    await wait(5)
    expect(isClosed()).toBe(true)
  })
})

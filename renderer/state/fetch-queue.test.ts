/** What is fetched, in which order, and what is not. */
import { describe, expect, it } from 'vitest'
import { createFetchQueue } from './fetch-queue.ts'

/** Fetches that end when they are told to. */
function slowFetch() {
  const begun: string[] = []
  const ends = new Map<string, () => void>()
  const fetch = (id: string): Promise<void> => {
    begun.push(id)
    return new Promise((resolve) => ends.set(id, resolve))
  }
  const end = async (id: string): Promise<void> => {
    ends.get(id)?.()
    await new Promise((resolve) => setTimeout(resolve))
  }
  return { begun, fetch, end }
}

describe('wishes for pictures', () => {
  it('begin a few at a time, and then the newest first', async () => {
    const { begun, fetch, end } = slowFetch()
    const queue = createFetchQueue(2, fetch)
    for (const id of ['a', 'b', 'c', 'd']) queue.want(id)
    expect(begun).toEqual(['a', 'b'])
    await end('a')
    expect(begun).toEqual(['a', 'b', 'd'])
    await end('b')
    expect(begun).toEqual(['a', 'b', 'd', 'c'])
  })

  it('are not begun once they were dropped', async () => {
    const { begun, fetch, end } = slowFetch()
    const queue = createFetchQueue(1, fetch)
    for (const id of ['a', 'b', 'c']) queue.want(id)
    queue.drop('c')
    await end('a')
    expect(begun).toEqual(['a', 'b'])
  })

  it('are not begun twice at once, and may come again afterwards', async () => {
    const { begun, fetch, end } = slowFetch()
    const queue = createFetchQueue(2, fetch)
    queue.want('a')
    queue.want('a')
    expect(begun).toEqual(['a'])
    await end('a')
    queue.want('a')
    expect(begun).toEqual(['a', 'a'])
  })
})

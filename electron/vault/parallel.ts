/** Several pieces of work at once, so many and no more. */

/**
 * Runs `work` for every item, `limit` at a time, begun in their order. The first failure lets what is under way end,
 * begins nothing more, and is thrown.
 */
export async function forEachParallel<T>(
  items: Iterable<T>,
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const rest = items[Symbol.iterator]()
  let failed = false
  const lane = async (): Promise<void> => {
    for (let next = rest.next(); !failed && !next.done; next = rest.next()) {
      try {
        await work(next.value)
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  const ended = await Promise.allSettled(Array.from({ length: limit }, lane))
  const failure = ended.find((each) => each.status === 'rejected')
  if (failure) throw failure.reason
}

/**
 * What becomes of the items, in their order, `limit` of them begun ahead of whoever takes it. Leaving the loop early lets
 * what is under way end. @throws what `work` throws, when its turn has come
 */
export async function* inOrder<I, O>(
  items: Iterable<I>,
  limit: number,
  work: (item: I) => Promise<O>,
): AsyncGenerator<O> {
  const rest = items[Symbol.iterator]()
  const begun: Promise<O>[] = []
  const begin = (): void => {
    while (begun.length < limit) {
      const next = rest.next()
      if (next.done) return
      const result = work(next.value)
      // Whoever waits for it learns of it.
      result.catch(() => {})
      begun.push(result)
    }
  }
  begin()
  for (let next = begun.shift(); next !== undefined; next = begun.shift()) {
    yield await next
    begin()
  }
}

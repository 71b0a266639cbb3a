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

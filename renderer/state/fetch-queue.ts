/**
 * Wishes for many small things of which only those that are on the screen now are worth fetching: a few at a time,
 * the newest wish first, and one that was dropped before it began not at all. Relies on `fetch` to take care of its
 * own failures.
 */
export interface FetchQueue {
  /** Asks for a thing, unless it is asked for or on its way already. */
  want(id: string): void
  /** Takes the wish back; what has begun goes on. */
  drop(id: string): void
}

export function createFetchQueue(atOnce: number, fetch: (id: string) => Promise<void>): FetchQueue {
  const wanted = new Set<string>()
  const running = new Set<string>()

  function startNext(): void {
    const next = [...wanted].at(-1)
    if (next === undefined || running.size >= atOnce) return
    wanted.delete(next)
    running.add(next)
    void fetch(next).finally(() => {
      running.delete(next)
      startNext()
    })
    startNext()
  }

  return {
    want(id) {
      if (running.has(id)) return
      wanted.delete(id)
      wanted.add(id)
      startNext()
    },
    drop: (id) => void wanted.delete(id),
  }
}

/**
 * A watcher that is slower than the events must not make the host keep them: they wait in a queue of limited
 * length, and when it is full the watcher's stream ends. It then watches again and starts from a new snapshot.
 * Promises that the source is closed as soon as the stream has ended, even while the watcher does not read.
 */

/** Enough for the events of about ten seconds of a busy host. */
export const defaultMaxWaiting = 512

type Ending = { failed: false } | { failed: true; error: unknown }

/**
 * Reads a source as fast as it produces and hands the values on as fast as they are asked for.
 * @param open starts the source, which should end when its signal fires
 * @param signal ends the stream, and the source with it
 * @param maxWaiting how many values may wait; one more ends the stream and drops them
 */
export async function* boundedStream<Value>(
  open: (signal: AbortSignal) => AsyncIterable<Value>,
  signal: AbortSignal,
  maxWaiting: number = defaultMaxWaiting,
): AsyncGenerator<Value, void, void> {
  const waiting: Value[] = []
  let ending: Ending | null = null
  let wake = (): void => {}
  const ended = new AbortController()

  const end = (how: Ending): void => {
    ending ??= how
    ended.abort()
    wake()
  }
  const abort = (): void => {
    waiting.length = 0
    end({ failed: false })
  }
  const pump = async (): Promise<void> => {
    for await (const value of open(ended.signal)) {
      if (ending !== null) return
      if (waiting.length >= maxWaiting) return abort()
      waiting.push(value)
      wake()
    }
    end({ failed: false })
  }

  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  else pump().catch((error: unknown) => end({ failed: true, error }))
  try {
    for (;;) {
      const value = waiting.shift()
      if (value !== undefined) yield value
      else if (ending === null) await new Promise<void>((resolve) => (wake = resolve))
      else break
    }
    throwIfFailed(ending)
  } finally {
    signal.removeEventListener('abort', abort)
    end({ failed: false })
  }
}

function throwIfFailed(ending: Ending): void {
  if (ending.failed) throw ending.error
}

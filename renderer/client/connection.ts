/**
 * Keeps the page in touch with the host: opens a transport, watches the state, and after any loss tries again
 * with a growing pause. Promises one snapshot after every reconnection, so that nobody has to repair old state.
 * A host that was started anew has another address and key: the page says so, and what to do. Relies on a
 * `Transport` that tells when it closed; pauses are injected.
 */
import { type ClientLink, createORPCClient, DynamicLink } from '@orpc/client'
import { type ErrorShape, fail, isCode } from '../../shared/errors/index.ts'
import type { ConnectionListener, HostClient, HostConnection } from './host-client.ts'

type NoContext = Record<never, never>

export interface OpenTransport {
  readonly link: ClientLink<NoContext>
  /** Settles when the transport is gone, for whatever reason. */
  readonly closed: Promise<void>
  close(): void
}

export interface Transport {
  /** @throws host.page_refused, or anything when nobody answers; the connection then waits and asks again. */
  open(): Promise<OpenTransport>
}

export interface Pacing {
  sleep(ms: number, signal: AbortSignal): Promise<void>
}

interface WatchEnd {
  sawSnapshot: boolean
  /** What to say if the host is away now. */
  error: ErrorShape
}

const firstPauseMs = 300
const longestPauseMs = 5000
/** A port is open at once even when nobody listens: whoever says nothing for this long is not there. */
const firstSnapshotTimeoutMs = 10_000

/** The pause before try number `attempt` (from 0): 0.3 s, doubling, at most 5 s. */
export function backOffMs(attempt: number): number {
  return Math.min(longestPauseMs, firstPauseMs * 2 ** attempt)
}

export function createConnection(transport: Transport, pacing: Pacing = realPacing): HostConnection {
  let current: OpenTransport | null = null
  const dynamic = new DynamicLink<NoContext>(() => {
    if (current === null) throw fail('host.out_of_touch')
    return current.link
  })
  const client: HostClient = createORPCClient(dynamic)

  function start(listener: ConnectionListener): () => void {
    const stopper = new AbortController()
    void keepWatching(listener, stopper.signal)
    return () => {
      stopper.abort()
      current?.close()
    }
  }

  async function keepWatching(listener: ConnectionListener, signal: AbortSignal): Promise<void> {
    let attempt = 0
    while (!signal.aborted) {
      const { sawSnapshot, error } = await watchOnce(listener, signal)
      if (signal.aborted) return
      if (sawSnapshot) attempt = 0
      if (current === null) listener.onLink({ kind: 'away', error })
      await pacing.sleep(backOffMs(attempt), signal)
      attempt += 1
    }
  }

  /** One watch from its snapshot to its end. A transport that is still open afterwards is kept for the next one. */
  async function watchOnce(listener: ConnectionListener, signal: AbortSignal): Promise<WatchEnd> {
    let sawSnapshot = false
    let error = fail('host.out_of_touch')
    const giveUp = new AbortController()
    const timer = setTimeout(() => giveUp.abort(), firstSnapshotTimeoutMs)
    try {
      current ??= await openTracked()
      const watchSignal = AbortSignal.any([signal, giveUp.signal])
      for await (const event of await client.state.watch(undefined, { signal: watchSignal })) {
        clearTimeout(timer)
        listener.onEvent(event)
        if (event.type !== 'snapshot') continue
        sawSnapshot = true
        listener.onLink({ kind: 'live' })
      }
    } catch (thrown) {
      if (isCode(thrown, 'host.page_refused')) error = thrown
      current?.close()
      current = null
    } finally {
      clearTimeout(timer)
    }
    return { sawSnapshot, error: error.toJSON() }
  }

  async function openTracked(): Promise<OpenTransport> {
    const opened = await transport.open()
    void opened.closed.then(() => {
      if (current === opened) current = null
    })
    return opened
  }

  return { client, start }
}

const realPacing: Pacing = {
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      const timer = setTimeout(done, ms)
      signal.addEventListener('abort', done, { once: true })
      function done(): void {
        clearTimeout(timer)
        signal.removeEventListener('abort', done)
        resolve()
      }
    }),
}

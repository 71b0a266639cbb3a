/**
 * The truth as faces see it: one state, changed only by facts. Promises every watcher a snapshot first and then
 * every fact in order; a watcher that falls behind gets a new snapshot instead of a growing queue. Relies on
 * `applyHostEvent`, the same function the faces use.
 */
import { applyHostEvent, type HostEvent, type HostState } from '../../shared/models/host-state.ts'

export type Fact = Exclude<HostEvent, { type: 'snapshot' }>

/** A watcher with more facts than this waiting is given a snapshot instead. */
const maxWaitingFacts = 500

export class StateStore {
  #state: HostState
  readonly #watchers = new Set<Watcher>()
  readonly #listeners = new Set<(fact: Fact) => void>()

  constructor(initial: HostState) {
    this.#state = initial
  }

  get state(): HostState {
    return this.#state
  }

  get watcherCount(): number {
    return this.#watchers.size
  }

  /** Takes a fact into the state and tells it to everyone. */
  apply(fact: Fact): void {
    this.#state = applyHostEvent(this.#state, fact) ?? this.#state
    for (const watcher of this.#watchers) watcher.push(fact)
    for (const listener of this.#listeners) listener(fact)
  }

  /** Calls `listener` with each fact from now on. @returns a function that stops it. */
  onFact(listener: (fact: Fact) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** A snapshot, then facts, until `signal` fires or `close` is called. */
  async *watch(signal: AbortSignal): AsyncGenerator<HostEvent, void, void> {
    const watcher = new Watcher(() => this.#state)
    this.#watchers.add(watcher)
    const stop = (): void => watcher.end()
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    try {
      yield { type: 'snapshot', state: this.#state }
      for (;;) {
        const event = await watcher.next()
        if (event === null) return
        yield event
      }
    } finally {
      signal.removeEventListener('abort', stop)
      this.#watchers.delete(watcher)
    }
  }

  /** Ends every watcher. */
  close(): void {
    for (const watcher of this.#watchers) watcher.end()
  }
}

class Watcher {
  #waiting: HostEvent[] = []
  #wake: (() => void) | null = null
  #ended = false
  readonly #snapshot: () => HostState

  constructor(snapshot: () => HostState) {
    this.#snapshot = snapshot
  }

  push(fact: Fact): void {
    if (this.#waiting.length >= maxWaitingFacts)
      this.#waiting = [{ type: 'snapshot', state: this.#snapshot() }]
    else this.#waiting.push(fact)
    this.#wake?.()
  }

  end(): void {
    this.#ended = true
    this.#wake?.()
  }

  async next(): Promise<HostEvent | null> {
    while (this.#waiting.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      this.#wake = null
    }
    return this.#ended ? null : (this.#waiting.shift() ?? null)
  }
}

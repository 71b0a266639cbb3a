/**
 * A network of two docks in memory, with a link that can be cut between any two messages. Promises what the real
 * one promises to the host: a request ends, an answer that was on its way when the link broke is lost, and both
 * docks hear of the break. A host that is frozen, as if killed, hears and says nothing.
 */
import { Duplex } from 'node:stream'
import { errorFromShape, fail, toWdockError } from '../../../../shared/errors/index.ts'
import type { CallOptions, EventListener, From, RequestHandler, StreamHandler } from '../../../docks/types.ts'
import type { PeerNet } from '../../peer-calls.ts'

export class FakeLink {
  #generation = 0
  #up = false
  readonly #nets: FakeNet[] = []
  readonly #streams = new Set<Duplex>()
  /** Called at each step of each message. */
  onStep: (what: string) => void = () => undefined

  get isUp(): boolean {
    return this.#up
  }

  get generation(): number {
    return this.#generation
  }

  /** Puts a host on the network; the one that had this id before is off it. */
  join(net: FakeNet): void {
    const index = this.#nets.findIndex((each) => each.id === net.id)
    if (index >= 0) this.#nets.splice(index, 1)
    this.#nets.push(net)
  }

  other(net: FakeNet): FakeNet | null {
    return this.#nets.find((each) => each.id !== net.id) ?? null
  }

  raise(): void {
    if (this.#up || this.#nets.length < 2 || this.#nets.some((net) => net.frozen)) return
    this.#up = true
    this.#generation += 1
    for (const net of this.#nets) net.tell('online', this.other(net)?.id ?? '')
  }

  cut(): void {
    if (!this.#up) return
    this.#up = false
    this.#generation += 1
    for (const stream of [...this.#streams]) stream.destroy()
    for (const net of this.#nets) net.tell('offline', this.other(net)?.id ?? '')
  }

  /** Two ends of one stream, cut with the link. */
  pair(): [Duplex, Duplex] {
    const ends = makePair()
    for (const end of ends) {
      this.#streams.add(end)
      end.on('close', () => this.#streams.delete(end))
      end.on('error', () => undefined)
    }
    return ends
  }
}

export class FakeNet implements PeerNet {
  readonly id: string
  readonly name: string
  frozen = false
  readonly #link: FakeLink
  readonly #handlers = new Map<string, RequestHandler>()
  readonly #streamHandlers = new Map<string, StreamHandler>()
  readonly #listeners = new Map<string, EventListener[]>()
  readonly #online: ((dockId: string) => void)[] = []
  readonly #offline: ((dockId: string) => void)[] = []

  constructor(link: FakeLink, id: string, name: string) {
    this.#link = link
    this.id = id
    this.name = name
  }

  peers(): ReturnType<PeerNet['peers']> {
    const other = this.#link.other(this)
    if (other === null) return []
    const state = this.#link.isUp ? 'online' : 'offline'
    const rest = {
      paired: true,
      address: null,
      lastSeenAtMs: null,
      linkRttMs: 1,
      appVersion: 'model',
      keepsReady: false,
    }
    return [{ id: other.id, name: other.name, state, ...rest }]
  }

  tell(what: 'online' | 'offline', dockId: string): void {
    if (this.frozen) return
    for (const listener of [...(what === 'online' ? this.#online : this.#offline)]) listener(dockId)
  }

  async request(
    _dockId: string,
    method: string,
    params: unknown,
    options: CallOptions = {},
  ): Promise<unknown> {
    const { signal } = options
    const handling = new AbortController()
    const ended = Promise.withResolvers<never>()
    ended.promise.catch(() => undefined)
    const onAbort = (): void => {
      handling.abort()
      ended.reject(fail('host.cancelled'))
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    if (signal?.aborted) onAbort()
    // A dock that dies while it works on a request answers no more.
    const forget = this.onOffline(() => ended.reject(fail('dock.link_lost', { dock: 'the other one' })))
    try {
      return await Promise.race([ended.promise, this.#exchange(method, params, handling)])
    } finally {
      forget()
      signal?.removeEventListener('abort', onAbort)
      if (this.frozen) await new Promise(() => undefined)
    }
  }

  async #exchange(method: string, params: unknown, handling: AbortController): Promise<unknown> {
    const { generation } = this.#link
    const lost = fail('dock.link_lost', { dock: 'the other one' })
    const there = await this.#arrive(`${method} is sent`, generation)
    if (there === null) throw lost
    const forget = there.onOffline(() => handling.abort())
    let answer: () => unknown
    try {
      const handler = there.#handlers.get(method)
      if (handler === undefined) throw fail('host.bad_input', { why: `unknown method ${method}` })
      const result = structuredClone(await handler(this.#from(), structuredClone(params), handling.signal))
      answer = () => result
    } catch (error) {
      const shape = toWdockError(error).toJSON()
      answer = () => {
        throw errorFromShape(shape)
      }
    }
    forget()
    if (there.frozen || (await this.#arrive(`${method} is answered`, generation)) === null) throw lost
    return answer()
  }

  /** One message on its way. @returns the other dock, or null when the link broke meanwhile */
  async #arrive(what: string, generation: number): Promise<FakeNet | null> {
    this.#link.onStep(what)
    await new Promise((resolve) => setImmediate(resolve))
    this.#link.onStep(`${what}, arrives`)
    const other = this.#link.other(this)
    const whole = this.#link.isUp && this.#link.generation === generation
    return whole && other !== null && !other.frozen && !this.frozen ? other : null
  }

  handle(method: string, handler: RequestHandler): void {
    this.#handlers.set(method, handler)
  }

  emit(_dockId: string, event: string, data: unknown): void {
    const { generation } = this.#link
    if (!this.#link.isUp || this.frozen) return
    const copy: unknown = structuredClone(data)
    void this.#arrive(event, generation).then((there) => {
      if (there !== null)
        for (const listener of there.#listeners.get(event) ?? []) listener(this.#from(), copy)
    })
  }

  onEvent(event: string, listener: EventListener): () => void {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener])
    return () => undefined
  }

  onOnline(listener: (dockId: string) => void): () => void {
    this.#online.push(listener)
    return () => undefined
  }

  onOffline(listener: (dockId: string) => void): () => void {
    this.#offline.push(listener)
    return () => {
      const index = this.#offline.indexOf(listener)
      if (index >= 0) this.#offline.splice(index, 1)
    }
  }

  setHeartbeat(): void {}

  async openStream(_dockId: string, use: string, header: unknown): Promise<Duplex> {
    const { generation } = this.#link
    const there = await this.#arrive(`${use} stream`, generation)
    if (there === null) throw fail('dock.link_lost', { dock: 'the other one' })
    const handler = there.#streamHandlers.get(use)
    if (handler === undefined) throw fail('dock.refused', { dock: there.name })
    const take = await handler(this.#from(), structuredClone(header))
    if ((await this.#arrive(`${use} stream accepted`, generation)) === null)
      throw fail('dock.link_lost', { dock: 'the other one' })
    const [here, far] = this.#link.pair()
    take(far)
    return here
  }

  handleStream(use: string, handler: StreamHandler): void {
    this.#streamHandlers.set(use, handler)
  }

  #from(): From {
    return { dockId: this.id, name: this.name }
  }
}

function makePair(): [Duplex, Duplex] {
  const make = (peer: () => Duplex): Duplex =>
    new Duplex({
      allowHalfOpen: true,
      read: () => undefined,
      write: (chunk, _encoding, done) => {
        peer().push(chunk)
        done()
      },
      final: (done) => {
        peer().push(null)
        done()
      },
      destroy: (error, done) => {
        setImmediate(() => peer().destroy())
        done(error)
      },
    })
  const a: Duplex = make(() => b)
  const b: Duplex = make(() => a)
  return [a, b]
}

import { describe, expect, it } from 'vitest'
import { type ErrorCode, fail, isCode, type WdockError } from '../../shared/errors/index.ts'
import type { Clock } from '../platform/clock.ts'
import { MemoryStore } from './memory.ts'
import type { ObjectStore } from './object-store.ts'
import type { RetryOptions } from './retry.ts'
import { retrying, retryingLent } from './retrying-store.ts'
import { type Fault, type FaultPlan, FaultyStore, scripted, seeded } from './testing/faulty-store.ts'

/** Sleeps take no time, but the clock goes on by them; in the order of their ends. */
class LeapingClock implements Clock {
  #nowMs = 1_000_000
  #sleepers: { endMs: number; wake: () => void }[] = []
  #leaping = false

  nowMs(): number {
    return this.#nowMs
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason)
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper)
        reject(signal?.reason)
      }
      const wake = (): void => {
        signal?.removeEventListener('abort', stop)
        resolve()
      }
      const sleeper = { endMs: this.#nowMs + durationMs, wake }
      this.#sleepers.push(sleeper)
      signal?.addEventListener('abort', stop)
      void this.#leap()
    })
  }

  /** Once everything else waits. */
  async #leap(): Promise<void> {
    if (this.#leaping) return
    this.#leaping = true
    while (this.#sleepers.length > 0) {
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
      const next = this.#sleepers.sort((a, b) => a.endMs - b.endMs).shift()
      if (!next) break
      this.#nowMs = Math.max(this.#nowMs, next.endMs)
      next.wake()
    }
    this.#leaping = false
  }
}

interface Rig {
  clock: LeapingClock
  memory: MemoryStore
  faulty: FaultyStore
  store: ObjectStore
  troubles: (string | null)[]
}

function rig(plan: FaultPlan, options: RetryOptions = {}): Rig {
  const clock = new LeapingClock()
  const memory = new MemoryStore({ clock })
  const faulty = new FaultyStore(memory, plan, { clock })
  const troubles: (string | null)[] = []
  const onTrouble = (error: WdockError | null) => troubles.push(error?.code ?? null)
  const store = retrying(faulty, { clock, onTrouble, ...options })
  return { clock, memory, faulty, store, troubles }
}

function always(fault: Fault): FaultPlan {
  return () => fault
}

function firstOfEachKind(fault: Fault): FaultPlan {
  const failed = new Set<string>()
  return ({ kind }) => {
    if (failed.has(kind)) return null
    failed.add(kind)
    return fault
  }
}

function coded(code: ErrorCode) {
  return (error: unknown) => isCode(error, code)
}

const body = Buffer.from('some sealed bytes')

describe('a store behind retries', () => {
  it.each([
    [{ kind: 'status', status: 408 }],
    [{ kind: 'status', status: 429 }],
    [{ kind: 'status', status: 500 }],
    [{ kind: 'status', status: 502 }],
    [{ kind: 'status', status: 503 }],
    [{ kind: 'status', status: 504 }],
    [{ kind: 'cut' }],
    [{ kind: 'hangs' }],
    [{ kind: 'lost-answer' }],
  ] satisfies [Fault][])('gets over %j, whatever the call', async (fault) => {
    const { faulty, memory, store } = rig(firstOfEachKind(fault))
    await store.put('labels/a', body)
    expect(await store.putNew('packs/a', body)).toBe(true)
    expect(await store.get('packs/a', 100)).toEqual(body)
    expect(await store.getRange('packs/a', 5, 6)).toEqual(body.subarray(5, 11))
    const names: string[] = []
    for await (const { name } of store.list('')) names.push(name)
    expect(names).toEqual(['labels/a', 'packs/a'])
    await store.remove('labels/a')
    expect(await store.nowMs()).toBeGreaterThan(0)
    expect([...memory.objects.keys()]).toEqual(['packs/a'])
    expect(faulty.calls.length).toBeGreaterThanOrEqual(14)
  })

  it.each([
    [400, 'store.refused'],
    [401, 'store.access_refused'],
    [403, 'store.access_refused'],
    [404, 'store.no_account'],
    [409, 'store.refused'],
    [412, 'store.locked'],
    [501, 'store.refused'],
  ] as const)('tries no second time after %d', async (status, code) => {
    const { faulty, store, troubles } = rig(always({ kind: 'status', status }))
    await expect(store.put('packs/a', body)).rejects.toSatisfy(coded(code))
    expect(faulty.calls).toHaveLength(1)
    expect(troubles).toEqual([])
  })

  it('gives up a read after two minutes with the last failure', async () => {
    const { clock, store } = rig(always({ kind: 'status', status: 503 }))
    const sinceMs = clock.nowMs()
    await expect(store.get('checkpoints/a', 100)).rejects.toSatisfy(coded('store.busy'))
    expect(clock.nowMs() - sinceMs).toBeGreaterThan(60_000)
    expect(clock.nowMs() - sinceMs).toBeLessThanOrEqual(120_000)
  })

  it('sends a pack for hours, until its signal', async () => {
    const down = new AbortController()
    const { clock, store } = rig(({ index }) => {
      if (index === 1000) down.abort(new Error('cancelled by a person'))
      return { kind: 'cut' }
    })
    const sinceMs = clock.nowMs()
    await expect(store.put('packs/a', body, { signal: down.signal })).rejects.toThrow('cancelled by a person')
    expect(clock.nowMs() - sinceMs).toBeGreaterThan(5 * 3_600_000)
  })

  it('waits longer from failure to failure, up to half a minute, and never in step', async () => {
    const triedAtMs: number[] = []
    const { clock, store } = rig(({ index }) => {
      triedAtMs.push(clock.nowMs())
      return index < 12 ? { kind: 'cut' } : null
    })
    await store.put('packs/a', body)
    const pauses = triedAtMs.slice(1).map((atMs, index) => atMs - (triedAtMs[index] ?? 0))
    expect(pauses).toHaveLength(12)
    for (const [index, pauseMs] of pauses.entries()) {
      const longestMs = Math.min(30_000, 250 * 2 ** index)
      expect(pauseMs).toBeGreaterThanOrEqual(longestMs / 2)
      expect(pauseMs).toBeLessThanOrEqual(longestMs + 1)
    }
  })

  it('leaves a store alone for as long as it asks', async () => {
    const fault: Fault = { kind: 'status', status: 503, retryAfterS: 40 }
    const { clock, store } = rig(scripted(fault))
    const sinceMs = clock.nowMs()
    await store.put('labels/a', body)
    expect(clock.nowMs() - sinceMs).toBeGreaterThanOrEqual(40_000)
  })

  it('fails at once where a store asks for a longer pause than the call has left', async () => {
    const { clock, faulty, store } = rig(always({ kind: 'status', status: 429, retryAfterS: 3600 }))
    const sinceMs = clock.nowMs()
    await expect(store.get('labels/a', 100)).rejects.toSatisfy(coded('store.busy'))
    expect(clock.nowMs() - sinceMs).toBeLessThan(1000)
    expect(faulty.calls).toHaveLength(1)
  })

  it('gives a try the time its bytes need at 50 kB/s, and no more', async () => {
    const { clock, store } = rig(scripted({ kind: 'hangs' }))
    let sinceMs = clock.nowMs()
    await store.put('packs/a', Buffer.alloc(1_000_000))
    expect(clock.nowMs() - sinceMs).toBeGreaterThanOrEqual(35_000)
    expect(clock.nowMs() - sinceMs).toBeLessThan(36_000)
    const other = rig(scripted({ kind: 'hangs' }))
    await other.memory.put('labels/a', body)
    sinceMs = other.clock.nowMs()
    // How long an object is, is not known before it comes.
    await other.store.get('labels/a', 64 * 1024 ** 2)
    expect(other.clock.nowMs() - sinceMs).toBeLessThan(16_000)
  })

  it('gives a read more time when it turns out to be large', async () => {
    const clock = new LeapingClock()
    const memory = new MemoryStore({ clock })
    await memory.put('checkpoints/a', Buffer.alloc(2_000_000))
    const get = memory.get.bind(memory)
    memory.get = async (name, limitBytes, options = {}) => {
      options.onSize?.(2_000_000)
      await clock.sleep(50_000, options.signal)
      return get(name, limitBytes, options)
    }
    expect((await retrying(memory, { clock }).get('checkpoints/a', 1e9))?.length).toBe(2_000_000)
  })

  it('starts no second call beside one that hangs and ignores its signal, as on a dead network share', async () => {
    const clock = new LeapingClock()
    const memory = new MemoryStore({ clock })
    let underWay = 0
    let most = 0
    memory.put = async () => {
      most = Math.max(most, ++underWay)
      await clock.sleep(100_000)
      underWay -= 1
      throw fail('store.cut', { place: 'x' })
    }
    await expect(retrying(memory, { clock }).put('labels/a', body)).rejects.toSatisfy(
      (error) => isCode(error, 'store.timed_out') || isCode(error, 'store.cut'),
    )
    expect(most).toBe(1)
  })

  it('ends at once with the reason of its caller, in a try and in a pause', async () => {
    for (const fault of [{ kind: 'hangs' }, { kind: 'status', status: 503, retryAfterS: 100 }] as const) {
      const stop = new AbortController()
      const { clock, store } = rig(always(fault))
      const sinceMs = clock.nowMs()
      const call = store.put('packs/a', body, { signal: stop.signal })
      await Promise.resolve()
      stop.abort(new Error('quit'))
      await expect(call).rejects.toThrow('quit')
      expect(clock.nowMs() - sinceMs).toBeLessThan(15_000)
    }
  })

  it('waits for space, or for a drive, only in calls without a deadline', async () => {
    const clock = new LeapingClock()
    const memory = new MemoryStore({ clock })
    let tries = 0
    const put = memory.put.bind(memory)
    memory.put = async (name, bytes) => {
      tries += 1
      if (tries < 5) throw fail('store.full', { place: 'The stick' })
      await put(name, bytes)
    }
    const store = retrying(memory, { clock })
    await expect(store.put('labels/a', body)).rejects.toSatisfy(coded('store.full'))
    expect(tries).toBe(1)
    await store.put('packs/a', body)
    expect(tries).toBe(5)
  })
})

describe('a new name behind retries', () => {
  it('knows its own write again when the answer was lost', async () => {
    const { store } = rig(scripted({ kind: 'lost-answer' }))
    expect(await store.putNew('checkpoints/a', body)).toBe(true)
  })

  it('knows it also when reading it back fails at first', async () => {
    const { faulty, store } = rig(scripted({ kind: 'lost-answer' }, null, { kind: 'cut' }, { kind: 'cut' }))
    expect(await store.putNew('checkpoints/a', body)).toBe(true)
    expect(faulty.calls.map(({ kind }) => kind)).toEqual([
      'putNew',
      'putNew',
      'get',
      'putNew',
      'putNew',
      'get',
    ])
  })

  it.each([
    ['other bytes', Buffer.from('sealed by another')],
    ['more bytes', Buffer.alloc(1000)],
    ['a fence', Buffer.alloc(0)],
  ])('does not take %s for its own', async (_what, there) => {
    const { memory, store } = rig(scripted({ kind: 'cut' }))
    await memory.put('checkpoints/a', there)
    expect(await store.putNew('checkpoints/a', body)).toBe(false)
    expect(await memory.get('checkpoints/a', 1000)).toEqual(there)
  })

  it('believes a store that says at once that the name is taken, even by the same bytes', async () => {
    const { memory, store, faulty } = rig(() => null)
    await memory.put('checkpoints/a', body)
    expect(await store.putNew('checkpoints/a', body)).toBe(false)
    expect(faulty.calls).toHaveLength(1)
  })

  it('is told to exactly one of many with different bytes, however many answers are lost', async () => {
    for (let seed = 0; seed < 30; seed++) {
      const faults: Fault[] = [
        { kind: 'lost-answer' },
        { kind: 'cut' },
        { kind: 'hangs' },
        { kind: 'status', status: 503 },
      ]
      const { memory, store } = rig(seeded(seed, 0.4, faults))
      const bodies = Array.from({ length: 6 }, (_, index) => Buffer.alloc(10, index))
      const told = await Promise.all(bodies.map((bytes) => store.putNew('packs/a', bytes)))
      expect(told.filter((isNew) => isNew)).toHaveLength(1)
      expect(await memory.get('packs/a', 10)).toEqual(bodies[told.indexOf(true)])
    }
  })
})

describe('a list behind retries', () => {
  it('tells every name once, though pages fail', async () => {
    const clock = new LeapingClock()
    const memory = new MemoryStore({ clock, pageSize: 10 })
    for (let index = 0; index < 95; index++) await memory.put(`packs/${index}`, Buffer.alloc(1))
    const faults: Fault[] = [{ kind: 'cut' }, { kind: 'status', status: 500 }, { kind: 'lost-answer' }]
    const store = retrying(new FaultyStore(memory, seeded(7, 0.5, faults), { clock }), { clock })
    const names: string[] = []
    for await (const { name } of store.list('packs/')) names.push(name)
    expect(names).toHaveLength(95)
    expect(new Set(names).size).toBe(95)
  })
})

describe('trouble with a store', () => {
  it('is told at the second failure in a row, once, and taken back at the next answer', async () => {
    const { store, troubles } = rig(scripted(null, { kind: 'cut' }, null, ...Array(4).fill({ kind: 'cut' })))
    await store.put('packs/a', body)
    await store.put('packs/b', body)
    expect(troubles).toEqual([])
    await store.put('packs/c', body)
    expect(troubles).toEqual(['store.cut', null])
  })

  it('is told at once when a try took all its time', async () => {
    const { store, troubles } = rig(scripted({ kind: 'hangs' }))
    await store.put('packs/a', body)
    expect(troubles).toEqual(['store.timed_out', null])
  })

  it('is over for all who wait when one is answered', async () => {
    let up = false
    const { clock, store } = rig(() => (up ? null : { kind: 'cut' }), { longestPauseMs: 3_600_000 })
    const waiting = [store.put('packs/a', body), store.put('packs/b', body)]
    while (clock.nowMs() < 1_000_000 + 1_800_000) await new Promise((resolve) => setImmediate(resolve))
    up = true
    const sinceMs = clock.nowMs()
    await store.put('packs/c', body)
    await Promise.all(waiting)
    expect(clock.nowMs() - sinceMs).toBeLessThan(60_000)
  })

  it('stays while any call meets it, and does not make that one try more often, though others are answered', async () => {
    const isPut: FaultPlan = ({ kind, index }) =>
      kind === 'put' && index < 300 ? { kind: 'status', status: 503 } : null
    const { clock, faulty, store, troubles } = rig(isPut)
    const put = store.put('packs/a', body)
    const sinceMs = clock.nowMs()
    for (let read = 0; read < 280; read++) {
      await clock.sleep(1000)
      await store.get('labels/none', 10)
    }
    const tries = faulty.calls.filter(({ kind }) => kind === 'put').length
    expect(clock.nowMs() - sinceMs).toBeGreaterThanOrEqual(280_000)
    expect(tries).toBeLessThan(40)
    expect(troubles).toEqual(['store.busy'])
    while (faulty.calls.length < 300) await store.get('labels/none', 10)
    await put
    expect(troubles).toEqual(['store.busy', null])
  })

  it('is over when nobody waits any more', async () => {
    const { store, troubles } = rig(always({ kind: 'cut' }), { deadlineMs: () => 5000 })
    await expect(store.get('labels/a', 10)).rejects.toSatisfy(coded('store.cut'))
    expect(troubles).toEqual(['store.cut', null])
  })

  it('leaves nothing at a signal that outlives many calls', async () => {
    const signal = new AbortController().signal
    let listeners = 0
    const add = signal.addEventListener.bind(signal)
    const remove = signal.removeEventListener.bind(signal)
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners += 1
      add(...args)
    }
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners -= 1
      remove(...args)
    }
    const { store } = rig(({ index }) => (index % 2 === 0 ? { kind: 'cut' } : null))
    for (let index = 0; index < 50; index++) await store.put(`packs/${index}`, body, { signal })
    expect(listeners).toBe(0)
  })
})

describe('a link behind retries', () => {
  it('is read through failures that pass, and not through its end', async () => {
    const clock = new LeapingClock()
    const memory = new MemoryStore({ clock })
    await memory.put('packs/a', body)
    const { address } = await memory.lending.open('s', { startMs: null, endMs: null })
    await memory.lending.copy('s', 'packs/a')
    const lent = memory.lent(address)
    const get = lent.get.bind(lent)
    let fails = 3
    lent.get = async (...args) => {
      if (fails-- > 0) throw fail('store.busy', { place: 'x' })
      return get(...args)
    }
    const tried = retryingLent(lent, { clock })
    expect(await tried.get('packs/a', 100)).toEqual(body)
    await memory.lending.revoke('s')
    await expect(tried.getRange('packs/a', 0, 1)).rejects.toSatisfy(coded('store.link_dead'))
  })
})

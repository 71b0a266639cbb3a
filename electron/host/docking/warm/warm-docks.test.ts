import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { fail, type WdockError } from '../../../../shared/errors/index.ts'
import { defaultSettings, emptyHostState } from '../../../../shared/models/host-state.ts'
import type { WarmState } from '../../../../shared/models/warmth.ts'
import type { DockNet, PeerInfo } from '../../../docks/dock-net.ts'
import { systemClock } from '../../../platform/clock.ts'
import { silentLog } from '../../../platform/log.ts'
import { systemRandom } from '../../../platform/random.ts'
import { testDefinition } from '../../../qemu/test-guests.ts'
import { Operations } from '../../operations.ts'
import { PeerCalls } from '../../peer-calls.ts'
import { StateStore } from '../../state-store.ts'
import { Economy } from './economy.ts'
import { WarmBook } from './warm-book.ts'
import { WarmDocks, type WarmDocksOptions } from './warm-docks.ts'

const here = 'a'.repeat(52)
const there = 'b'.repeat(52)
const definition = testDefinition()
const guestId = definition.id
const pair = { guestId, dockId: there }
const times = { calmMs: 0, everyMs: 60_000, retryMs: 60_000, refusedMs: 60_000 }

let folder: string
let bench: Bench
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wdock-warm-'))
  bench = await Bench.open()
})
afterEach(async () => {
  await bench.docks.close()
  await rm(folder, { recursive: true, force: true })
})

/** The other dock, as far as it is asked. */
class FakeNet {
  readonly id = here
  readonly name = 'Here'
  readonly asked: string[] = []
  readonly told: unknown[] = []
  peer: PeerInfo = {
    ...{ id: there, name: 'There', paired: true, state: 'online', keepsReady: true },
    ...{ address: null, lastSeenAtMs: null, linkRttMs: 1, appVersion: null },
  }
  answer: (signal?: AbortSignal) => Promise<unknown> = async () => {
    throw fail('warm.no_room', { name: 'Test guest', dock: 'There', needed: '1 GB' })
  }

  readonly peers = (): PeerInfo[] => [this.peer]
  readonly onOnline = (): (() => void) => () => undefined
  readonly onOffline = this.onOnline
  readonly onUnpaired = this.onOnline
  readonly onEvent = this.onOnline
  readonly emit = (_dockId: string, _name: string, data: unknown): void => void this.told.push(data)
  readonly setKeepsReady = async (_dockId: string, keepsReady: boolean): Promise<void> => {
    this.peer = { ...this.peer, keepsReady }
  }
  readonly request = async (
    _dockId: string,
    method: string,
    params: unknown,
    options?: { signal?: AbortSignal },
  ): Promise<unknown> => {
    this.asked.push(method === 'warm.hold' ? `${method} ${JSON.stringify(params)}` : method)
    return method === 'warm.hold' ? {} : await this.answer(options?.signal)
  }
}

class Bench {
  readonly net: FakeNet
  readonly is = { battery: false }
  readonly operations: Operations
  readonly guest = {
    ...{ id: guestId, name: 'Test guest', definition, state: { kind: 'running' } },
    record: { restore: undefined, arrival: null, homeDockId: here, createdAtMs: 0, bootedAtMs: 0 },
    requireProcess: () => ({ identity: { pid: process.pid } }),
    topBytes: async () => 0,
  }
  readonly book: WarmBook
  readonly docks: WarmDocks

  private constructor(store: StateStore, net: FakeNet, book: WarmBook) {
    const { guest } = this
    this.net = net
    this.book = book
    this.operations = new Operations(store, systemClock, silentLog)
    // Batteries are looked at each time.
    const hasty = { ...systemClock, monotonicMs: () => 1e9 * performance.now() }
    const onBattery = async (): Promise<boolean> => this.is.battery
    this.docks = new WarmDocks({
      ...{
        store,
        operations: this.operations,
        clock: systemClock,
        random: systemRandom,
        log: silentLog,
        times,
      },
      ...{ book, keepsAtMost: () => 2 ** 30 },
      calls: new PeerCalls(net as unknown as DockNet),
      guests: { list: () => [guest], find: () => guest, get: () => guest },
      arrivals: { close: async () => undefined, forget: async () => undefined },
      visits: { hasRoom: async () => true },
      keptMemory: { forgetOf: async () => undefined },
      economy: new Economy({ clock: hasty, onBattery, isMetered: async () => false }),
    } as unknown as WarmDocksOptions)
  }

  static async open(): Promise<Bench> {
    const net = new FakeNet()
    const store = new StateStore(firstState())
    const options = { dataDir: folder, net: net as unknown as DockNet, store, log: silentLog }
    return new Bench(store, net, await WarmBook.open(options))
  }

  get state(): WarmState | null {
    return this.book.find(pair)
  }
}

function firstState() {
  const info = {
    ...{ dockId: here, appVersion: '1', dataDir: '/d', port: 1, addresses: [], secretsSentence: '' },
    ...{ demoGuestAvailable: false, isDemo: false },
  }
  return emptyHostState(info, defaultSettings('Here'))
}

/** An answer that comes only when nobody waits for it any more. */
function never(signal?: AbortSignal): Promise<unknown> {
  return new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
}

describe('docks that are kept ready', () => {
  it('are asked when it is their turn, and what they refuse is told in their words, and not asked again soon', async () => {
    await bench.docks.lookOnce()
    await vi.waitFor(() =>
      expect(bench.state).toMatchObject({ kind: 'waiting', percent: 0, reason: { code: 'warm.no_room' } }),
    )
    await bench.docks.lookOnce()
    expect(bench.net.asked).toEqual(['warm.prepare'])
  })

  it('are left alone on battery, which is told, and asked when that is over', async () => {
    bench.is.battery = true
    await bench.docks.lookOnce()
    expect(bench.state).toMatchObject({ kind: 'waiting', reason: { code: 'warm.on_battery' } })
    expect(bench.net.asked).toEqual([])
    bench.is.battery = false
    await bench.docks.lookOnce()
    await vi.waitFor(() => expect(bench.net.asked).toEqual(['warm.prepare']))
  })

  it('are left alone where nobody has allowed it, and when the guest does not run', async () => {
    bench.guest.state = { kind: 'paused' }
    await bench.docks.lookOnce()
    bench.guest.state = { kind: 'running' }
    await bench.net.setKeepsReady(there, false)
    await bench.docks.lookOnce()
    await expect(bench.docks.now(pair)).rejects.toMatchObject({ code: 'warm.not_allowed' })
    expect(bench.net.asked).toEqual([])
  })

  it('give way to an operation of the guest before that does anything', async () => {
    bench.net.answer = never
    const ordered = bench.docks.now(pair).catch((error: WdockError) => error)
    await vi.waitFor(() => expect(bench.net.asked).toEqual(['warm.prepare']))
    const work = { kind: 'creating' } as const
    const did: string[] = []
    const { ended } = bench.operations.run(
      { id: 'one', guestId, guestName: 'Test guest', work },
      async () => {
        did.push('work')
      },
    )
    expect(did).toEqual([])
    expect(await ended).toBeNull()
    expect(did).toEqual(['work'])
    expect(await ordered).toMatchObject({ code: 'warm.ended' })
    expect(bench.state).toMatchObject({ kind: 'waiting', reason: null })
  })

  it('hear for whom they are kept ready when that changes', async () => {
    await bench.docks.allow(there, true)
    await bench.docks.allow(there, false)
    expect(bench.net.asked).toEqual([`warm.hold {"guestIds":["${guestId}"]}`, 'warm.hold {"guestIds":[]}'])
    expect(bench.state).toBeNull()
  })
})

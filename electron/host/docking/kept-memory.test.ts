import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Guest } from '../../../shared/models/guest.ts'
import { defaultSettings, emptyHostState } from '../../../shared/models/host-state.ts'
import type { KeptPlace } from '../../delta/thread-messages.ts'
import { TestDocks, until } from '../../docks/testing/docks.ts'
import { openKept } from '../../pages/kept/kept-pages.ts'
import { KeptStore } from '../../pages/kept/kept-store.ts'
import { blocks, idKey, idOf, pageOf } from '../../pages/kept/testing/kept-guest.ts'
import { silentLog } from '../../platform/log.ts'
import { type Fact, StateStore } from '../state-store.ts'
import { KeptMemory, type KeptMemoryOptions, reserveBytes } from './kept-memory.ts'

const here = 'h'.repeat(52)
const [near, far, unpaired] = ['a'.repeat(52), 'b'.repeat(52), 'c'.repeat(52)] as const
const [first, second, third] = [
  '0b4b57a0-5c1c-4cd1-8f2c-0f6f2f6f3a11',
  '1b4b57a0-5c1c-4cd1-8f2c-0f6f2f6f3a11',
  '2b4b57a0-5c1c-4cd1-8f2c-0f6f2f6f3a11',
] as const

let folder: string
let limitBytes: number
/** What is free where nothing is kept. */
let diskBytes: number | null
let bench: Bench

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wdock-kept-'))
  limitBytes = 2 ** 30
  diskBytes = 2 ** 40
  bench = new Bench('dock', { peers: () => [peer(near), peer(far)], onUnpaired: () => () => undefined })
})

afterEach(async () => await rm(folder, { recursive: true, force: true }))

function peer(id: string): ReturnType<KeptMemoryOptions['net']['peers']>[number] {
  const unknown = { address: null, lastSeenAtMs: null, linkRttMs: null, appVersion: null, keepsReady: false }
  return { id, name: 'Other', paired: true, state: 'offline', ...unknown }
}

/** One dock's kept memory, and the state that tells of it. */
class Bench {
  readonly kept: KeptStore
  readonly state: StateStore
  readonly memory: KeptMemory
  readonly facts: Fact['type'][] = []

  constructor(name: string, net: KeptMemoryOptions['net']) {
    const base = join(folder, name)
    this.kept = new KeptStore({ folder: join(base, 'kept'), dockKeyPath: join(base, 'key'), log: silentLog })
    this.state = new StateStore(initialState())
    const keepsAtMost = (): number => limitBytes
    const freeBytes = async (): Promise<number | null> => {
      const kept = (await this.kept.list()).reduce((sum, { bytes }) => sum + bytes, 0)
      return diskBytes === null ? null : diskBytes - kept
    }
    const rest = { keepsAtMost, freeBytes, log: silentLog }
    this.memory = new KeptMemory({ kept: this.kept, state: this.state, net, ...rest })
    this.state.onFact(({ type }) => this.facts.push(type))
  }

  /** A guest comes or goes, and what it brought is kept. */
  async visit(guestId: string, dockId: string, atMs: number, guestName = 'Workshop'): Promise<void> {
    const place = await this.memory.take(guestId, guestName)
    if (place === null) return
    write(place, { guestId, guestName, dockId, atMs })
    await this.memory.giveBack(guestId)
  }

  ids(): string[] {
    return this.state.state.keptMemory.guests.map(({ guestId }) => guestId)
  }
}

type Note = Parameters<ReturnType<typeof openKept>['finish']>[1]

function write({ folder, dockKey }: KeptPlace, note: Note): void {
  const pages = openKept(folder, Buffer.from(dockKey))
  pages.begin({ idKey, blocks, from: 'nothing' })
  for (let page = 0; page < 100; page += 1) pages.putPage(page, idOf(page), 0, pageOf(page), 0)
  pages.finish(randomBytes(16), note)
}

function initialState() {
  const more = { demoGuestAvailable: false, isDemo: false, addresses: [], secretsSentence: '' }
  return emptyHostState(
    { dockId: here, appVersion: '1', dataDir: folder, port: 0, ...more },
    { ...defaultSettings('Here'), keptMemoryMiB: 1024 },
  )
}

function guest(id: string, name: string): Guest {
  return {
    ...{ id, name, dockId: here, homeDockId: here, state: { kind: 'stopped' }, operationId: null },
    ...{
      accelerator: { kind: 'tcg', sentence: '' },
      cores: 1,
      maxCores: 1,
      memoryBytes: 0,
      maxMemoryBytes: 0,
      network: 'user',
    },
    ...{ diskBytes: 0, diskUsedBytes: 0, machine: 'pc', cpuModel: 'host', bootKind: 'disk', createdAtMs: 0 },
    ...{ bootedAtMs: null, pictureRevision: null },
  }
}

describe('kept memory in the state', () => {
  it('is there after a visit, newest first, with its total', async () => {
    await bench.visit(first, near, 1000)
    expect(bench.facts).toEqual(['kept-memory.changed'])
    await bench.visit(second, far, 2000, 'Mail')
    const { guests, totalBytes } = bench.state.state.keptMemory
    expect(guests).toMatchObject([
      { guestId: second, guestName: 'Mail', dockId: far, usedAtMs: 2000 },
      { guestId: first, guestName: 'Workshop', dockId: near, usedAtMs: 1000 },
    ])
    expect(totalBytes).toBe((guests[0]?.bytes ?? 0) + (guests[1]?.bytes ?? 0))
    expect(totalBytes).toBeGreaterThan(200 * 4096)
  })

  it('is there after a start', async () => {
    await bench.visit(first, near, 1000)
    const next = new Bench('dock', { peers: () => [peer(near)], onUnpaired: () => () => undefined })
    await next.memory.start([])
    expect(next.ids()).toEqual([first])
  })

  it('has the names of now, and of a guest that is gone the one that it had', async () => {
    await bench.visit(first, near, 1000)
    const names = () => bench.state.state.keptMemory.guests.map((each) => [each.guestName, each.dockName])
    expect(names()).toEqual([['Workshop', null]])
    bench.state.apply({ type: 'guest.changed', guest: guest(first, 'Studio') })
    const away = { paired: true, address: null, linkRttMs: null, keepsReady: false, capabilities: null }
    const presence = { kind: 'online' } as const
    bench.state.apply({ type: 'dock.changed', dock: { id: near, name: 'Laptop', presence, ...away } })
    expect(names()).toEqual([['Studio', 'Laptop']])
    bench.state.apply({ type: 'guest.removed', guestId: first, dockId: here })
    expect(names()).toEqual([['Workshop', 'Laptop']])
  })

  it('is not told again when nothing has changed', async () => {
    await bench.visit(first, near, 1000)
    await bench.memory.tidy()
    bench.state.apply({ type: 'guest.changed', guest: guest(second, 'Mail') })
    expect(bench.facts).toEqual(['kept-memory.changed', 'guest.changed'])
  })
})

describe('forgetting', () => {
  it('removes one guest, or all', async () => {
    for (const [index, id] of [first, second, third].entries()) await bench.visit(id, near, index)
    await bench.memory.forget(second)
    expect(bench.ids()).toEqual([third, first])
    await bench.memory.forget(second)
    await bench.memory.forgetAll()
    expect(bench.state.state.keptMemory).toEqual({ guests: [], totalBytes: 0 })
    expect(await bench.kept.list()).toEqual([])
  })

  it('leaves a guest whose visit is under way, and says so', async () => {
    await bench.visit(first, near, 1000)
    await bench.visit(second, near, 1000)
    await bench.memory.take(first, 'Workshop')
    const refused = { code: 'kept.in_use', message: expect.stringContaining('Workshop') }
    await expect(bench.memory.forget(first)).rejects.toMatchObject(refused)
    await expect(bench.memory.forgetAll()).rejects.toMatchObject(refused)
    expect(bench.ids()).toEqual([first])
    await bench.memory.giveBack(first)
    await bench.memory.forgetAll()
    expect(bench.ids()).toEqual([])
  })

  it('is over before a visit takes the same guest', async () => {
    await bench.visit(first, near, 1000)
    const forgotten = bench.memory.forget(first)
    const place = await bench.memory.take(first, 'Workshop')
    expect(openKept(place?.folder ?? '', Buffer.from(place?.dockKey ?? [])).known).toBeNull()
    await forgotten
  })
})

describe('kept memory goes by itself', () => {
  it('when less may be kept, those longest unused first, and all when nothing may', async () => {
    for (const [index, id] of [first, second, third].entries()) await bench.visit(id, near, index)
    limitBytes = (bench.state.state.keptMemory.guests[0]?.bytes ?? 0) * 2
    await bench.memory.tidy()
    expect(bench.ids()).toEqual([third, second])
    limitBytes = 0
    await bench.memory.tidy()
    expect(bench.ids()).toEqual([])
    expect(await bench.memory.take(first, 'Workshop')).toBeNull()
  })

  it('when the disk gets short, those longest unused first, until enough is free', async () => {
    for (const [index, id] of [first, second, third].entries()) await bench.visit(id, near, index)
    const eachBytes = bench.state.state.keptMemory.guests[0]?.bytes ?? 0
    await bench.memory.giveWay()
    diskBytes = null
    await bench.memory.giveWay()
    expect(bench.ids()).toHaveLength(3)
    diskBytes = reserveBytes + eachBytes * 1.5
    await bench.memory.giveWay()
    expect(bench.ids()).toEqual([third])
    diskBytes = reserveBytes / 2
    await bench.memory.giveWay()
    expect(bench.ids()).toEqual([])
  })

  it('when a guest stands still because the disk is full', async () => {
    await bench.visit(first, near, 1)
    diskBytes = reserveBytes
    const reason = { code: 'guest.disk_full', message: 'Full.', fix: 'Free some.', detail: null }
    const state = { kind: 'paused', reason }
    bench.state.apply({ type: 'guest.changed', guest: { id: second, state } } as never)
    await vi.waitFor(() => expect(bench.ids()).toEqual([]))
  })

  it('when nothing may be kept any more at the end of a visit that began before', async () => {
    const place = await bench.memory.take(first, 'Workshop')
    limitBytes = 0
    await bench.memory.tidy()
    if (place !== null) write(place, { guestId: first, dockId: near, atMs: 1 })
    await bench.memory.giveBack(first)
    expect(await bench.kept.list()).toEqual([])
  })

  it('when its last visit was with a dock that is paired no more, or nobody knows with whom', async () => {
    await bench.visit(first, unpaired, 1000)
    expect(bench.ids()).toEqual([])
    await bench.visit(second, near, 1000)
    rmSync(join(bench.kept.guestFolder(second), 'note.json'))
    await bench.memory.start([])
    expect(bench.ids()).toEqual([])
  })

  it('when its guest was deleted for good, unless it was used afterwards or the guest is here', async () => {
    for (const id of [first, second, third]) await bench.visit(id, near, 1000)
    bench.state.apply({ type: 'guest.changed', guest: guest(third, 'Came back') })
    await bench.memory.start([
      { id: first, trashedAtMs: 2000 },
      { id: second, trashedAtMs: 500 },
      { id: third, trashedAtMs: 2000 },
    ])
    expect(bench.ids().toSorted()).toEqual([second, third])
  })
})

describe('unpairing', () => {
  it('removes on both docks what was kept of visits between them, and nothing else', async () => {
    const docks = new TestDocks()
    try {
      const { a, b } = await docks.linked()
      const [atA, atB] = [new Bench('a', a), new Bench('b', b)]
      await atA.visit(first, b.id, 1000)
      await atB.visit(first, a.id, 1000)
      expect([atA.ids(), atB.ids()]).toEqual([[first], [first]])
      const taken = await atB.memory.take(second, 'Mail')
      await a.unpair(b.id)
      await until(() => atA.ids().length === 0 && atB.ids().length === 0)
      // A visit that was under way: what it brought goes when it is over.
      if (taken !== null) write(taken, { guestId: second, dockId: a.id, atMs: 2000 })
      await atB.memory.giveBack(second)
      expect(await atB.kept.list()).toEqual([])
    } finally {
      await docks.dispose()
    }
  })
})

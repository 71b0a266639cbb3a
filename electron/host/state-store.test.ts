import { describe, expect, it } from 'vitest'
import {
  defaultSettings,
  emptyHostState,
  type HostEvent,
  type HostState,
} from '../../shared/models/host-state.ts'
import { StateStore } from './state-store.ts'

const info: HostState['info'] = {
  ...{ dockId: 'a'.repeat(52), appVersion: '1', dataDir: '/data', port: 1, addresses: [] },
  ...{ secretsSentence: '', demoGuestAvailable: false, isDemo: false },
}
const initial = emptyHostState(info, renamed('Here').settings)

function renamed(dockName: string): { type: 'settings.changed'; settings: HostState['settings'] } {
  return {
    type: 'settings.changed',
    settings: defaultSettings(dockName),
  }
}

async function take(events: AsyncIterator<HostEvent>, count: number): Promise<HostEvent[]> {
  const taken: HostEvent[] = []
  while (taken.length < count) {
    const next = await events.next()
    if (next.done) break
    taken.push(next.value)
  }
  return taken
}

describe('the state store', () => {
  it('gives a watcher a snapshot first and then every fact in order', async () => {
    const store = new StateStore(initial)
    const events = store.watch(new AbortController().signal)
    const [snapshot] = await take(events, 1)
    store.apply(renamed('One'))
    store.apply(renamed('Two'))
    const facts = await take(events, 2)
    expect(snapshot?.type).toBe('snapshot')
    expect(facts).toEqual([renamed('One'), renamed('Two')])
    expect(store.state.settings.dockName).toBe('Two')
  })

  it('gives a watcher that falls behind a new snapshot instead of a growing queue', async () => {
    const store = new StateStore(initial)
    const events = store.watch(new AbortController().signal)
    await take(events, 1)
    for (let n = 0; n < 1200; n += 1) store.apply(renamed(`Name ${n}`))
    const [first] = await take(events, 1)
    expect(first?.type).toBe('snapshot')
    let seen = first?.type === 'snapshot' ? first.state.settings.dockName : ''
    for (let n = 0; seen !== 'Name 1199' && n < 600; n += 1) {
      const [next] = await take(events, 1)
      if (next?.type === 'settings.changed') seen = next.settings.dockName
      if (next?.type === 'snapshot') seen = next.state.settings.dockName
    }
    expect(seen).toBe('Name 1199')
  })

  it('ends a watch when its signal fires, and forgets the watcher', async () => {
    const store = new StateStore(initial)
    const abort = new AbortController()
    const events = store.watch(abort.signal)
    await take(events, 1)
    const waiting = events.next()
    abort.abort()
    expect((await waiting).done).toBe(true)
    expect(store.watcherCount).toBe(0)
  })

  it('ends every watch when it closes', async () => {
    const store = new StateStore(initial)
    const events = store.watch(new AbortController().signal)
    await take(events, 1)
    const waiting = events.next()
    store.close()
    expect((await waiting).done).toBe(true)
  })
})

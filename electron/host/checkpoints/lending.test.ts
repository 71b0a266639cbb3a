/** Links: made, listed, taken back. */
import { describe, expect, it } from 'vitest'
import { fail } from '../../../shared/errors/index.ts'
import type { LentLink, ListState, VaultList, VaultState } from '../../../shared/models/checkpoint.ts'
import { silentLog } from '../../platform/log.ts'
import type { VaultService } from '../../vault/service/vault-service.ts'
import { StateStore } from '../state-store.ts'
import { Lending, lendingHandlers } from './lending.ts'
import { HandClock, settle } from './testing/checkpoint-dock.ts'
import { BenchDesk, emptyState, serviceOf } from './testing/restore-bench.ts'

const checkpointId = 'c'.repeat(32)
const never = { startMs: null, endMs: null }

function lent(shareId: string, changes: Partial<LentLink> = {}): LentLink {
  const state = { kind: 'ready' } as const
  const times = { atMs: 1, lentAtMs: 2, ...never }
  return { shareId, checkpointId, guestName: 'Web', ...times, link: `wdock:${shareId}`, state, ...changes }
}

/** The desk as lending sees it, over a state. */
class LendingDesk extends BenchDesk {
  readonly #store: StateStore
  #opened: (service: VaultService) => void = () => {}

  constructor(service: VaultService, store: StateStore) {
    super(service)
    this.#store = store
  }

  get state(): VaultState {
    return this.#store.state.vault
  }

  onOpened(listener: (service: VaultService) => void): () => void {
    this.#opened = listener
    return () => {}
  }

  noteList(list: VaultList, read: ListState): void {
    const { state } = this
    if (state.kind === 'ready')
      this.#store.apply({ type: 'vault.changed', vault: { ...state, [list]: read } })
  }

  async open(): Promise<void> {
    this.#opened(this.current)
    await settle()
  }
}

function setUp(answers: Partial<VaultService>, canLend = true) {
  const vault: VaultState = {
    ...{ kind: 'ready', vaultId: 'v', placeKind: 'azure', placeSentence: 'Azure', keySentence: '' },
    ...{ canLend, phraseSeen: true, trouble: null },
    ...{ checkpointList: { kind: 'reading' }, lentList: { kind: 'reading' } },
  }
  const store = new StateStore({ ...emptyState('/nowhere'), vault })
  const desk = new LendingDesk(serviceOf(answers), store)
  const clock = new HandClock()
  const lending = new Lending({ desk, store, clock, log: silentLog })
  const shown = () => store.state.lentLinks.map(({ shareId }) => shareId)
  return { lending, desk, store, clock, shown, open: () => desk.open() }
}

describe('lending', () => {
  it('makes a link, shows it at once, and shows how far its preparation is', async () => {
    const { lending, store, desk } = setUp({
      lend: async () => lent('a'.repeat(32), { state: { kind: 'preparing', doneBytes: 0, totalBytes: 9 } }),
    })
    const made = await lending.lend(checkpointId, never)
    expect(made).toEqual({ shareId: 'a'.repeat(32), link: `wdock:${'a'.repeat(32)}` })
    expect(store.state.lentLinks).toMatchObject([{ state: { kind: 'preparing' } }])
    desk.tell({ type: 'share.changed', link: lent('a'.repeat(32)) })
    expect(store.state.lentLinks).toMatchObject([{ state: { kind: 'ready' } }])
  })

  it('refuses times at which the link would never work', async () => {
    const { lending, clock } = setUp({})
    const nowMs = clock.nowMs()
    const spans = [
      { startMs: null, endMs: nowMs - 1 },
      { startMs: nowMs + 2000, endMs: nowMs + 1000 },
    ]
    for (const span of spans) {
      await expect(lending.lend(checkpointId, span)).rejects.toMatchObject({ code: 'vault.bad_span' })
    }
  })

  it('says which place it takes where links cannot be made', async () => {
    const { lending } = setUp({}, false)
    await expect(lending.lend(checkpointId, never)).rejects.toMatchObject({ code: 'vault.cannot_lend' })
  })

  it('takes a link back for good, even when its preparation is told of later', async () => {
    const revoked: string[] = []
    const { lending, store, desk } = setUp({
      lend: async () => lent('a'.repeat(32)),
      revoke: async (id) => void revoked.push(id),
    })
    await lending.lend(checkpointId, never)
    await lending.revoke('a'.repeat(32))
    desk.tell({ type: 'share.changed', link: lent('a'.repeat(32)) })
    expect(revoked).toEqual(['a'.repeat(32)])
    expect(store.state.lentLinks).toEqual([])
  })

  it('keeps a link on the list that could not be taken back', async () => {
    const { lending, store } = setUp({
      lend: async () => lent('a'.repeat(32)),
      revoke: async () => await Promise.reject(new Error('away')),
    })
    await lending.lend(checkpointId, never)
    await expect(lending.revoke('a'.repeat(32))).rejects.toThrow('away')
    expect(store.state.lentLinks).toHaveLength(1)
  })

  it('lists what the vault knows when it is opened, and nothing else', async () => {
    const { store, shown, open } = setUp({ lent: async () => [lent('b'.repeat(32))] })
    store.apply({ type: 'lent.changed', link: lent('a'.repeat(32)) })
    await open()
    expect(shown()).toEqual(['b'.repeat(32)])
    expect(store.state.vault).toMatchObject({ lentList: { kind: 'read' } })
  })

  it('reads a list later that could not be read, and says so until then', async () => {
    let away = true
    const { store, shown, open, clock } = setUp({
      lent: async () => {
        if (away) throw fail('store.unreachable', { place: 'Azure' })
        return [lent('b'.repeat(32))]
      },
    })
    await open()
    const unread = { lentList: { kind: 'unread', error: { code: 'store.unreachable' } } }
    expect(store.state.vault).toMatchObject(unread)
    away = false
    await clock.pass(5 * 60_000)
    expect(shown()).toEqual(['b'.repeat(32)])
    expect(store.state.vault).toMatchObject({ lentList: { kind: 'read' } })
    away = true
    await clock.pass(5 * 60_000)
    expect(shown()).toEqual(['b'.repeat(32)])
    expect(store.state.vault).toMatchObject({ lentList: { kind: 'read' } })
  })

  it('does not let a list undo what was told while it was read', async () => {
    const listed = Promise.withResolvers<LentLink[]>()
    const preparing = { kind: 'preparing', doneBytes: 0, totalBytes: 9 } as const
    const { lending, store, desk, shown, open } = setUp({
      lent: () => listed.promise,
      lend: async () => lent('a'.repeat(32)),
      revoke: async () => {},
    })
    await open()
    await lending.lend(checkpointId, never)
    desk.tell({ type: 'share.changed', link: lent('b'.repeat(32)) })
    await lending.revoke('c'.repeat(32))
    listed.resolve([lent('b'.repeat(32), { state: preparing }), lent('c'.repeat(32))])
    await settle()
    expect(shown()).toEqual(['a'.repeat(32), 'b'.repeat(32)])
    expect(store.state.lentLinks[1]).toMatchObject({ state: { kind: 'ready' } })
  })

  it('shows no list of a vault that was forgotten while it was read, but that of the next one', async () => {
    const lists = [Promise.withResolvers<LentLink[]>(), Promise.withResolvers<LentLink[]>()]
    let asked = 0
    const { store, shown, open } = setUp({ lent: async () => (await lists[asked++]?.promise) ?? [] })
    const { vault } = store.state
    await open()
    store.apply({ type: 'vault.changed', vault: { ...vault, vaultId: 'w' } as VaultState })
    await open()
    lists[0]?.resolve([lent('a'.repeat(32))])
    await settle()
    expect(shown()).toEqual([])
    lists[1]?.resolve([lent('b'.repeat(32))])
    await settle()
    expect(shown()).toEqual(['b'.repeat(32)])
  })

  it('takes a link as it was pasted, with what stands around it', async () => {
    const asked: string[] = []
    const { lending } = setUp({})
    const receive = async (link: string) => {
      asked.push(link)
      return { operationId: 'o', guestId: checkpointId }
    }
    const signal = new AbortController().signal
    await lendingHandlers(lending, { receive }).receive({ link: ' wdock:x\n' }, { signal })
    expect(asked).toEqual(['wdock:x'])
  })
})

/** Links: made, listed, taken back. */
import { describe, expect, it } from 'vitest'
import type { LentLink } from '../../../shared/models/checkpoint.ts'
import type { HostState } from '../../../shared/models/host-state.ts'
import { systemClock } from '../../platform/clock.ts'
import { silentLog } from '../../platform/log.ts'
import type { VaultService } from '../../vault/service/vault-service.ts'
import { StateStore } from '../state-store.ts'
import { Lending, lendingHandlers } from './lending.ts'
import { BenchDesk, emptyState, serviceOf } from './testing/restore-bench.ts'

const checkpointId = 'c'.repeat(32)
const never = { startMs: null, endMs: null }

function lent(shareId: string, changes: Partial<LentLink> = {}): LentLink {
  const state = { kind: 'ready' } as const
  const times = { atMs: 1, lentAtMs: 2, ...never }
  return { shareId, checkpointId, guestName: 'Web', ...times, link: `wdock:${shareId}`, state, ...changes }
}

function setUp(answers: Partial<VaultService>, canLend = true) {
  const service = serviceOf(answers)
  const ready = {
    ...{ kind: 'ready', vaultId: 'v', placeKind: 'azure', placeSentence: 'Azure', keySentence: '' },
    ...{ canLend, phraseSeen: true, trouble: null },
  } as Extract<HostState['vault'], { kind: 'ready' }>
  const store = new StateStore({ ...emptyState('/nowhere'), vault: ready })
  const opened: ((service: VaultService) => void)[] = []
  const desk = Object.assign(new BenchDesk(service), {
    state: ready,
    onOpened: (listener: (service: VaultService) => void) => {
      opened.push(listener)
      return () => {}
    },
  })
  const lending = new Lending({ desk, store, clock: systemClock, log: silentLog })
  const open = async (): Promise<void> => {
    for (const listener of opened) listener(service)
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { lending, desk, store, open }
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
    const { lending } = setUp({})
    const nowMs = Date.now()
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

  it('lists what the vault knows when it is opened, links of other PCs too', async () => {
    const { store, open } = setUp({ lent: async () => [lent('b'.repeat(32), { link: null })] })
    store.apply({ type: 'lent.changed', link: lent('a'.repeat(32)) })
    await open()
    expect(store.state.lentLinks.map(({ shareId }) => shareId)).toEqual(['b'.repeat(32)])
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

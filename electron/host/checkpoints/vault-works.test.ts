/** Checks and sweeps are shown while they go on, and end when nobody wants them. */
import { beforeEach, expect, it } from 'vitest'
import { fail } from '../../../shared/errors/index.ts'
import { defaultSettings, emptyHostState } from '../../../shared/models/host-state.ts'
import type { VaultEvent } from '../../vault/service/vault-service.ts'
import { Seeded } from '../../vault/testing/seeded.ts'
import { StateStore } from '../state-store.ts'
import { serviceOf } from './testing/restore-bench.ts'
import { VaultWorks } from './vault-works.ts'

const never = new AbortController().signal
const half = { kind: 'sweep', doneBytes: 1, totalBytes: 2 } as const

let store: StateStore
let works: VaultWorks
let tell: (event: VaultEvent) => void
let cancelled: string[]

beforeEach(() => {
  store = new StateStore(
    emptyHostState(
      {
        ...{ dockId: 'a'.repeat(52), appVersion: '1', dataDir: '', port: 0, addresses: [] },
        ...{ secretsSentence: '', demoGuestAvailable: false, isDemo: false },
      },
      defaultSettings('Desk'),
    ),
  )
  const listeners = new Set<(event: VaultEvent) => void>()
  tell = (event) => {
    for (const listener of listeners) listener(event)
  }
  cancelled = []
  const service = serviceOf({ cancelWork: async (id) => void cancelled.push(id) })
  const onEvent = (listener: (event: VaultEvent) => void) => {
    listeners.add(listener)
    return () => listeners.delete(listener)
  }
  works = new VaultWorks({ desk: { opened: () => service, onEvent }, store, random: new Seeded(1) })
})

const shown = () => store.state.vaultWorks.map(({ progress }) => progress)

it('shows how far it is, and nothing when it has ended', async () => {
  const answer = await works.run('sweep', never, async (_service, workId) => {
    expect(shown()).toEqual([{ kind: 'sweep', doneBytes: 0, totalBytes: null }])
    tell({ type: 'work.progress', workId, progress: half })
    tell({ type: 'work.progress', workId: 'of another', progress: { ...half, doneBytes: 2 } })
    expect(shown()).toEqual([half])
    return 'freed'
  })
  expect(answer).toBe('freed')
  expect(shown()).toEqual([])
})

it('is not shown any more when it has failed', async () => {
  const failing = works.run('check', never, () => Promise.reject(fail('store.unreachable', { place: 'It' })))
  expect(shown()).toHaveLength(1)
  await expect(failing).rejects.toMatchObject({ code: 'store.unreachable' })
  expect(shown()).toEqual([])
})

it('ends when its caller goes away, and only then', async () => {
  const caller = new AbortController()
  await works.run('check', caller.signal, async (_service, workId) => {
    expect(cancelled).toEqual([])
    caller.abort()
    expect(cancelled).toEqual([workId])
  })
  const late = new AbortController()
  await works.run('check', late.signal, async () => {})
  late.abort()
  expect(cancelled).toHaveLength(1)
})

it('is not begun for a caller who has gone', async () => {
  const begun = works.run('check', AbortSignal.abort(), () => Promise.reject(new Error('begun')))
  await expect(begun).rejects.toMatchObject({ code: 'host.cancelled' })
})

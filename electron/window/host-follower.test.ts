import { expect, it } from 'vitest'
import { defaultSettings, emptyHostState, type HostEvent } from '../../shared/models/host-state.ts'
import { silentLog } from '../platform/log.ts'
import { followHost } from './host-follower.ts'

const settings = defaultSettings('This PC')

function snapshot(dockName: string): HostEvent {
  const info = {
    dockId: 'a'.repeat(52),
    appVersion: '1',
    dataDir: '/d',
    port: 1,
    addresses: [],
    secretsSentence: '',
    demoGuestAvailable: false,
    isDemo: false,
  }
  return { type: 'snapshot', state: emptyHostState(info, { ...settings, dockName }) }
}

it('hands on every state in order and watches again when the stream ends or fails', async () => {
  const ending = new AbortController()
  const names: string[] = []
  let watches = 0
  await followHost({
    watch: async function* () {
      watches += 1
      if (watches === 2) throw new Error('the host is away')
      yield snapshot(`watch ${watches}`)
      if (watches === 3) ending.abort()
      yield { type: 'settings.changed', settings: { ...settings, dockName: 'renamed' } }
    },
    listeners: [(after) => names.push(after.settings.dockName)],
    log: silentLog,
    signal: ending.signal,
    retryMs: 1,
  })
  expect(names).toEqual(['watch 1', 'renamed', 'watch 3', 'renamed'])
})

import { EventEmitter } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Notification } from 'electron'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { silentLog } from '../platform/log.ts'
import { firstCloseNotice, firstCloseWords } from './first-close.ts'

let dir: string
let shown: FakeNotification[]
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'wdock-close-'))
  shown = []
  FakeNotification.supported = true
})
afterEach(() => rmSync(dir, { recursive: true }))

class FakeNotification extends EventEmitter {
  static supported = true
  static isSupported = (): boolean => FakeNotification.supported
  readonly title: string
  constructor({ title }: { title: string }) {
    super()
    this.title = title
  }
  show(): void {
    shown.push(this)
  }
}

/** One run of the app, on the same folder each time. */
function oneRun(routes: string[] = []): () => void {
  return firstCloseNotice(FakeNotification as unknown as typeof Notification, {
    toldPath: join(dir, 'told.json'),
    show: (route) => routes.push(route),
    log: silentLog,
  })
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 50))

it('tells once that the app goes on, over all its runs', async () => {
  const first = oneRun()
  first()
  first()
  await settled()
  expect(shown.map(({ title }) => title)).toEqual([firstCloseWords.title])
  oneRun()()
  await settled()
  expect(shown).toHaveLength(1)
})

it('leads to the settings by a click', async () => {
  const routes: string[] = []
  oneRun(routes)()
  await settled()
  shown[0]?.emit('click')
  expect(routes).toEqual(['#/settings'])
})

it('keeps it for later where nothing can be shown', async () => {
  FakeNotification.supported = false
  oneRun()()
  await settled()
  FakeNotification.supported = true
  oneRun()()
  await settled()
  expect(shown).toHaveLength(1)
})

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { Settings } from './settings.ts'

let dir: string
let path: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'wdock-settings-'))
  path = join(dir, 'settings.json')
})
afterEach(() => rmSync(dir, { recursive: true }))

it('takes the default for a setting that is newer than the file, and keeps the others', async () => {
  const old = { dockName: 'Old desk', port: 4711, discovery: false, theme: 'dark' }
  writeFileSync(path, JSON.stringify({ version: 1, settings: old }))
  const settings = await Settings.open(dir, {})
  expect(settings.current).toEqual({ ...old, whenClosed: 'stay', keptMemoryMiB: 16_384 })
})

it('leaves a damaged file as it is and names it', async () => {
  writeFileSync(path, '{"version":1,"settings":{"port":"many"}}')
  await expect(Settings.open(dir, {})).rejects.toMatchObject({ code: 'host.state_unreadable' })
  expect(readFileSync(path, 'utf8')).toContain('many')
})

it('writes a change down and gives it at the next start', async () => {
  await (await Settings.open(dir, {})).change({ whenClosed: 'quit' })
  expect((await Settings.open(dir, {})).current.whenClosed).toBe('quit')
})

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { defaultPlace, fitPlace, loadPlace, savePlace } from './window-state.ts'

const screen = { x: 0, y: 0, width: 1600, height: 1000 }
const place = { bounds: { x: 50, y: 60, width: 900, height: 700 }, maximized: true }
let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'wdock-place-'))
})
afterEach(() => rm(dir, { recursive: true }))

it('comes back where it was left', async () => {
  const path = join(dir, 'place.json')
  await savePlace(path, place)
  expect(await loadPlace(path, [screen])).toEqual(place)
})

it('keeps its size on a screen where its place is gone', () => {
  const away = { bounds: { x: 4000, y: 60, width: 900, height: 700 }, maximized: false }
  expect(fitPlace(away, [screen])).toEqual({ bounds: { width: 900, height: 700 }, maximized: false })
})

it('opens as the first time when the file is missing or damaged', async () => {
  const path = join(dir, 'place.json')
  expect(await loadPlace(path, [screen])).toEqual(defaultPlace)
  for (const text of [
    '',
    '{',
    '{"version":2}',
    '{"version":1,"bounds":{"x":0,"y":0,"width":1e9,"height":1}}',
  ]) {
    await writeFile(path, text)
    expect(await loadPlace(path, [screen])).toEqual(defaultPlace)
  }
})

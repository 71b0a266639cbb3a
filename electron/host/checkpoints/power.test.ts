import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readPower } from './power.ts'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'wp-'))
})
afterEach(async () => await rm(root, { recursive: true }))

async function supply(name: string, files: Record<string, string>): Promise<void> {
  await mkdir(join(root, name))
  for (const [file, text] of Object.entries(files)) await writeFile(join(root, name, file), `${text}\n`)
}

it('a PC without batteries is on mains', async () => {
  expect(await readPower(root)).toEqual({ onBattery: false, percent: null })
  expect(await readPower(join(root, 'nowhere'))).toEqual({ onBattery: false, percent: null })
})

it('a notebook without its adapter runs from its battery', async () => {
  await supply('AC', { type: 'Mains', online: '0' })
  await supply('BAT0', { type: 'Battery', status: 'Discharging', capacity: '14' })
  expect(await readPower(root)).toEqual({ onBattery: true, percent: 14 })
})

it('with its adapter, by barrel or USB, it is on mains whatever its battery does', async () => {
  await supply('BAT0', { type: 'Battery', status: 'Discharging', capacity: '14' })
  await supply('BAT1', { type: 'Battery', status: 'Not charging', capacity: '86' })
  await supply('ucsi', { type: 'USB', online: '1' })
  expect(await readPower(root)).toEqual({ onBattery: false, percent: 50 })
})

it('the battery of a mouse does not count, nor what is no number', async () => {
  await supply('hid', { type: 'Battery', scope: 'Device', status: 'Discharging', capacity: '3' })
  await supply('BAT0', { type: 'Battery', status: 'Unknown', capacity: 'lots' })
  expect(await readPower(root)).toEqual({ onBattery: false, percent: null })
})

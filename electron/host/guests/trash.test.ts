import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Trash } from './trash.ts'

const guestId = '0b4b57a0-5c1c-4cd1-8f2c-0f6f2f6f3a11'
const daysMs = 24 * 3600 * 1000

let folder: string
let trash: Trash

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wdock-trash-'))
  trash = new Trash(folder)
})
afterEach(async () => await rm(folder, { recursive: true, force: true }))

async function put(): Promise<void> {
  const guest = join(folder, 'guests', guestId)
  await mkdir(guest, { recursive: true })
  await trash.put(guest, guestId)
}

describe('the trash', () => {
  it('keeps a guest for 30 days, then tells that it is gone for good', async () => {
    const putAtMs = Date.now()
    await put()
    expect(await trash.sweep(putAtMs + 29 * daysMs)).toEqual([])
    expect(existsSync(trash.path(guestId))).toBe(true)
    const [deleted, ...more] = await trash.sweep(Date.now() + 31 * daysMs)
    expect(more).toEqual([])
    expect(deleted?.id).toBe(guestId)
    expect(Math.abs((deleted?.trashedAtMs ?? 0) - putAtMs)).toBeLessThan(5000)
    expect(existsSync(trash.path(guestId))).toBe(false)
  })

  it('lets go of an earlier copy together with the one that it was set aside for', async () => {
    await put()
    await put()
    const deleted = await trash.sweep(Date.now() + 31 * daysMs)
    expect(deleted.map(({ id }) => id)).toEqual([guestId, guestId])
  })
})

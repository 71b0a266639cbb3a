/** Kept pages on a drive that is full. Needs root for the drive. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isCode } from '../../../shared/errors/index.ts'
import { mountsAllowed, SmallDisk } from '../../testing/small-disk.ts'
import { openKept } from './kept-pages.ts'
import {
  begun,
  blocks,
  dockKey,
  finish,
  inFolder,
  type Model,
  mismatches,
  putMany,
} from './testing/kept-guest.ts'

const megabyte = 1024 ** 2
/** The system's disk, with so few chunks that some have to leave memory. */
const options = { mostChunks: 1 }

describe.runIf(await mountsAllowed())('kept pages on a drive', () => {
  let path: string
  let disk: SmallDisk
  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), 'wdock-k-'))
    disk = await SmallDisk.mount(path, 8 * megabyte)
  })
  afterEach(async () => {
    await disk.unmount().catch(() => {})
    await rm(path, { recursive: true, force: true })
  })

  it.each([0, 8 * 1024, 100 * 1024, megabyte])(
    'with %i bytes left end no visit, and stay what they were',
    async (left) => {
      const folder = join(path, 'guest')
      const before: Model = new Map()
      const first = begun(folder, 'nothing', options)
      putMany(first, before, 0, 500, 1)
      const visit = finish(first)
      await disk.fill(left)
      const model: Model = new Map(before)
      const kept = begun(folder, 'known', options)
      putMany(kept, model, 900, 600, 5000)
      for (const address of model.keys()) expect(kept.idAt(address, Buffer.alloc(16), 0)).toBe(true)
      expect(mismatches(kept, model, 'less')).toEqual([])
      expect(() => finish(kept)).toThrow(
        expect.toSatisfy((error: unknown) => isCode(error, 'host.disk_full')),
      )
      const again = openKept(folder, dockKey)
      expect(again.known?.visit).toEqual(visit)
      again.discard()
      await disk.free()
      const last = begun(folder, 'known', options)
      expect(mismatches(last, before)).toEqual([])
      putMany(last, before, 900, 200, 5000)
      finish(last)
      const end = begun(folder, 'known', options)
      expect(mismatches(end, before)).toEqual([])
      end.discard()
    },
  )

  it('that have no room for copies of what stays are finished without them', async () => {
    const folder = join(path, 'guest')
    const model: Model = new Map()
    const first = begun(folder, 'nothing', options)
    putMany(first, model, 0, 1000, 1)
    finish(first)
    await disk.fill(400 * 1024)
    const kept = begun(folder, 'known', options)
    kept.putZero(0, 550)
    for (let page = 0; page < 550; page += 1) model.delete(page)
    finish(kept)
    const again = begun(folder, 'known', options)
    expect(mismatches(again, model)).toEqual([])
    again.discard()
  })
})

it('kept pages survive on the disk of this PC', async () => {
  await inFolder((folder) => {
    const model: Model = new Map()
    const kept = begun(folder, 'nothing', {})
    putMany(kept, model, 0, 2000, 1)
    finish(kept)
    expect(openKept(folder, dockKey).known?.blocks).toEqual(blocks)
    const again = begun(folder, 'known', {})
    expect(mismatches(again, model)).toEqual([])
    again.discard()
  })
})

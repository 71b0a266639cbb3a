import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { listFolder } from './files.ts'

describe('listing a folder for the file chooser', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'wdock-files-'))
  })
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true })
  })

  it('shows folders first, then files with their sizes, and hides dot files and dead links', async () => {
    await mkdir(join(folder, 'zoo'))
    await writeFile(join(folder, 'a disk ü.qcow2'), 'abc')
    await writeFile(join(folder, '.secret'), 'x')
    await symlink('/nowhere/at/all', join(folder, 'dead'))
    const listing = await listFolder(folder)
    expect(listing.entries).toEqual([
      { name: 'zoo', kind: 'folder', sizeBytes: null },
      { name: 'a disk ü.qcow2', kind: 'file', sizeBytes: 3 },
    ])
    expect(listing.parent).toBe(tmpdir())
  })

  it('names the problem with a relative path, a file and a folder that is not there', async () => {
    await writeFile(join(folder, 'file'), '')
    await expect(listFolder('etc')).rejects.toMatchObject({ code: 'host.bad_input' })
    await expect(listFolder(join(folder, 'file'))).rejects.toMatchObject({ code: 'host.bad_input' })
    await expect(listFolder(join(folder, 'none'))).rejects.toMatchObject({ code: 'host.bad_input' })
  })
})

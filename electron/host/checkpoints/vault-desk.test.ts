/** Choosing, opening and forgetting the place of checkpoints. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fail } from '../../../shared/errors/index.ts'
import type { VaultPlace } from '../../../shared/models/checkpoint.ts'
import { CheckpointDock, settle, until } from './testing/checkpoint-dock.ts'

let dock: CheckpointDock
const desk = () => dock.life.checkpoints.desk

beforeEach(async () => {
  dock = await CheckpointDock.create()
})
afterEach(async () => await dock.destroy())

const azure: VaultPlace = {
  kind: 'azure',
  access: { kind: 'account-key', account: 'ada', key: 'topsecretkey', endpoint: null, container: 'x' },
}

async function everyFile(folder: string): Promise<string> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = names.filter((each) => each.isFile())
  return (await Promise.all(files.map((each) => readFile(join(each.parentPath, each.name), 'latin1')))).join(
    '',
  )
}

describe('a place for checkpoints', () => {
  it('is none at first, and says so to who needs one', () => {
    expect(dock.state.vault).toEqual({ kind: 'none' })
    expect(() => desk().opened()).toThrow('No place for checkpoints has been chosen.')
  })

  it('that was made is shown without its secrets, with where the key is', async () => {
    expect(await desk().create(dock.place)).toBe('phrase 1')
    expect(dock.state.vault).toMatchObject({
      kind: 'ready',
      placeKind: 'folder',
      placeSentence: `the folder ${dock.place.path}`,
      phraseSeen: false,
      trouble: null,
    })
    expect(JSON.stringify(dock.state.vault)).toContain('which only you can read')
  })

  it('is opened again by the next host, without being asked', async () => {
    await desk().create(dock.place)
    await desk().phraseSeen()
    dock.kill()
    await dock.start()
    await until(() => dock.state.vault.kind === 'ready', 'the vault')
    expect(dock.state.vault).toMatchObject({ vaultId: '1'.padStart(32, '0'), phraseSeen: true })
  })

  it('has its access key in no file in clear, and in files of mode 0600 only', async () => {
    await desk().create(azure)
    expect(await everyFile(dock.folder)).not.toContain('topsecretkey')
    expect((await stat(join(dock.paths.config, 'vault.json'))).mode & 0o777).toBe(0o600)
    dock.kill()
    await dock.start()
    await until(() => dock.state.vault.kind === 'ready', 'the vault')
  })

  it('is not changed by a second one: it must be forgotten first', async () => {
    await desk().create(dock.place)
    await expect(desk().create({ kind: 'folder', path: '/other' })).rejects.toMatchObject({
      code: 'vault.one_already',
    })
    await expect(desk().open({ kind: 'folder', path: '/other' }, 'x')).rejects.toMatchObject({
      code: 'vault.one_already',
    })
    expect(dock.vaults.vaults.size).toBe(1)
  })

  it('is made once by two who ask at the same time', async () => {
    const both = await Promise.allSettled([desk().create(dock.place), desk().create(dock.place)])
    expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
  })

  it('opens by its phrase only, and a wrong one leaves everything as it was', async () => {
    await desk().create(dock.place)
    await desk().forget()
    await expect(desk().open(dock.place, 'nonsense')).rejects.toMatchObject({ code: 'vault.wrong_phrase' })
    expect(dock.state.vault).toEqual({ kind: 'none' })
    expect(desk().chosen).toBeNull()
    await desk().open(dock.place, 'phrase 1')
    expect(dock.state.vault).toMatchObject({ kind: 'ready', phraseSeen: true })
  })
})

describe('a place that does not open', () => {
  beforeEach(async () => {
    await desk().create(dock.place)
    dock.kill()
  })

  it('never holds up the start of the host', async () => {
    dock.vaults.before.set('open', () => new Promise(() => {}))
    await dock.start()
    expect(dock.state.vault).toMatchObject({ kind: 'opening' })
    expect(() => desk().opened()).toThrow('still being opened')
  })

  it('is shown with the reason, and tried again until it does', async () => {
    const missing = fail('store.folder_missing', { path: dock.place.path })
    dock.vaults.before.set('open', () => {
      throw missing
    })
    await dock.start()
    await until(() => dock.state.vault.kind === 'failed', 'the failure')
    expect(() => desk().opened()).toThrow(missing.message)
    dock.vaults.before.delete('open')
    await dock.clock.pass(2000)
    await until(() => dock.state.vault.kind === 'ready', 'the vault')
  })

  it('that hangs can be forgotten', async () => {
    dock.vaults.before.set('open', () => new Promise(() => {}))
    await dock.start()
    await settle()
    await desk().forget()
    expect(dock.state.vault).toEqual({ kind: 'none' })
    expect(await readdir(dock.paths.config)).not.toContain('vault.json')
  })

  it('whose key is gone says so, and opens by its phrase', async () => {
    const { rm } = await import('node:fs/promises')
    await rm(join(dock.paths.config, 'vault-keys'), { recursive: true })
    await dock.start()
    await until(() => dock.state.vault.kind === 'failed', 'the failure')
    expect(dock.state.vault).toMatchObject({ error: { code: 'vault.key_gone' } })
    await desk().open(dock.place, 'phrase 1')
    expect(dock.state.vault.kind).toBe('ready')
  })
})

describe('a vault', () => {
  it('that is forgotten leaves neither place nor key nor checkpoints on this PC', async () => {
    await dock.ready()
    await dock.life.checkpoints.maker.make(dock.guestId, 'person').ended
    await settle()
    expect(dock.state.checkpoints).toHaveLength(1)
    await desk().forget()
    expect(dock.state).toMatchObject({ vault: { kind: 'none' }, checkpoints: [] })
    expect(await everyFile(dock.paths.config)).toBe('')
  })

  it('is not let go of while a checkpoint is being made', async () => {
    await dock.ready()
    dock.qemu.stalls = true
    const { operationId } = dock.life.checkpoints.maker.make(dock.guestId, 'person')
    await expect(desk().forget()).rejects.toMatchObject({ code: 'vault.in_use' })
    expect(dock.state.vault.kind).toBe('ready')
    dock.life.operations.find(operationId)?.cancel()
  })

  it('whose thread dies is opened again', async () => {
    await desk().create(dock.place)
    dock.vaults.die()
    await settle()
    expect(dock.state.vault.kind).toBe('opening')
    await dock.clock.pass(2000)
    await until(() => dock.state.vault.kind === 'ready', 'the vault')
    expect(dock.vaults.connections).toBe(2)
  })

  it('tells trouble with the store, since when, and its end', async () => {
    await desk().create(dock.place)
    const error = fail('store.unreachable', { place: 'it' }).toJSON()
    const sinceMs = dock.clock.nowMs()
    dock.vaults.emit({ type: 'trouble', error })
    expect(dock.state.vault).toMatchObject({ kind: 'ready', trouble: { error, sinceMs } })
    await dock.clock.pass(5000)
    const later = fail('store.busy', { place: 'it' }).toJSON()
    dock.vaults.emit({ type: 'trouble', error: later })
    expect(dock.state.vault).toMatchObject({ trouble: { error: later, sinceMs } })
    dock.vaults.emit({ type: 'trouble', error: null })
    expect(dock.state.vault).toMatchObject({ trouble: null })
  })
})

import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { KeyStore, type SecretTool, systemSecretTool } from './key-store.ts'

const vaultId = '00112233445566778899aabbccddeeff'
let configDir: string

beforeEach(async () => {
  configDir = await mkdtemp(join(tmpdir(), 'wdock-keys-'))
})
afterEach(async () => {
  await rm(configDir, { recursive: true, force: true })
})

/** A keyring that keeps what it is given, by its attributes, like secret-tool. */
function fakeKeyring() {
  const kept = new Map<string, string>()
  const calls: string[][] = []
  const state = { silent: false }
  const tool: SecretTool = async (args, input) => {
    calls.push([...args])
    if (state.silent) return { code: null, stdout: '' }
    const [verb, ...rest] = args
    const attributes = rest.filter((arg) => !arg.startsWith('--')).join(' ')
    if (verb === 'store') kept.set(attributes, input)
    if (verb === 'clear') return { code: kept.delete(attributes) ? 0 : 1, stdout: '' }
    return { code: kept.has(attributes) ? 0 : 1, stdout: kept.get(attributes) ?? '' }
  }
  return { tool, kept, calls, state }
}

const noTool: SecretTool = async () => ({ code: null, stdout: '' })
const keyFile = () => join(configDir, 'vault-keys', `${vaultId}.json`)

describe('the key of a vault on this PC', () => {
  it('is kept in the keyring where there is one, and then in no file', async () => {
    const { tool, calls } = fakeKeyring()
    const key = randomBytes(32)
    const store = new KeyStore(configDir, tool)
    expect(await store.save(vaultId, key)).toBe('keyring')
    expect(await new KeyStore(configDir, tool).load(vaultId)).toEqual({ vaultKey: key, place: 'keyring' })
    const file = await readFile(keyFile(), 'utf8')
    for (const form of ['hex', 'base64', 'base64url'] as const) {
      expect(file + JSON.stringify(calls)).not.toContain(key.toString(form))
    }
    expect(store.sentence(vaultId, 'keyring')).toContain('keyring of this desktop')
  })

  it('is kept in a file of mode 0600 where there is no keyring, and that is said', async () => {
    const key = randomBytes(32)
    const store = new KeyStore(configDir, noTool)
    expect(await store.save(vaultId, key)).toBe('file')
    expect((await stat(keyFile())).mode & 0o777).toBe(0o600)
    expect((await stat(join(configDir, 'vault-keys'))).mode & 0o777).toBe(0o700)
    expect(store.sentence(vaultId, 'file')).toContain(keyFile())
    await chmod(keyFile(), 0o644)
    expect(await store.load(vaultId)).toEqual({ vaultKey: key, place: 'file' })
    expect((await stat(keyFile())).mode & 0o777).toBe(0o600)
  })

  it('goes to the file when the keyring takes it, but does not give it back', async () => {
    const { tool } = fakeKeyring()
    const forgetful: SecretTool = async (args, input) =>
      args[0] === 'lookup' ? { code: 0, stdout: 'something else' } : await tool(args, input)
    const key = randomBytes(32)
    const store = new KeyStore(configDir, forgetful)
    expect(await store.save(vaultId, key)).toBe('file')
    expect((await store.load(vaultId))?.vaultKey).toEqual(key)
  })

  it('is not taken for missing while the keyring does not answer', async () => {
    const { tool, state } = fakeKeyring()
    const store = new KeyStore(configDir, tool)
    await store.save(vaultId, randomBytes(32))
    state.silent = true
    await expect(store.load(vaultId)).rejects.toMatchObject({
      code: 'vault.keyring_silent',
      permanent: false,
    })
    state.silent = false
    expect(await store.load(vaultId)).not.toBeNull()
  })

  it('is missing where none was kept, and after it was removed, from the keyring too', async () => {
    const { tool, kept } = fakeKeyring()
    const store = new KeyStore(configDir, tool)
    expect(await store.load(vaultId)).toBeNull()
    await store.save(vaultId, randomBytes(32))
    expect(kept.size).toBe(1)
    await store.remove(vaultId)
    expect(kept.size).toBe(0)
    expect(await readdir(join(configDir, 'vault-keys'))).toEqual([])
    expect(await store.load(vaultId)).toBeNull()
    await new KeyStore(configDir, noTool).remove(vaultId)
  })

  it('of two docks of one user do not get into each other’s way', async () => {
    const { tool, kept } = fakeKeyring()
    const other = await mkdtemp(join(tmpdir(), 'wdock-keys-'))
    await new KeyStore(configDir, tool).save(vaultId, Buffer.alloc(32, 1))
    const store = new KeyStore(other, tool)
    expect(await store.load(vaultId)).toBeNull()
    await store.save(vaultId, Buffer.alloc(32, 2))
    await store.remove(vaultId)
    expect(kept.size).toBe(1)
    expect((await new KeyStore(configDir, tool).load(vaultId))?.vaultKey).toEqual(Buffer.alloc(32, 1))
    await rm(other, { recursive: true })
  })

  it('in a damaged file is refused by name and left as it is', async () => {
    const store = new KeyStore(configDir, noTool)
    await store.save(vaultId, randomBytes(32))
    for (const content of [
      '{',
      '{"version":1,"place":"file","key":"short"}',
      '{"version":2,"place":"keyring"}',
    ]) {
      await writeFile(keyFile(), content)
      await expect(store.load(vaultId)).rejects.toMatchObject({ code: 'host.state_unreadable' })
      expect(await readFile(keyFile(), 'utf8')).toBe(content)
    }
  })

  it('is never looked for outside its folder', async () => {
    const store = new KeyStore(configDir, noTool)
    for (const id of ['../../etc/passwd', '', `${vaultId}/x`, vaultId.toUpperCase()]) {
      await expect(store.load(id)).rejects.toThrow(RangeError)
      await expect(store.save(id, Buffer.alloc(32))).rejects.toThrow(RangeError)
    }
  })
})

describe('secret-tool', () => {
  it('gets the key on its stdin, and its answers and failures come back', async () => {
    const script = '#!/bin/sh\nif [ "$1" = fail ]; then exit 3; fi\necho "$@"\ncat\n'
    await writeFile(join(configDir, 'secret-tool'), script, { mode: 0o700 })
    const path = process.env.PATH
    process.env.PATH = `${configDir}${delimiter}${path}`
    try {
      expect(await systemSecretTool(['store', 'a', 'b'], 'the key')).toEqual({
        code: 0,
        stdout: 'store a b\nthe key',
      })
      expect(await systemSecretTool(['fail'], 'x'.repeat(100_000))).toEqual({ code: 3, stdout: '' })
      process.env.PATH = join(configDir, 'none')
      expect(await systemSecretTool(['store'], 'the key')).toEqual({ code: null, stdout: '' })
    } finally {
      process.env.PATH = path
    }
  })
})

import { spawn } from 'node:child_process'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { processIdentity, waitUntilDead } from '../platform/processes.ts'
import { startAzurite } from './azurite.ts'
import { openPlace } from './open-place.ts'

const folders: string[] = []
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
})

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'wdock-az-'))
  folders.push(folder)
  return folder
}

describe('the emulator of Azure', () => {
  it('keeps what it was given from start to start, under the same key, closed to others', async () => {
    const azuriteFolder = join(await newFolder(), 'azurite')
    const first = await openPlace({ kind: 'azurite' }, { azuriteFolder })
    await first.store.put('vault.json', Buffer.from('{}'))
    expect(first.store.lending).not.toBeNull()
    await first.close()
    const second = await openPlace({ kind: 'azurite' }, { azuriteFolder })
    expect(await second.store.get('vault.json', 100)).toEqual(Buffer.from('{}'))
    await second.close()
    const { mode } = await stat(join(azuriteFolder, 'account.json'))
    expect(mode & 0o777).toBe(0o600)
  })

  it('listens on this PC alone, and is gone when it is ended', async () => {
    const azurite = await startAzurite({ folder: null })
    const identity = processIdentity(azurite.pid)
    expect(new URL(azurite.endpoint).hostname).toBe('127.0.0.1')
    expect(identity).not.toBeNull()
    await azurite.end()
    expect(processIdentity(azurite.pid)).toBeNull()
    await azurite.end()
  })

  it('ends when the program that started it is killed', async () => {
    const script = `
      const { startAzurite } = await import(${JSON.stringify(join(import.meta.dirname, 'azurite.ts'))})
      const { pid } = await startAzurite({ folder: null })
      console.log('pid=' + pid)
      setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let said = ''
    for await (const chunk of child.stdout) {
      said += String(chunk)
      if (/pid=\d+\n/.test(said)) break
    }
    const identity = processIdentity(Number(/pid=(\d+)/.exec(said)?.[1]))
    expect(identity).not.toBeNull()
    child.kill('SIGKILL')
    if (identity) expect(await waitUntilDead(identity, 20_000)).toBe(true)
  })
})

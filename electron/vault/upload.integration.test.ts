/** Real processes that upload into a real folder, killed at any instant: what is listed is whole, the rest goes on. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openFolder } from '../objects/folder.ts'
import { retrying } from '../objects/retrying-store.ts'
import { systemClock } from '../platform/clock.ts'
import { DataCheck } from './check-data.ts'
import { DiskSpools } from './disk-spool.ts'
import { prefixes } from './names.ts'
import type { OpenVault } from './open-vault.ts'
import { readManifest } from './reader.ts'
import { Seeded } from './testing/seeded.ts'
import { testSealer, testVault } from './testing/test-vault.ts'
import { Upload } from './upload.ts'

const program = fileURLToPath(new URL('testing/upload-process.ts', import.meta.url))
/** At least so many, and on until one was caught on its way: how long that takes is the machine's affair. */
const kills = 6
const mostKills = 40

describe('an upload by a process that is killed', () => {
  let folder: string
  let child: ChildProcess | null = null

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'wd-kill-'))
    await mkdir(join(folder, 'store'))
    await mkdir(join(folder, 'spool'))
  })
  afterEach(async () => {
    child?.kill('SIGKILL')
    await rm(folder, { recursive: true, force: true })
  })

  it('is finished by the next one, and every checkpoint reads as it was captured', async () => {
    const random = new Seeded(7)
    const vault = testVault(retrying(await openFolder(join(folder, 'store'))))
    let finished = 0
    for (let kill = 0; kill < kills || (finished === 0 && kill < mostKills); kill += 1) {
      await runFor(50 + random.int(900), kill)
      finished += await resumeAll(vault)
      expect(await readdir(join(folder, 'spool'))).toEqual([])
    }
    const listed = await vault.objects.list(prefixes.checkpoints)
    expect(listed.length).toBeGreaterThan(2)
    expect(finished).toBeGreaterThan(0)
    expect(await vault.objects.list(prefixes.uploads)).toEqual([])
    const data = new DataCheck(vault, undefined)
    for (const { id } of listed) await data.check(await readManifest(vault, id))
    data.close()
    vault.store.close()
  }, 120_000)

  async function runFor(durationMs: number, seed: number): Promise<void> {
    const args = [program, join(folder, 'store'), join(folder, 'spool'), String(seed)]
    const started = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    child = started
    await once(started.stdout, 'data')
    await systemClock.sleep(durationMs)
    started.kill('SIGKILL')
    await once(started, 'exit')
    child = null
  }

  /** @returns how many went on and were published */
  async function resumeAll(vault: OpenVault): Promise<number> {
    let finished = 0
    for (const spool of await new DiskSpools(join(folder, 'spool'), testSealer).left()) {
      const upload = await Upload.resume({ vault, spool, frames: null })
      if (upload === null) continue
      await upload.published
      await upload.ended
      finished += 1
    }
    return finished
  }
})

/**
 * Looks into a vault from outside: whether anything lies in it that belongs to no checkpoint. Also the folder as a place
 * in which time can pass.
 */
import { mkdir, readdir, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import type { VaultPlace } from '../../shared/models/checkpoint.ts'
import { systemClock } from '../platform/clock.ts'
import { silentLog } from '../platform/log.ts'
import { systemRandom } from '../platform/random.ts'
import { prefixes } from '../vault/names.ts'
import { OpenedVaultParts } from '../vault/service/opened-vault.ts'
import { UsedPacks } from '../vault/used-packs.ts'

/** A folder in which all files can be made older, as the file system's clock is what a vault goes by. */
export class FolderPlace {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  get place(): VaultPlace {
    return { kind: 'folder', path: this.#path }
  }

  async letPass(ms: number): Promise<void> {
    for (const entry of await readdir(this.#path, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const path = join(entry.parentPath, entry.name)
      const writtenMs = (await stat(path)).mtimeMs - ms
      await utimes(path, writtenMs / 1000, writtenMs / 1000)
    }
  }

  /** What a writer left that was killed. */
  async halfWritten(): Promise<string[]> {
    return (await readdir(join(this.#path, '.wdock'))).filter((name) => name !== 'id')
  }

  async end(): Promise<void> {}
}

/** @param folder for what is kept of it meanwhile @returns what is wrong, when everything was given up and swept */
export async function auditVault(
  at: { place: VaultPlace; halfWritten?: () => Promise<string[]> },
  phrase: string,
  folder: string,
): Promise<string[]> {
  await mkdir(folder, { recursive: true })
  const folders = {
    spool: join(folder, 's'),
    cache: join(folder, 'c'),
    azurite: folder,
    cacheLimitBytes: 2 ** 30,
  }
  const parts = { clock: systemClock, random: systemRandom, log: silentLog, onTrouble: () => {} }
  const opened = await OpenedVaultParts.open(at.place, folders, { phrase }, parts)
  try {
    const { vault } = opened
    const used = await new UsedPacks(vault).now({})
    const wrong =
      (await at.halfWritten?.().then((names) => names.map((name) => `.wdock/${name} is left`))) ?? []
    const listed = await vault.objects.list(prefixes.checkpoints)
    const checkpoints = new Set(listed.filter(({ isFence }) => !isFence).map(({ id }) => id))
    const mayBe = new Map([
      [prefixes.packs, used],
      [prefixes.summaries, checkpoints],
      [prefixes.labels, checkpoints],
      [prefixes.warm, checkpoints],
      [prefixes.verified, checkpoints],
      [prefixes.uploads, new Set<string>()],
      [prefixes.sweeps, new Set<string>()],
      [prefixes.doomed, new Set<string>()],
    ])
    for (const [prefix, ids] of mayBe) {
      for (const { id, name, isFence } of await vault.objects.list(prefix)) {
        if (!isFence && !ids.has(id)) wrong.push(`${name} belongs to no checkpoint`)
      }
    }
    return wrong
  } finally {
    await opened.close()
    await rm(folder, { recursive: true, force: true })
  }
}

/** A vault, opened by this process beside the dock that uses it, to see what is in it. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../../electron/platform/clock.ts'
import { silentLog } from '../../electron/platform/log.ts'
import { systemRandom } from '../../electron/platform/random.ts'
import { OpenedVaultParts } from '../../electron/vault/service/opened-vault.ts'
import type { VaultFolders } from '../../electron/vault/service/vault-service.ts'
import type { VaultPlace } from '../../shared/models/checkpoint.ts'

export const openingParts = {
  clock: systemClock,
  random: systemRandom,
  log: silentLog,
  onTrouble: () => {},
}

/** Folders of this PC for one who has opened nothing before. */
export async function emptyFolders(parent: string): Promise<VaultFolders> {
  const folders = {
    spool: join(parent, 'spool'),
    cache: join(parent, 'cache'),
    azurite: join(parent, 'azurite'),
  }
  for (const path of [folders.spool, folders.cache]) await mkdir(path, { recursive: true })
  return { ...folders, cacheLimitBytes: 2 ** 32 }
}

/** Opens a vault for as long as `work` takes. @param folder empty */
export async function withVault<T>(
  place: VaultPlace,
  phrase: string,
  folder: string,
  work: (opened: OpenedVaultParts) => Promise<T>,
): Promise<T> {
  const opened = await OpenedVaultParts.open(place, await emptyFolders(folder), { phrase }, openingParts)
  try {
    return await work(opened)
  } finally {
    await opened.close()
  }
}

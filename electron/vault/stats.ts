/** What a vault holds and takes. A damaged checkpoint counts as one that needs nothing. */
import type { VaultStats } from '../../shared/models/checkpoint.ts'
import type { CallOptions } from '../objects/object-store.ts'
import { limits } from './codec/limits.ts'
import { decodeManifest } from './codec/manifest.ts'
import { logicalBytesOf } from './manifest-sizes.ts'
import { prefixes } from './names.ts'
import type { OpenVault } from './open-vault.ts'
import { forEachParallel } from './parallel.ts'
import { isUnreadable } from './vault-objects.ts'

/** Everything is listed, and every manifest is read. @throws what the store throws */
export async function vaultStats(vault: OpenVault, options: CallOptions = {}): Promise<VaultStats> {
  const { objects, store } = vault
  const checkpoints = (await objects.list(prefixes.checkpoints, options)).filter(({ isFence }) => !isFence)
  const packs = (await objects.list(prefixes.packs, options)).filter(({ isFence }) => !isFence)
  let storedBytes = 0
  for await (const { sizeBytes } of store.list('', options)) storedBytes += sizeBytes
  const used = new Set<string>()
  let logicalBytes = 0
  await forEachParallel(checkpoints, 8, async ({ id, name }) => {
    try {
      const payload = await objects.readKept(name, limits.manifestBytes, options)
      if (payload === null) return
      const manifest = decodeManifest(id, payload)
      for (const pack of manifest.frames.packs) used.add(pack)
      logicalBytes += logicalBytesOf(manifest)
    } catch (error) {
      if (!isUnreadable(error)) throw error
      vault.log.warn('a checkpoint cannot be read', { id, error })
    }
  })
  const unused = packs.filter(({ id }) => !used.has(id))
  return {
    checkpoints: checkpoints.length,
    packs: packs.length,
    storedBytes,
    unusedBytes: unused.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    logicalBytes,
  }
}

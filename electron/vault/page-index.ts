/**
 * What is already in the vault, read from its index: pages that need not be uploaded. Only a hint, so what cannot be
 * read is passed over; but nothing is told of packs that must not be relied on.
 */
import type { CallOptions } from '../objects/object-store.ts'
import { KnownPages } from '../pages/known-pages.ts'
import { pageIdBytes } from '../pages/page-id.ts'
import { limits } from './codec/limits.ts'
import { decodeIndex } from './codec/page-index-file.ts'
import { prefixes } from './names.ts'
import type { OpenVault } from './open-vault.ts'
import { forEachParallel } from './parallel.ts'
import { type IdInfo, isUnreadable } from './vault-objects.ts'

export interface IndexOptions extends CallOptions {
  /** The newest are taken when there are more; each takes about 32 bytes of memory. Default 8 million: 32 GB. */
  mostPages?: number
}

/** The pages of `usable` packs. @param usable packs by id, with their lengths, as `usablePacks` tells them */
export async function loadKnownPages(
  vault: OpenVault,
  usable: ReadonlyMap<string, number>,
  options: IndexOptions = {},
): Promise<KnownPages> {
  const chosen = usable.size === 0 ? [] : await chooseIndexes(vault, options)
  const payloads = new Map<string, Buffer>()
  await forEachParallel(chosen, 8, async ({ name }) => {
    try {
      const payload = await vault.objects.readKept(name, limits.packBytes, options)
      if (payload !== null) payloads.set(name, payload)
    } catch (error) {
      if (!isUnreadable(error)) throw error
      vault.log.warn('a part of the index cannot be read', { name, error })
    }
  })
  const known = new KnownPages(chosen.reduce((sum, { sizeBytes }) => sum + sizeBytes / pageIdBytes, 0))
  const added = new Set<string>()
  for (const { name } of chosen) addPacks(vault, name, payloads.get(name), usable, known, added)
  return known
}

/** The newest that fit, oldest first: so packs are numbered in the order in which they were written. */
async function chooseIndexes(vault: OpenVault, options: IndexOptions): Promise<IdInfo[]> {
  const all = await vault.objects.list(prefixes.index, options)
  await vault.objects.keepOnly(prefixes.index, new Set(all.map(({ id }) => id)))
  all.sort((a, b) => b.writtenAtMs - a.writtenAtMs || (a.id < b.id ? -1 : 1))
  let leftPages = options.mostPages ?? 8_000_000
  const chosen = all.filter(({ sizeBytes }) => {
    leftPages -= sizeBytes / pageIdBytes
    return leftPages >= 0
  })
  return chosen.reverse()
}

function addPacks(
  vault: OpenVault,
  name: string,
  payload: Buffer | undefined,
  usable: ReadonlyMap<string, number>,
  known: KnownPages,
  added: Set<string>,
): void {
  if (payload === undefined) return
  try {
    for (const pack of decodeIndex(name, payload)) {
      const id = pack.packId.toString('hex')
      const sizeBytes = pack.sealedBytes.reduce((sum, length) => sum + length, 0)
      if (added.has(id) || (usable.get(id) ?? -1) < sizeBytes) continue
      added.add(id)
      known.addPack(pack)
    }
  } catch (error) {
    vault.log.warn('a part of the index cannot be read', { name, error })
  }
}

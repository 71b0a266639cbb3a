/**
 * Writes the index anew when it has become untidy: many small objects, packs that are gone, packs that are there twice.
 * Promises that what it deletes has been written elsewhere before; of two that merge at once, both results stay until
 * the next time. What cannot be read is dropped: the index is a hint.
 */
import { isCode } from '../../shared/errors/index.ts'
import type { CallOptions } from '../objects/object-store.ts'
import type { PackContents } from '../pages/known-pages.ts'
import { limits } from './codec/limits.ts'
import { decodeIndex, encodeIndex } from './codec/page-index-file.ts'
import { indexParts } from './index-parts.ts'
import { prefixes } from './names.ts'
import type { OpenVault } from './open-vault.ts'
import { type IdInfo, isUnreadable } from './vault-objects.ts'

/** Fewer objects than this are left as they are while all of their packs are. */
const mostParts = 16

/** The packs that the index names: those whose owner had them confirmed, and does not put them any more. */
export async function indexedPacks(vault: OpenVault, options: CallOptions): Promise<Set<string>> {
  const ids = new Set<string>()
  for (const part of await vault.objects.list(prefixes.index, options)) {
    for (const { packId } of (await readPart(vault, part, options)).packs) ids.add(packId.toString('hex'))
  }
  return ids
}

/** @param doomed packs that are about to go */
export async function mergeIndex(
  vault: OpenVault,
  doomed: ReadonlySet<string>,
  options: CallOptions,
): Promise<void> {
  const { objects, store, random } = vault
  const old = await objects.list(prefixes.index, options)
  old.sort((a, b) => a.writtenAtMs - b.writtenAtMs || (a.id < b.id ? -1 : 1))
  // Listed after the index: whatever that names had been written.
  const stored = await objects.list(prefixes.packs, options)
  const stays = new Set(stored.filter(({ id, isFence }) => !isFence && !doomed.has(id)).map(({ id }) => id))
  const packs = new Map<string, PackContents>()
  const replaced: IdInfo[] = []
  let isUntidy = old.length > mostParts
  for (const part of old) {
    const read = await readPart(vault, part, options)
    // A newer program can read what it wrote.
    if (read.isNewer) continue
    replaced.push(part)
    for (const pack of read.packs) {
      const id = pack.packId.toString('hex')
      if (packs.has(id) || !stays.has(id)) isUntidy = true
      else packs.set(id, pack)
    }
  }
  if (!isUntidy) return
  for (const part of indexParts(packs.values())) {
    await objects.write(prefixes.index + random.hex(16), encodeIndex(part), options)
  }
  for (const { name } of replaced) await store.remove(name, options)
}

async function readPart(
  vault: OpenVault,
  { name }: IdInfo,
  options: CallOptions,
): Promise<{ packs: PackContents[]; isNewer: boolean }> {
  try {
    const payload = await vault.objects.readKept(name, limits.packBytes, options)
    return { packs: payload === null ? [] : [...decodeIndex(name, payload)], isNewer: false }
  } catch (error) {
    if (!isUnreadable(error)) throw error
    vault.log.warn('a part of the index cannot be read', { name, error })
    return { packs: [], isNewer: isCode(error, 'vault.newer_object') }
  }
}

/**
 * Which packs an upload may rely on (FORMAT.md, "Order of writes", 2). Promises that each of them stays for as long as
 * this upload's intent does and its manifest is published afterwards. Relies on the intent having been written before,
 * and on its own order: proposals, then doomed lists, then packs. A sweep takes these away in the opposite order.
 */
import type { CallOptions } from '../objects/object-store.ts'
import { limits } from './codec/limits.ts'
import { decodeProposal } from './codec/proposal.ts'
import { type Prefix, prefixes } from './names.ts'
import type { OpenVault } from './open-vault.ts'
import { forEachParallel } from './parallel.ts'
import { isUnreadable } from './vault-objects.ts'

/** Packs by id, with their lengths in bytes. Empty when a list of packs to free cannot be read: any could be on it. */
export async function usablePacks(vault: OpenVault, options: CallOptions): Promise<Map<string, number>> {
  const named = new Set<string>()
  let allRead = true
  for (const prefix of [prefixes.sweeps, prefixes.doomed]) {
    allRead = (await addNamed(vault, prefix, named, options)) && allRead
  }
  const usable = new Map<string, number>()
  if (!allRead) return usable
  for (const pack of await vault.objects.list(prefixes.packs, options)) {
    if (!named.has(pack.id) && !pack.isFence) usable.set(pack.id, pack.sizeBytes)
  }
  return usable
}

/** @returns whether all lists of the kind could be read */
async function addNamed(
  vault: OpenVault,
  prefix: Prefix,
  named: Set<string>,
  options: CallOptions,
): Promise<boolean> {
  const { objects, log } = vault
  let allRead = true
  const lists = await objects.list(prefix, options)
  await forEachParallel(lists, 8, async ({ name, isFence }) => {
    if (isFence) return
    try {
      const payload = await objects.read(name, limits.proposalBytes, options)
      // Gone since it was listed: then its packs are gone too, or stay.
      if (payload === null) return
      const { remove, close } = decodeProposal(name, payload)
      for (const id of [...remove, ...close]) named.add(id)
    } catch (error) {
      if (!isUnreadable(error)) throw error
      log.warn('a list of packs to free cannot be read, so no stored page is reused', { name, error })
      allRead = false
    }
  })
  return allRead
}

/**
 * What earlier sweeps left (FORMAT.md, "Sweep", 1). A list of doomed packs is carried out by whoever finds it, as nobody
 * may use these packs any more; a proposal that was not refreshed for half an hour is closed, so that whoever made it
 * cannot go on with it. Promises that a list is taken away only when its packs are gone everywhere.
 */
import type { CallOptions } from '../objects/object-store.ts'
import { limits } from './codec/limits.ts'
import { decodeProposal, type Proposal } from './codec/proposal.ts'
import { prefixes } from './names.ts'
import { type OpenVault, patienceMs } from './open-vault.ts'
import { forEachParallel } from './parallel.ts'
import { pause } from './pause.ts'
import { isUnreadable } from './vault-objects.ts'

export async function finishRemains(vault: OpenVault, options: CallOptions): Promise<void> {
  const { objects } = vault
  for (const { id, isFence } of await objects.list(prefixes.doomed, options)) {
    if (!isFence) await carryOut(vault, id, options)
  }
  // Asked before the list: what is refreshed in between is young.
  const nowMs = await vault.store.nowMs(options)
  for (const { id, writtenAtMs } of await objects.list(prefixes.sweeps, options)) {
    if (nowMs - writtenAtMs <= patienceMs) continue
    if (await objects.fence(prefixes.doomed + id, options)) {
      await vault.store.remove(prefixes.sweeps + id, options)
    } else await carryOut(vault, id, options)
  }
}

/** A list that cannot be read is left: nobody deletes what is on it, and uploads rely on nothing while it is there. */
async function carryOut(vault: OpenVault, id: string, options: CallOptions): Promise<void> {
  const name = prefixes.doomed + id
  try {
    const payload = await vault.objects.read(name, limits.proposalBytes, options)
    if (payload !== null) await freePacks(vault, id, decodeProposal(name, payload), options)
  } catch (error) {
    if (!isUnreadable(error)) throw error
    vault.log.error('a list of packs to free cannot be read', { name, error })
  }
}

/**
 * The end of 5: frees doomed packs, then the lists that keep uploads from using them. In between the store gets the
 * time that it needs to show everywhere that they are gone.
 * @param onFreed told after each pack
 */
export async function freePacks(
  vault: OpenVault,
  id: string,
  { remove, close }: Proposal,
  options: CallOptions,
  onFreed: (pack: string) => void = () => {},
): Promise<void> {
  const { store, objects, clock } = vault
  await forEachParallel(remove, 8, async (pack) => {
    await store.remove(prefixes.packs + pack, options)
    onFreed(pack)
  })
  await forEachParallel(close, 8, async (pack) => {
    await objects.close(prefixes.packs + pack, options)
    onFreed(pack)
  })
  await pause(clock, store.settleMs, options.signal)
  await store.remove(prefixes.sweeps + id, options)
  await store.remove(prefixes.doomed + id, options)
}

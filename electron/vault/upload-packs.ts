/**
 * Sending the packs of an upload. Their names are decided once, as those of checkpoints are: a sweep that has ended the
 * upload may have closed them, and a late try must not bring back what is being freed.
 */
import type { CallOptions } from '../objects/object-store.ts'
import { prefixes } from './names.ts'
import type { OpenVault } from './open-vault.ts'
import type { PackSender } from './pack-sender.ts'
import type { Spool } from './spool.ts'

/** A sweep has ended this upload, and closed the name of a pack that it was about to write. */
class UploadEnded extends Error {}

/** Packs in the store by id, with their lengths; those that were closed have none. */
export async function storedPacks(vault: OpenVault, options: CallOptions): Promise<Map<string, number>> {
  const packs = await vault.objects.list(prefixes.packs, options)
  return new Map(packs.map(({ id, sizeBytes }) => [id, sizeBytes]))
}

/** Sends until all are there. @returns false when a sweep has ended the upload; throws what the store throws */
export async function sentAll(sender: PackSender, signal: AbortSignal): Promise<boolean> {
  try {
    await sender.run(signal)
    return true
  } catch (error) {
    if (error instanceof UploadEnded) return false
    throw error
  }
}

/** Resolves when the pack is in the store. What it throws, `sentAll` understands. */
export async function sendPack(
  vault: OpenVault,
  spool: Spool,
  id: string,
  options: CallOptions,
): Promise<void> {
  const name = prefixes.packs + id
  const body = await spool.readPack(id)
  if (await vault.store.putNew(name, body, options)) return
  // Nobody else has these bytes: it was there before a crash.
  if ((await vault.objects.sizeOf(name, options)) !== body.length) throw new UploadEnded()
}

/**
 * Hands a sender what the spool holds and the store does not.
 * @param needed packs that the manifest uses; others are not sent
 * @param stored packs by id, with their lengths. What was there then and has gone since is being freed, and must not be
 * put again: so this is one list, that which the upload relies on.
 */
export async function queuePacks(
  sender: PackSender,
  spool: Spool,
  needed: ReadonlySet<string>,
  stored: ReadonlyMap<string, number>,
): Promise<void> {
  for (const pack of await spool.packs()) {
    if (!needed.has(pack.id)) continue
    if (stored.get(pack.id) === pack.sizeBytes) sender.addSent(pack)
    else sender.add(pack)
  }
  sender.complete(() => true)
}

/** Deletes a checkpoint. Its space is freed by the next sweep. */
import { fail } from '../../shared/errors/index.ts'
import type { CallOptions } from '../objects/object-store.ts'
import { prefixes } from './names.ts'
import type { OpenVault } from './open-vault.ts'

/**
 * The manifest goes first: what is left of a deletion that was cut off, a sweep takes. Its name stays closed, so that a
 * late try of its upload cannot bring the checkpoint back without its packs.
 * @throws vault.checkpoint_missing
 */
export async function removeCheckpoint(
  vault: OpenVault,
  id: string,
  options: CallOptions = {},
): Promise<void> {
  const { objects, store } = vault
  const name = prefixes.checkpoints + id
  if ((await objects.decided(name, options)) !== 'content') throw fail('vault.checkpoint_missing')
  await objects.close(name, options)
  for (const prefix of [prefixes.summaries, prefixes.labels, prefixes.warm, prefixes.verified]) {
    await store.remove(prefix + id, options)
  }
}

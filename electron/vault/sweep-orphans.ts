/**
 * Intents of uploads that were silent for long, small objects that belong to no checkpoint, and fences and closed names that nobody can run into any more. Promises never to take
 * what an upload has just written: it lists what might go first, then uploads, then checkpoints.
 */
import type { CallOptions } from '../objects/object-store.ts'
import { prefixes } from './names.ts'
import { fenceLifeMs, type OpenVault, patienceMs } from './open-vault.ts'
import { forEachParallel } from './parallel.ts'
import { pause } from './pause.ts'
import { endUpload } from './sweep-uploads.ts'
import type { IdInfo } from './vault-objects.ts'

const kinds = [prefixes.summaries, prefixes.labels, prefixes.warm, prefixes.verified] as const

export async function removeOrphans(vault: OpenVault, options: CallOptions): Promise<void> {
  const { objects, store, clock } = vault
  const nowMs = await store.nowMs(options)
  const old: IdInfo[] = []
  for (const prefix of kinds) {
    const listed = await objects.list(prefix, options)
    old.push(...listed.filter(({ writtenAtMs }) => nowMs - writtenAtMs > patienceMs))
  }
  const needed = new Set<string>()
  for (const { id, writtenAtMs } of await objects.list(prefixes.uploads, options)) {
    if (nowMs - writtenAtMs > patienceMs) await endUpload(vault, id, options)
    needed.add(id)
  }
  // An upload that has just ended published its checkpoint before; the list of checkpoints has to show it.
  await pause(clock, store.settleMs, options.signal)
  const decided = await objects.list(prefixes.checkpoints, options)
  for (const { id, isFence } of decided) if (!isFence) needed.add(id)
  const doomed = await objects.list(prefixes.doomed, options)
  const packs = await objects.list(prefixes.packs, options)
  const fences = [...decided, ...doomed, ...packs].filter(
    ({ isFence, writtenAtMs }) => isFence && nowMs - writtenAtMs > fenceLifeMs,
  )
  const orphans = old.filter(({ id }) => !needed.has(id))
  await forEachParallel([...orphans, ...fences], 8, ({ name }) => store.remove(name, options))
}

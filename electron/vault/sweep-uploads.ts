/**
 * Waiting for uploads (FORMAT.md, "Sweep", 3). Promises that when it resolves each upload that was announced before the
 * proposal was visible has published its checkpoint, was given up, or can never publish it.
 */
import type { CallOptions } from '../objects/object-store.ts'
import { decodeIntent, type Intent } from './codec/intent.ts'
import { limits } from './codec/limits.ts'
import { prefixes } from './names.ts'
import { type OpenVault, patienceMs } from './open-vault.ts'
import { pause } from './pause.ts'
import type { IdInfo } from './vault-objects.ts'

/** How often it looks whether they have ended. */
const lookEveryMs = 15_000

/** @param onWaiting told whose uploads it waits for, each time it looks */
export async function waitForUploads(
  vault: OpenVault,
  options: CallOptions,
  onWaiting: (intents: Intent[]) => void,
): Promise<void> {
  const { objects, clock } = vault
  let waiting: IdInfo[] | null = null
  for (;;) {
    // Asked before the list: what is refreshed in between is young.
    const nowMs = await vault.store.nowMs(options)
    const listed = await objects.list(prefixes.uploads, options)
    // Those that were announced since the first look have seen the proposal.
    const awaited = waiting === null ? null : new Set(waiting.map(({ id }) => id))
    const going: IdInfo[] = []
    for (const upload of listed) {
      if (awaited !== null && !awaited.has(upload.id)) continue
      if (nowMs - upload.writtenAtMs > patienceMs) await endUpload(vault, upload.id, options)
      else if (!(await isDecided(vault, upload.id, options))) going.push(upload)
    }
    if (going.length === 0) return
    onWaiting(await intentsOf(vault, going, options))
    waiting = going
    await pause(clock, lookEveryMs, options.signal)
  }
}

/** Its name is closed before the intent goes: whoever finds neither intent nor fence may still publish. */
export async function endUpload(vault: OpenVault, id: string, options: CallOptions): Promise<void> {
  const wasClosed = await vault.objects.fence(prefixes.checkpoints + id, options)
  if (wasClosed) vault.log.info('an upload that was silent for long was ended', { id })
  await vault.store.remove(prefixes.uploads + id, options)
}

/** Published, or closed: then its intent is only still to be deleted. */
async function isDecided(vault: OpenVault, id: string, options: CallOptions): Promise<boolean> {
  return (await vault.objects.decided(prefixes.checkpoints + id, options)) !== 'open'
}

/** For people; an intent that cannot be read, or is gone, is nobody's. */
async function intentsOf(vault: OpenVault, uploads: IdInfo[], options: CallOptions): Promise<Intent[]> {
  const intents: Intent[] = []
  for (const { name } of uploads) {
    const payload = await vault.objects.read(name, limits.smallBytes, options).catch(() => null)
    if (payload === null) continue
    try {
      intents.push(decodeIntent(name, payload))
    } catch {
      // It is waited for whatever it says.
    }
  }
  return intents
}

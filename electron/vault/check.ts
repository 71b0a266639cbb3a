/**
 * Looks whether everything that the checkpoints of a vault need is there, and writes down what it found, so that a damaged
 * checkpoint is shown as such from then on. Promises that nothing else is written, and that a store which does not answer
 * is never taken for damage.
 */
import { type ErrorCode, fail, WdockError } from '../../shared/errors/index.ts'
import type { VaultCheck } from '../../shared/models/checkpoint.ts'
import type { CallOptions } from '../objects/object-store.ts'
import { DataCheck } from './check-data.ts'
import { limits } from './codec/limits.ts'
import { decodeManifest, type Manifest } from './codec/manifest.ts'
import { encodeVerified } from './codec/verified.ts'
import { prefixes } from './names.ts'
import type { OpenVault } from './open-vault.ts'
import { isUnreadable } from './vault-objects.ts'

export interface CheckOptions extends CallOptions {
  /** Every byte is fetched and compared with what was captured; else only lengths are. */
  readData: boolean
  /** Of the checkpoints that were listed, how many were looked at, and what was read for it: before each, and at the end. */
  onProgress?: (checkpoints: number, ofCheckpoints: number, readBytes: number) => void
}

/** What is wrong with a checkpoint rather than with the store. */
const damageCodes: ReadonlySet<string> = new Set<ErrorCode>([
  'vault.damaged',
  'vault.damaged_frame',
  'vault.pack_missing',
])

/** @throws what the store throws that is no damage; the signal's reason */
export async function checkVault(vault: OpenVault, options: CheckOptions): Promise<VaultCheck> {
  const { objects, store } = vault
  const { readData, signal } = options
  const listed = (await objects.list(prefixes.checkpoints, options)).filter(({ isFence }) => !isFence)
  // Listed after the checkpoints: what these need had been written before.
  const packs = await objects.list(prefixes.packs, options)
  const sizes = new Map(packs.map(({ id, sizeBytes }) => [id, sizeBytes]))
  const data = new DataCheck(vault, signal)
  const damaged: VaultCheck['damaged'] = []
  let checkpoints = 0
  try {
    for (const [index, { id }] of listed.entries()) {
      signal?.throwIfAborted()
      options.onProgress?.(index, listed.length, data.readBytes)
      const found = await checkOne(vault, id, sizes, readData ? data : null, options)
      // Deleted since it was listed: then what is missing is no damage.
      if ((await objects.decided(prefixes.checkpoints + id, options)) !== 'content') continue
      checkpoints += 1
      const error = found?.toJSON() ?? null
      if (error !== null) damaged.push({ checkpointId: id, error })
      const how = readData ? 'read' : 'listed'
      const verified = encodeVerified({ atMs: await store.nowMs(options), how, error })
      await objects.write(prefixes.verified + id, verified, options)
    }
    options.onProgress?.(listed.length, listed.length, data.readBytes)
    return { checkpoints, readBytes: data.readBytes, damaged }
  } finally {
    data.close()
  }
}

/** @returns what is wrong; null when nothing is */
async function checkOne(
  vault: OpenVault,
  id: string,
  sizes: ReadonlyMap<string, number>,
  data: DataCheck | null,
  options: CheckOptions,
): Promise<WdockError | null> {
  try {
    // From the store: what is kept on this PC proves nothing.
    const payload = await vault.objects.read(prefixes.checkpoints + id, limits.manifestBytes, options)
    if (payload === null) return null
    const manifest = decodeManifest(id, payload)
    checkLengths(manifest, sizes)
    await data?.check(manifest)
    return null
  } catch (error) {
    options.signal?.throwIfAborted()
    if (isUnreadable(error)) return error
    if (error instanceof WdockError && damageCodes.has(error.code)) return error
    throw error
  }
}

/** @throws vault.pack_missing, vault.damaged */
function checkLengths({ frames }: Manifest, sizes: ReadonlyMap<string, number>): void {
  for (const [pack, id] of frames.packs.entries()) {
    const last = (frames.packStart[pack + 1] ?? 0) - 1
    const needed = (frames.offset[last] ?? 0) + (frames.sealedBytes[last] ?? 0)
    const there = sizes.get(id) ?? 0
    const detail = `pack ${id}: ${there} of ${needed} bytes`
    if (there === 0) throw fail('vault.pack_missing', {}, { detail })
    if (there < needed) throw fail('vault.damaged', {}, { detail })
  }
}

/**
 * Frees what no checkpoint uses (FORMAT.md, "Sweep"). Any PC may do it at any time, several at once too. Promises that
 * nothing a listed checkpoint needs is deleted, whatever happens at whatever time on other PCs, and that one which was
 * stopped anywhere is finished by the next. `sweep.model.test.ts` is the proof.
 */
import type { CallOptions } from '../objects/object-store.ts'
import type { Intent } from './codec/intent.ts'
import { limits } from './codec/limits.ts'
import { encodeProposal, type Proposal } from './codec/proposal.ts'
import { indexedPacks, mergeIndex } from './index-merge.ts'
import { prefixes } from './names.ts'
import { type OpenVault, patienceMs } from './open-vault.ts'
import { pause } from './pause.ts'
import { Refresher } from './refresher.ts'
import { removeOrphans } from './sweep-orphans.ts'
import { finishRemains, freePacks } from './sweep-remains.ts'
import { waitForUploads } from './sweep-uploads.ts'
import { UsedPacks } from './used-packs.ts'
import type { IdInfo } from './vault-objects.ts'

/** What a sweep is doing. */
export type SweepProgress =
  | { kind: 'looking' }
  /** For checkpoints that are on their way into the vault. */
  | { kind: 'waiting'; uploads: Intent[] }
  | { kind: 'freeing'; doneBytes: number; totalBytes: number }

export interface SweepOptions extends CallOptions {
  onProgress?: (progress: SweepProgress) => void
}

export interface SweepResult {
  freedPacks: number
  freedBytes: number
}

/**
 * @throws vault.sweep_unsure when a checkpoint cannot be read: then nothing more is deleted; what the store throws; the
 * signal's reason. Whatever it began is then finished by the next one.
 */
export async function sweep(vault: OpenVault, options: SweepOptions = {}): Promise<SweepResult> {
  options.onProgress?.({ kind: 'looking' })
  await finishRemains(vault, options)
  const used = new UsedPacks(vault)
  const unused = await findUnused(vault, used, options)
  const work = { vault, used, id: vault.random.hex(16), unused, options }
  const result = unused.length === 0 ? nothingFreed : await freeUnused(work)
  await removeOrphans(vault, options)
  return result
}

const nothingFreed: SweepResult = { freedPacks: 0, freedBytes: 0 }

/** 2: packs that no checkpoint uses now. Young ones are most likely those of uploads under way: not worth a wait. */
async function findUnused(vault: OpenVault, used: UsedPacks, options: CallOptions): Promise<IdInfo[]> {
  const nowMs = await vault.store.nowMs(options)
  const packs = await vault.objects.list(prefixes.packs, options)
  const inUse = await used.now(options)
  const isOld = ({ writtenAtMs }: IdInfo): boolean => nowMs - writtenAtMs > patienceMs
  return packs.filter((pack) => !pack.isFence && !inUse.has(pack.id) && isOld(pack)).slice(0, limits.packs)
}

interface Work {
  vault: OpenVault
  used: UsedPacks
  /** Of this sweep's lists. */
  id: string
  unused: readonly IdInfo[]
  options: SweepOptions
}

/** 2 to 5 for some packs. */
async function freeUnused(work: Work): Promise<SweepResult> {
  const { vault, id, unused, options } = work
  const name = prefixes.sweeps + id
  const proposal = encodeProposal({ remove: unused.map((pack) => pack.id), close: [] })
  await vault.objects.write(name, proposal, options)
  const refresher = new Refresher(vault, name, proposal)
  let doomed: Proposal | null
  let mayBeDecided = false
  try {
    doomed = await findDoomed(work)
    mayBeDecided = doomed !== null
    if (doomed !== null) {
      const { isFirst } = await vault.objects.decide(prefixes.doomed + id, encodeProposal(doomed), options)
      // Else another sweep has taken this one for dead. Nothing was deleted.
      if (!isFirst) doomed = null
    }
  } catch (error) {
    await refresher.stopNow()
    // Where the list may be decided, the next sweep finds out.
    if (!mayBeDecided) await withdraw(vault, name)
    throw error
  }
  await refresher.stop()
  if (doomed === null) {
    await vault.store.remove(name, options)
    return nothingFreed
  }
  return await free(work, doomed)
}

/** Uploads need not wait half an hour until they may use the packs again. */
async function withdraw(vault: OpenVault, name: string): Promise<void> {
  await vault.store.remove(name, { signal: AbortSignal.timeout(5_000) }).catch((error: unknown) => {
    vault.log.warn('a proposal to free packs could not be withdrawn', { name, error })
  })
}

/**
 * 3 and 4: what is still used by nobody when all have spoken who could not know of the proposal. What the index does not
 * name may still be on its way: its owner was ended, but need not know that yet.
 * @returns null when there is nothing
 */
async function findDoomed({ vault, used, unused, options }: Work): Promise<Proposal | null> {
  const { settleMs } = vault.store
  // Once until everybody sees the proposal, once more until we see the intents of those who did not.
  await pause(vault.clock, 2 * settleMs, options.signal)
  await waitForUploads(vault, options, (uploads) => options.onProgress?.({ kind: 'waiting', uploads }))
  await pause(vault.clock, settleMs, options.signal)
  options.onProgress?.({ kind: 'looking' })
  const inUse = await used.now(options)
  const doomed = unused.map(({ id }) => id).filter((id) => !inUse.has(id))
  if (doomed.length === 0) return null
  const indexed = await indexedPacks(vault, options)
  return {
    remove: doomed.filter((id) => indexed.has(id)),
    close: doomed.filter((id) => !indexed.has(id)),
  }
}

/** 5. */
async function free({ vault, id, unused, options }: Work, doomed: Proposal): Promise<SweepResult> {
  const ids = new Set([...doomed.remove, ...doomed.close])
  const sizes = new Map(unused.filter((pack) => ids.has(pack.id)).map((pack) => [pack.id, pack.sizeBytes]))
  const totalBytes = [...sizes.values()].reduce((sum, sizeBytes) => sum + sizeBytes, 0)
  let doneBytes = 0
  const tell = (): void => options.onProgress?.({ kind: 'freeing', doneBytes, totalBytes })
  tell()
  await mergeIndex(vault, ids, options)
  await freePacks(vault, id, doomed, options, (pack) => {
    doneBytes += sizes.get(pack) ?? 0
    tell()
  })
  return { freedPacks: ids.size, freedBytes: totalBytes }
}

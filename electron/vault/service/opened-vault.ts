/**
 * A vault, open: its place, its keys, what is kept of it on this PC. Promises that a place without a vault, a wrong phrase
 * and a wrong key are told apart, that a new vault is only made where there is nothing, and that what could not be
 * opened is closed again.
 */
import { stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fail, isCode, type WdockError } from '../../../shared/errors/index.ts'
import type { PlaceFinding, VaultPlace } from '../../../shared/models/checkpoint.ts'
import type { ObjectStore } from '../../objects/object-store.ts'
import { type OpenedPlace, openPlace } from '../../objects/open-place.ts'
import { defaultDeadlineMs, type StoreCall } from '../../objects/retry.ts'
import { FrameCache } from '../../pages/frame-cache.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Log } from '../../platform/log.ts'
import type { Random } from '../../platform/random.ts'
import { Catalog } from '../catalog.ts'
import { ContentIds } from '../content-ids.ts'
import { DiskSpools } from '../disk-spool.ts'
import {
  checkVaultKey,
  createVaultFile,
  deriveKeys,
  encodeVaultFile,
  newVaultKey,
  parseVaultFile,
  phraseEntropyOf,
  unlockWithPhrase,
  type VaultFile,
  vaultFileLimitBytes,
  vaultFileName,
} from '../keys.ts'
import { ObjectCache } from '../object-cache.ts'
import type { OpenVault } from '../open-vault.ts'
import { newEntropy, parsePhrase, phraseOf } from '../phrase.ts'
import { VaultObjects } from '../vault-objects.ts'
import type { VaultFolders } from './vault-service.ts'

export interface OpeningParts {
  clock: Clock
  random: Random
  log: Log
  onTrouble: (error: WdockError | null) => void
}

/** What an upload writes besides packs waits as long as packs do: for its signal. */
const patientPuts = /^(packs|index|summaries|checkpoints|uploads)\//

function deadlineMs(call: StoreCall): number {
  const isPatient = call.kind.startsWith('put') && patientPuts.test(call.name)
  return isPatient ? Number.POSITIVE_INFINITY : defaultDeadlineMs(call)
}

function openPlaceOf(
  place: VaultPlace,
  folders: Pick<VaultFolders, 'azurite'>,
  parts: OpeningParts,
  makesFolder = false,
): Promise<OpenedPlace> {
  const { clock, random, onTrouble } = parts
  return openPlace(place, {
    ...{ azuriteFolder: folders.azurite, makesFolder },
    ...{ clock, random, onTrouble, deadlineMs },
  })
}

/** What lies in a place; nothing is written. @throws what the store throws */
export async function lookAtPlace(
  place: VaultPlace,
  folders: Pick<VaultFolders, 'azurite'>,
  parts: OpeningParts,
): Promise<PlaceFinding> {
  let opened: OpenedPlace
  try {
    opened = await openPlaceOf(place, folders, parts)
  } catch (error) {
    if (place.kind !== 'folder' || !isCode(error, 'store.folder_missing')) throw error
    // Of more than the last part of a path it is likelier that a drive is missing, or a letter is wrong.
    const above = await stat(dirname(place.path)).catch(() => null)
    if (above?.isDirectory()) return 'no-folder'
    throw error
  }
  try {
    return await lookAt(opened.store)
  } finally {
    await opened.close()
  }
}

async function lookAt(store: ObjectStore): Promise<Exclude<PlaceFinding, 'no-folder'>> {
  if ((await store.get(vaultFileName, vaultFileLimitBytes)) !== null) return 'vault'
  for await (const _ of store.list('')) return 'other-files'
  return 'empty'
}

export class OpenedVaultParts {
  readonly vault: OpenVault
  readonly catalog: Catalog
  readonly spools: DiskSpools
  readonly frames: FrameCache
  readonly contents: ContentIds
  readonly folders: VaultFolders
  readonly vaultKey: Buffer
  readonly #file: VaultFile
  readonly #place: OpenedPlace

  private constructor(
    place: OpenedPlace,
    file: VaultFile,
    vaultKey: Buffer,
    folders: VaultFolders,
    parts: OpeningParts,
    frames: FrameCache,
  ) {
    const { clock, random, log } = parts
    const keys = deriveKeys(vaultKey, random)
    const cache = new ObjectCache(join(folders.cache, 'objects', file.vaultId), log, random)
    const objects = new VaultObjects(place.store, keys.objects, cache)
    const { frameKeyOf, pageIdKey } = keys
    const { store } = place
    this.vault = { vaultId: file.vaultId, store, objects, frameKeyOf, pageIdKey, clock, random, log }
    this.catalog = new Catalog(this.vault, cache)
    this.spools = new DiskSpools(folders.spool, keys.objects)
    this.frames = frames
    this.contents = new ContentIds(join(folders.cache, 'contents', file.vaultId), log, { random })
    this.folders = folders
    this.vaultKey = vaultKey
    this.#file = file
    this.#place = place
  }

  /** @throws vault.exists, vault.place_not_empty, what the store throws */
  static async create(at: VaultPlace, folders: VaultFolders, parts: OpeningParts): Promise<OpenedVaultParts> {
    const place = openPlaceOf(at, folders, parts, true)
    return await withPlace(place, async (opened) => {
      const there = await lookAt(opened.store)
      if (there === 'vault') throw fail('vault.exists')
      if (there === 'other-files') throw fail('vault.place_not_empty')
      const vaultKey = newVaultKey(parts.random)
      const file = createVaultFile(vaultKey, newEntropy(parts.random), parts.random)
      if (!(await opened.store.putNew(vaultFileName, encodeVaultFile(file)))) throw fail('vault.exists')
      const frames = await openFrames(folders, parts)
      return new OpenedVaultParts(opened, file, vaultKey, folders, parts, frames)
    })
  }

  /** @throws vault.not_there, vault.wrong_phrase, vault.wrong_key, vault.damaged_vault_file, vault.newer_version, … */
  static async open(
    at: VaultPlace,
    folders: VaultFolders,
    secret: { phrase: string } | { vaultKey: Uint8Array },
    parts: OpeningParts,
  ): Promise<OpenedVaultParts> {
    // What is wrong with the words is told before anything is asked of the store.
    const entropy = 'phrase' in secret ? parsePhrase(secret.phrase) : null
    return await withPlace(openPlaceOf(at, folders, parts), async (opened) => {
      const bytes = await opened.store.get(vaultFileName, vaultFileLimitBytes)
      if (bytes === null) throw fail('vault.not_there')
      const file = parseVaultFile(bytes)
      const vaultKey =
        'phrase' in secret ? unlockWithPhrase(file, entropy ?? Buffer.alloc(0)) : Buffer.from(secret.vaultKey)
      checkVaultKey(file, vaultKey)
      const frames = await openFrames(folders, parts)
      return new OpenedVaultParts(opened, file, vaultKey, folders, parts, frames)
    })
  }

  /** The recovery phrase. @throws vault.phrase_not_kept */
  phrase(): string {
    const entropy = phraseEntropyOf(this.#file, this.vaultKey)
    if (entropy === null) throw fail('vault.phrase_not_kept')
    return phraseOf(entropy).join(' ')
  }

  async close(): Promise<void> {
    await this.frames.close()
    await this.#place.close()
  }
}

async function withPlace(
  place: Promise<OpenedPlace>,
  work: (opened: OpenedPlace) => Promise<OpenedVaultParts>,
): Promise<OpenedVaultParts> {
  const opened = await place
  try {
    return await work(opened)
  } catch (error) {
    await opened.close()
    throw error
  }
}

function openFrames(
  { cache, cacheLimitBytes }: VaultFolders,
  { clock, log }: OpeningParts,
): Promise<FrameCache> {
  const onTrouble = (error: WdockError): void => {
    log.warn('frames could not be kept on this PC', { error: error.toJSON() })
  }
  return FrameCache.open({ folder: join(cache, 'frames'), limitBytes: cacheLimitBytes, clock, onTrouble })
}

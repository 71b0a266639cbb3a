/**
 * Restores that are under way, by the names that the host gave them. Promises that each is closed once, and that what a
 * guest touches first is kept in the vault for the next time, where it comes from there.
 */
import { fail, type WdockError } from '../../../shared/errors/index.ts'
import type { Checkpoint, CheckpointId, ReceivedLink } from '../../../shared/models/checkpoint.ts'
import { openLent } from '../../objects/lent.ts'
import type { LentObjects } from '../../objects/object-store.ts'
import { retryingLent } from '../../objects/retrying-store.ts'
import { pageBytes } from '../../pages/page-id.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Log } from '../../platform/log.ts'
import { checkpointOf } from '../catalog.ts'
import { limits } from '../codec/limits.ts'
import type { Manifest } from '../codec/manifest.ts'
import { dataPagesOf } from '../codec/region-runs.ts'
import { decodeWarm, encodeWarm, type WarmSet } from '../codec/warm.ts'
import { prefixes } from '../names.ts'
import type { OpenVault } from '../open-vault.ts'
import { Restore, type RestoreOptions } from '../restore.ts'
import { type LentCheckpoint, readShare } from '../share.ts'
import { parseLink } from '../share-link.ts'
import { isUnreadable } from '../vault-objects.ts'
import type { OpenedVaultParts } from './opened-vault.ts'
import type { CheckpointFacts, VaultEvent } from './vault-service.ts'

export interface RestoresParts {
  clock: Clock
  log: Log
  onEvent: (event: VaultEvent) => void
}

export class Restores {
  readonly #parts: RestoresParts
  readonly #restores = new Map<string, { restore: Restore; atEnd: () => void }>()
  readonly #beginning = new Set<string>()

  constructor(parts: RestoresParts) {
    this.#parts = parts
  }

  /** @throws vault.checkpoint_missing, vault.bad_manifest, what the store throws */
  async begin(restoreId: string, opened: OpenedVaultParts, id: CheckpointId): Promise<CheckpointFacts> {
    const { vault, catalog, frames } = opened
    return await this.#reserve(restoreId, async () => {
      // Each is at least one round trip.
      const [manifest, checkpoint, warm] = await Promise.all([
        catalog.manifest(id),
        catalog.one(id),
        readWarm(vault, id),
      ])
      const { store, frameKeyOf, pageIdKey } = vault
      this.#add(restoreId, {
        ...{ manifest, store, frameKeyOf, pageIdKey, frames, warm },
        saveWarm: async (warm) => {
          await vault.objects.write(prefixes.warm + id, encodeWarm(warm))
        },
      })
      return factsOf(checkpoint, manifest)
    })
  }

  /** @throws store.link_dead, vault.bad_link, vault.link_preparing, what the place of the link says else */
  async beginFromLink(restoreId: string, text: string): Promise<CheckpointFacts> {
    return await this.#reserve(restoreId, async () => {
      const { lent, manifest, summary } = await this.#openLink(text)
      this.#add(
        restoreId,
        {
          ...{ manifest, store: lent, frames: null, pageIdKey: null, warm: null, saveWarm: null },
          frameKeyOf: () => {
            throw fail('vault.bad_link', {}, { detail: 'a key is missing' })
          },
        },
        () => lent.close(),
      )
      return factsOf(checkpointOf(summary, { kind: 'vault' }), manifest)
    })
  }

  /** What a link leads to. @throws as `beginFromLink` */
  async look(text: string): Promise<ReceivedLink> {
    const { lent, summary } = await this.#openLink(text)
    lent.close()
    const { label: _, place: __, ...checkpoint } = checkpointOf(summary, { kind: 'vault' })
    const endMs = summary.head.lentUntilMs ?? null
    return { checkpoint, pngBase64: summary.picture?.toString('base64') ?? null, endMs }
  }

  async #openLink(text: string): Promise<LentCheckpoint & { lent: LentObjects }> {
    const { address, shareKey } = parseLink(text)
    const lent = retryingLent(openLent(address), { clock: this.#parts.clock })
    try {
      return { lent, ...(await readShare(lent, shareKey)) }
    } catch (error) {
      lent.close()
      throw error
    }
  }

  /** @throws host.bad_input when there is none */
  get(restoreId: string): Restore {
    const found = this.#restores.get(restoreId)
    if (found === undefined) throw fail('host.bad_input', { why: 'there is no such restore' })
    return found.restore
  }

  async end(restoreId: string): Promise<void> {
    const found = this.#restores.get(restoreId)
    this.#restores.delete(restoreId)
    await found?.restore.close()
    found?.atEnd()
  }

  async endAll(): Promise<void> {
    await Promise.all([...this.#restores.keys()].map((restoreId) => this.end(restoreId)))
  }

  async #reserve<T>(restoreId: string, work: () => Promise<T>): Promise<T> {
    if (this.#restores.has(restoreId) || this.#beginning.has(restoreId)) {
      throw fail('host.bad_input', { why: 'there is a restore of this name' })
    }
    this.#beginning.add(restoreId)
    try {
      return await work()
    } finally {
      this.#beginning.delete(restoreId)
    }
  }

  #add(
    restoreId: string,
    what: Omit<RestoreOptions, 'clock' | 'log' | 'onTrouble' | 'onProgress' | 'onMemoryDone'>,
    atEnd: () => void = () => {},
  ): void {
    const { clock, log, onEvent } = this.#parts
    const shapeOf = (error: WdockError | null) => error?.toJSON() ?? null
    const restore = new Restore({
      ...{ ...what, clock, log },
      onTrouble: (error) => onEvent({ type: 'restore.trouble', restoreId, error: shapeOf(error) }),
      onProgress: (doneBytes, totalBytes) =>
        onEvent({ type: 'restore.progress', restoreId, progress: { doneBytes, totalBytes } }),
      onMemoryDone: (error) => onEvent({ type: 'restore.memory-done', restoreId, error: shapeOf(error) }),
    })
    this.#restores.set(restoreId, { restore, atEnd })
  }
}

export function factsOf(checkpoint: Checkpoint, { head, regions: runs }: Manifest): CheckpointFacts {
  const { guest, accelerator, qemuVersion, regions } = head
  const dataBytes = (region: number): number => {
    const of = runs[region]
    return of === undefined ? 0 : dataPagesOf(of) * pageBytes
  }
  return {
    ...{ checkpoint, guest, accelerator, qemuVersion },
    hasMemory: regions.some(({ kind }) => kind === 'state'),
    memoryDataBytes: regions.reduce(
      (sum, each, region) => (each.kind === 'ram' ? sum + dataBytes(region) : sum),
      0,
    ),
    disks: regions.flatMap((each, region) => {
      if (each.kind !== 'disk') return []
      const { nodeName, virtualSizeBytes } = each
      // The last page may be longer than the disk.
      return [{ nodeName, virtualSizeBytes, dataBytes: Math.min(virtualSizeBytes, dataBytes(region)) }]
    }),
    bootFiles: regions.flatMap((each) =>
      each.kind === 'boot-file' ? [{ sha256: each.sha256, lengthBytes: each.lengthBytes }] : [],
    ),
  }
}

/** A hint: null where there is none, or it cannot be read. */
async function readWarm({ objects, log }: OpenVault, id: CheckpointId): Promise<WarmSet | null> {
  const name = prefixes.warm + id
  try {
    const payload = await objects.read(name, limits.warmBytes)
    return payload === null ? null : decodeWarm(name, payload)
  } catch (error) {
    if (!isUnreadable(error)) throw error
    log.warn('what a guest touches first cannot be read', { name, error })
    return null
  }
}

/**
 * Which packs the checkpoints of a vault use. Promises to know of every checkpoint that was listed, or to fail: a
 * manifest that cannot be read could need any pack. Manifests never change, so each is read once.
 */
import { fail } from '../../shared/errors/index.ts'
import type { CallOptions } from '../objects/object-store.ts'
import { limits } from './codec/limits.ts'
import { packsOfManifest } from './codec/manifest.ts'
import { prefixes } from './names.ts'
import type { OpenVault } from './open-vault.ts'
import { forEachParallel } from './parallel.ts'
import { isUnreadable } from './vault-objects.ts'

export class UsedPacks {
  readonly #vault: OpenVault
  readonly #packsOf = new Map<string, readonly string[]>()

  constructor(vault: OpenVault) {
    this.#vault = vault
  }

  /**
   * The packs that are used by the checkpoints that are there now.
   * @throws vault.sweep_unsure
   */
  async now(options: CallOptions): Promise<Set<string>> {
    const listed = await this.#vault.objects.list(prefixes.checkpoints, options, (name) => {
      throw fail('vault.sweep_unsure', { name })
    })
    const checkpoints = listed.filter(({ isFence }) => !isFence)
    const unread = checkpoints.filter(({ id }) => !this.#packsOf.has(id))
    await forEachParallel(unread, 8, ({ id }) => this.#read(id, options))
    return new Set(checkpoints.flatMap(({ id }) => this.#packsOf.get(id) ?? []))
  }

  async #read(id: string, options: CallOptions): Promise<void> {
    const name = prefixes.checkpoints + id
    try {
      const payload = await this.#vault.objects.readKept(name, limits.manifestBytes, options)
      // Null: it was deleted since it was listed.
      this.#packsOf.set(id, payload === null ? [] : packsOfManifest(id, payload))
    } catch (error) {
      if (!isUnreadable(error)) throw error
      throw fail('vault.sweep_unsure', { name }, { detail: String(error), cause: error })
    }
  }
}

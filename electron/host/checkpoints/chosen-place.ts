/**
 * What this dock remembers of its vault: one file in the config folder. Promises that access keys and access links
 * are in no file in clear: the place is sealed under a key derived from the vault's, which lies in the desktop's
 * keyring or in a file that only this user can read (vault/key-store.ts), so both are kept in the same way.
 */
import { createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { fail } from '../../../shared/errors/index.ts'
import { type VaultPlace, vaultPlace } from '../../../shared/models/checkpoint.ts'
import { fsFailure, readJson, writeJsonAtomic } from '../../platform/atomic-file.ts'
import { type Random, systemRandom } from '../../platform/random.ts'
import { openBytesWith, sealBytesWith } from '../../vault/sealed.ts'

const chosenPlace = z.strictObject({
  version: z.literal(1),
  vaultId: z.string().regex(/^[0-9a-f]{32}$/),
  placeKind: z.enum(['folder', 'azurite', 'azure']),
  /** As the place calls itself; holds no secret. */
  placeSentence: z.string(),
  /** The person has said that the recovery phrase is written down. */
  phraseSeen: z.boolean(),
  /** `nonce ‖ ciphertext ‖ tag` of the place as JSON, in base64. */
  sealedPlace: z.base64().max(64 * 1024),
  /** When this dock last freed space in the vault. */
  sweptAtMs: z.number().nullable(),
})
/** The place of this dock's vault, without its secrets. */
export type ChosenPlace = z.infer<typeof chosenPlace>

/** What may change while the vault stays the same. */
export type ChosenPlaceChange = Partial<Pick<ChosenPlace, 'phraseSeen' | 'placeSentence' | 'sweptAtMs'>>

const info = 'wdock-dock/1 place'

/** What is put into the file for a vault that was just made or opened. */
export interface NewPlace {
  vaultId: string
  place: VaultPlace
  placeSentence: string
  phraseSeen: boolean
}

export class PlaceFile {
  readonly #path: string
  readonly #random: Random
  #current: ChosenPlace | null = null

  constructor(configDir: string, random: Random = systemRandom) {
    this.#path = join(configDir, 'vault.json')
    this.#random = random
  }

  /** What was last read or written. */
  get current(): ChosenPlace | null {
    return this.#current
  }

  /** @returns null when no place was chosen @throws host.state_unreadable, host.no_permission */
  async read(): Promise<ChosenPlace | null> {
    this.#current = await readJson(this.#path, chosenPlace)
    return this.#current
  }

  /** @throws host.disk_full, host.no_permission */
  async choose({ place, ...rest }: NewPlace, vaultKey: Uint8Array): Promise<void> {
    const text = Buffer.from(JSON.stringify(place), 'utf8')
    const sealed = sealBytesWith(keyOf(vaultKey), contextOf(rest.vaultId), text, this.#random)
    const sealedPlace = sealed.toString('base64')
    await this.#write({ version: 1, ...rest, placeKind: place.kind, sealedPlace, sweptAtMs: null })
  }

  /** Does nothing where no place is chosen. @throws host.disk_full, host.no_permission */
  async change(change: ChosenPlaceChange): Promise<void> {
    if (this.#current !== null) await this.#write({ ...this.#current, ...change })
  }

  /** @throws host.no_permission */
  async forget(): Promise<void> {
    await rm(this.#path, { force: true }).catch((error: unknown) => {
      throw fsFailure(error, this.#path)
    })
    this.#current = null
  }

  /** The place with its secrets. @throws vault.wrong_key, host.state_unreadable */
  unseal({ vaultId, sealedPlace }: ChosenPlace, vaultKey: Uint8Array): VaultPlace {
    const sealed = Buffer.from(sealedPlace, 'base64')
    const text = openBytesWith(keyOf(vaultKey), contextOf(vaultId), sealed)
    if (text === null)
      throw fail('vault.wrong_key', {}, { detail: `the place in ${this.#path} does not open` })
    const parsed = vaultPlace.safeParse(JSON.parse(text.toString('utf8')))
    if (!parsed.success) {
      throw fail('host.state_unreadable', { path: this.#path }, { detail: parsed.error.message })
    }
    return parsed.data
  }

  async #write(next: ChosenPlace): Promise<void> {
    await writeJsonAtomic(this.#path, next)
    this.#current = next
  }
}

function keyOf(vaultKey: Uint8Array): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', vaultKey, Buffer.alloc(0), info, 32)))
}

function contextOf(vaultId: string): string {
  return `${info} ${vaultId}`
}

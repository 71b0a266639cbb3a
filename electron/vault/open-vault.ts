/** What all work with a vault needs, handed in by whoever opened it. */
import type { ObjectStore } from '../objects/object-store.ts'
import type { FrameKeyOf } from '../pages/frame.ts'
import type { Clock } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import type { Random } from '../platform/random.ts'
import type { VaultObjects } from './vault-objects.ts'

export interface OpenVault {
  /** In hexadecimal digits, from `vault.json`. */
  vaultId: string
  store: ObjectStore
  objects: VaultObjects
  frameKeyOf: FrameKeyOf
  /** For `PageHasher`, 32 bytes. */
  pageIdKey: Buffer
  clock: Clock
  random: Random
  log: Log
}

/** An intent or a proposal that was not refreshed for so long, by the store's clock, may be ended by a sweep. */
export const patienceMs = 30 * 60_000

/** How often whoever is at work says so. */
export const refreshMs = 2 * 60_000

/** Fences older than this are removed. Whoever was stopped within one call for longer must not go on. */
export const fenceLifeMs = 400 * 24 * 3600_000

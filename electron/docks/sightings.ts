/**
 * What was heard of docks, paired or not: by discovery, and by addresses that people typed. Promises nothing
 * about truth: names and addresses here are for lists and for dialling, where identity is checked.
 */

import { type Address, uniqueAddresses, withFirst } from './address.ts'
import type { Hint } from './discovery.ts'

export interface Sighting {
  name: string
  appVersion: string | null
  atMs: number
  /** From discovery, best first; gone with the goodbye. */
  hinted: Address[]
  /** That answered when a person typed them. */
  typed: Address[]
}

export class Sightings {
  readonly #sightings = new Map<string, Sighting>()

  ids(): string[] {
    return [...this.#sightings.keys()]
  }

  get(dockId: string): Sighting | null {
    return this.#sightings.get(dockId) ?? null
  }

  found(hint: Hint, atMs: number): void {
    const known = this.#sightings.get(hint.dockId)
    this.#sightings.set(hint.dockId, {
      name: hint.name,
      appVersion: known?.appVersion ?? null,
      atMs,
      hinted: hint.addresses,
      typed: known?.typed ?? [],
    })
  }

  lost(dockId: string): void {
    const known = this.#sightings.get(dockId)
    if (known === undefined) return
    if (known.typed.length === 0) this.#sightings.delete(dockId)
    else this.#sightings.set(dockId, { ...known, hinted: [] })
  }

  typed(dockId: string, seen: { name: string; appVersion: string; address: Address; atMs: number }): void {
    const known = this.#sightings.get(dockId)
    this.#sightings.set(dockId, {
      name: seen.name,
      appVersion: seen.appVersion,
      atMs: seen.atMs,
      hinted: known?.hinted ?? [],
      typed: withFirst(known?.typed ?? [], seen.address),
    })
  }

  addressesOf(dockId: string): Address[] {
    const known = this.#sightings.get(dockId)
    return known === undefined ? [] : uniqueAddresses([...known.hinted, ...known.typed])
  }
}

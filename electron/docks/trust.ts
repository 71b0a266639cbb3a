/**
 * Pairs two docks without people: writes each into the other's list of peers. Only for the demo, tests and
 * measurements on one PC, where both config folders belong to the same person; both hosts must be stopped.
 */
import { systemClock } from '../platform/clock.ts'
import { systemRandom } from '../platform/random.ts'
import type { Address } from './address.ts'
import { type Identity, openIdentity, readDockName } from './identity.ts'
import { Peers } from './peers.ts'

export interface DirectPairingSide {
  configDir: string
  /** The name the other side lists it under until they meet. */
  name?: string
  /** Where it will listen, if known. */
  address?: Address
}

type Side = string | DirectPairingSide

/** @param a @param b config folders; identities are made where missing. @throws host.state_unreadable */
export async function pairDirectly(a: Side, b: Side): Promise<{ a: string; b: string }> {
  const sideA = typeof a === 'string' ? { configDir: a } : a
  const sideB = typeof b === 'string' ? { configDir: b } : b
  const identityA = await openIdentity(sideA.configDir, systemRandom)
  const identityB = await openIdentity(sideB.configDir, systemRandom)
  await addPeer(sideA.configDir, sideB, identityB)
  await addPeer(sideB.configDir, sideA, identityA)
  return { a: identityA.id, b: identityB.id }
}

async function addPeer(configDir: string, other: DirectPairingSide, identity: Identity): Promise<void> {
  const peers = await Peers.open(configDir)
  await peers.add({
    id: identity.id,
    name: await readDockName(other.configDir, other.name),
    addresses: other.address === undefined ? [] : [other.address],
    lastSeenAtMs: null,
    pairedAtMs: systemClock.nowMs(),
    appVersion: null,
    keepsReady: false,
  })
}

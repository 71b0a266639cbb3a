/**
 * What a restored guest is made of: the definition that was kept, with disks of its own that stand alone, and for a copy a
 * new id, name and network address. Pure. A copy that goes on running keeps the old network address until its next
 * start, because its devices were kept with it: harmless, as every guest has a network to itself.
 */
import type { GuestDefinition, LayerId } from '../../../shared/models/guest-definition.ts'

export interface RestoredIdentity {
  id: string
  name: string
  macAddress: string
}

export function restoredDefinition(
  kept: GuestDefinition,
  identity: RestoredIdentity,
  newLayerId: () => LayerId,
): GuestDefinition {
  const disks = kept.disks.map((disk) => ({ ...disk, layers: [], top: newLayerId() }))
  return { ...kept, ...identity, disks }
}

const longestName = 64

/** “Name (copy)”, “Name (copy 2)”, …: the first that nobody has, shortened where it must be. */
export function copyName(name: string, isTaken: (name: string) => boolean): string {
  const stem = name.replace(/ \(copy(?: \d+)?\)$/, '')
  return firstFree(stem, (n) => (n === 1 ? ' (copy)' : ` (copy ${n})`), isTaken)
}

/** The name itself where nobody has it, else “Name (2)”, … */
export function freeName(name: string, isTaken: (name: string) => boolean): string {
  return firstFree(name, (n) => (n === 1 ? '' : ` (${n})`), isTaken)
}

function firstFree(stem: string, suffix: (n: number) => string, isTaken: (name: string) => boolean): string {
  for (let n = 1; ; n += 1) {
    const end = suffix(n)
    const name = `${cut(stem, longestName - end.length)}${end}`
    if (!isTaken(name)) return name
  }
}

/** By whole characters: half of a surrogate pair is none. */
function cut(text: string, length: number): string {
  let short = ''
  for (const character of text) {
    if (short.length + character.length > length) break
    short += character
  }
  return short.trimEnd()
}

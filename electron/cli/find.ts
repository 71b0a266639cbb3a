/** What a person means by a word: a guest, dock, pairing or operation by name, by id or by how either begins. */
import { fail } from '../../shared/errors/index.ts'
import type { Checkpoint } from '../../shared/models/checkpoint.ts'
import type { Dock, Pairing } from '../../shared/models/dock.ts'
import type { Guest } from '../../shared/models/guest.ts'
import type { HostState } from '../../shared/models/host-state.ts'
import type { Operation } from '../../shared/models/operation.ts'
import { printable } from './table.ts'
import { dockNameOf } from './words.ts'

interface Named {
  id: string
  name: string
}

interface Wanted {
  kind: string
  /** The command that lists them. */
  list: string
  describe?: (item: Named) => string
}

/**
 * The one item that `word` names. A whole name or id goes before a beginning, letter case counts only where
 * it decides. @throws command.no_match, command.ambiguous
 */
export function findNamed<Item extends Named>(items: readonly Item[], word: string, wanted: Wanted): Item {
  const lower = word.toLowerCase()
  const rules: ((item: Item) => boolean)[] = [
    (item) => item.id === word || item.name === word,
    (item) => item.name.toLowerCase() === lower,
    (item) => item.name.toLowerCase().startsWith(lower) || item.id.startsWith(lower),
  ]
  for (const rule of word === '' ? [] : rules) {
    const found = items.filter(rule)
    const [only] = found
    if (only && found.length === 1) return only
    if (found.length > 1) {
      const describe = wanted.describe ?? ((item) => `${item.name} (${item.id.slice(0, 8)})`)
      const candidates = printable(found.map(describe).join(', '))
      throw fail('command.ambiguous', { word: printable(word), kind: wanted.kind, candidates })
    }
  }
  throw fail('command.no_match', { word: printable(word), kind: wanted.kind, list: wanted.list })
}

/** A guest that moves stands on two desks; the one that it leaves is meant, for it still runs there. */
export function findGuest(state: HostState, word: string): Guest {
  const settled = state.guests.filter(
    (guest) =>
      guest.state.kind !== 'arriving' ||
      !state.guests.some((other) => other.id === guest.id && other.dockId !== guest.dockId),
  )
  return findNamed(settled, word, {
    kind: 'guest',
    list: 'guests',
    describe: (item) => {
      const guest = settled.find((other) => other.id === item.id)
      const where = guest ? ` on ${dockNameOf(state, guest.dockId)}` : ''
      return `${item.name} (${item.id.slice(0, 8)}${where})`
    },
  })
}

export function findDock(state: HostState, word: string): Dock {
  return findNamed(state.docks, word, { kind: 'dock', list: 'docks' })
}

/** The pairing of a word, or the only one that is going on when there is no word. */
export function findPairing(state: HostState, word: string | undefined): Pairing {
  const open = state.pairings.filter((pairing) => pairing.state.kind !== 'ended')
  const [only] = open
  if (word === undefined && only && open.length === 1) return only
  if (word === undefined && open.length === 0) throw fail('pairing.not_found')
  const named = open.map((pairing) => ({ ...pairing, name: pairing.dockName }))
  if (word !== undefined) return findNamed(named, word, { kind: 'pairing', list: 'pairings' })
  const candidates = printable(named.map((pairing) => pairing.name).join(', '))
  throw fail('command.ambiguous', { word: 'This', kind: 'pairing', candidates })
}

/** The operation of a word: its id, or the guest that it holds. Running ones go before ended ones. */
export function findOperation(state: HostState, word: string): Operation {
  const isRunning = (operation: Operation) => ['running', 'cancelling'].includes(operation.state.kind)
  const held = state.operations.filter(isRunning)
  const named = (held.length > 0 ? held : state.operations).map((operation) => ({
    ...operation,
    name: operation.guestName,
  }))
  return findNamed(named, word, { kind: 'running operation', list: 'status' })
}

/** A checkpoint by its id, how it begins, or the name that it was given. */
export function findCheckpoint(state: HostState, word: string): Checkpoint {
  const named = state.checkpoints.map((each) => ({ ...each, name: each.label.name }))
  return findNamed(named, word, {
    kind: 'checkpoint',
    list: 'checkpoints',
    describe: (item) => (item.name === '' ? item.id : `${item.name} (${item.id.slice(0, 8)})`),
  })
}

/** A guest that has checkpoints or is to be seen, wherever it is. */
export function findKeptGuest(state: HostState, word: string): { id: string; name: string } {
  const kept = new Map(state.guests.map(({ id, name }) => [id, { id, name }]))
  for (const { guestId: id, guestName: name } of state.checkpoints)
    if (!kept.has(id)) kept.set(id, { id, name })
  return findNamed([...kept.values()], word, { kind: 'guest', list: 'checkpoints' })
}

/** What this PC keeps of guests' memory: looking at it, and being rid of it. */
import { formatMemory } from '../../../shared/format.ts'
import type { HostState } from '../../../shared/models/host-state.ts'
import type { KeptGuestMemory } from '../../../shared/models/kept-memory.ts'
import { type Call, type Command, type Outcome, usage } from '../command.ts'
import { findNamed } from '../find.ts'
import { printable, table } from '../table.ts'
import { localTime } from '../times.ts'

function nameOf({ guestName }: KeptGuestMemory): string {
  return guestName ?? '(not known)'
}

function keptTable({ keptMemory, settings }: HostState): string {
  const rows = keptMemory.guests.map((each) => [
    nameOf(each),
    formatMemory(each.bytes),
    localTime(each.usedAtMs),
    each.dockName ?? '',
    each.guestId.slice(0, 8),
  ])
  const limit = settings.keptMemoryMiB * 2 ** 20
  const inUse = formatMemory(keptMemory.totalBytes)
  return [
    table(['GUEST', 'SIZE', 'LAST USED', 'WITH', 'ID'], rows, 'Nothing is kept.'),
    limit === 0 ? 'Nothing may be kept.' : `${inUse} of at most ${formatMemory(limit)}.`,
    'Change that with: wdock settings keptMemoryMiB=16384',
  ].join('\n')
}

async function list(call: Call): Promise<Outcome> {
  const state = await (await call.host()).state.get()
  const limitBytes = state.settings.keptMemoryMiB * 2 ** 20
  return { value: { ...state.keptMemory, limitBytes }, text: keptTable(state) }
}

/** A guest of which something is kept, whether it is to be seen now or not. */
function findKept({ keptMemory }: HostState, word: string): KeptGuestMemory {
  const named = keptMemory.guests.map((each) => ({ ...each, id: each.guestId, name: each.guestName ?? '' }))
  return findNamed(named, word, { kind: 'guest with kept memory', list: 'kept' })
}

async function forget(call: Call): Promise<Outcome> {
  const { guest: word } = call.args
  const all = call.flags.all === true
  if (all === (word !== undefined)) {
    throw usage({ name: 'kept forget' }, 'either a guest or --all is needed')
  }
  const client = await call.host()
  const state = await client.state.get()
  if (word === undefined) {
    await client.keptMemory.forgetAll()
    const guestIds = state.keptMemory.guests.map(({ guestId }) => guestId)
    return { value: { guestIds }, text: 'Nothing is kept any more.' }
  }
  const found = findKept(state, word)
  const { guestId } = found
  await client.keptMemory.forget({ guestId })
  const name = printable(nameOf(found))
  const text = `Nothing is kept of ${name} any more. Its next move takes as long as a first one.`
  return { value: { guestIds: [guestId] }, text }
}

export const keptCommands: readonly Command[] = [
  { name: 'kept', args: [], says: 'list what is kept of the memory of guests, for quicker moves', run: list },
  {
    name: 'kept forget',
    args: ['guest?'],
    says: 'remove what is kept of a guest; that only makes its next move slower',
    flags: { all: { says: 'of all guests' } },
    run: forget,
  },
]

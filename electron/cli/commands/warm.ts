/** Docks that have what a move of a guest will need before it moves: looking, allowing that, and making one ready now. */

import { formatList } from '../../../shared/format.ts'
import type { Dock } from '../../../shared/models/dock.ts'
import { applyHostEvent, type HostState } from '../../../shared/models/host-state.ts'
import type { Warmth } from '../../../shared/models/warmth.ts'
import { warmWords } from '../../../shared/words.ts'
import type { HostClient } from '../../ipc/connect.ts'
import type { Call, Command, Outcome } from '../command.ts'
import { findDock, findGuest } from '../find.ts'
import { printable, table } from '../table.ts'
import { dockNameOf } from '../words.ts'

function warmTable(state: HostState): string {
  const rows = state.warmths.map((each) => [
    guestNameOf(state, each),
    dockNameOf(state, each.fromDockId),
    dockNameOf(state, each.toDockId),
    printable(warmWords(each.state)),
  ])
  const names = allowedDocks(state).map(({ name }) => printable(name))
  const allowed =
    names.length === 0
      ? 'No other PC is kept ready for guests of this one. Allow it with: wdock warm allow DOCK'
      : `Kept ready for guests of this PC: ${formatList(names, 8)}.`
  return [table(['GUEST', 'OF', 'ON', 'STATE'], rows, 'Nothing has been brought anywhere.'), allowed].join(
    '\n',
  )
}

function allowedDocks({ docks }: HostState): Dock[] {
  return docks.filter(({ keepsReady }) => keepsReady)
}

function guestNameOf({ guests }: HostState, { guestId }: Warmth): string {
  return guests.find(({ id }) => id === guestId)?.name ?? guestId.slice(0, 8)
}

async function list(call: Call): Promise<Outcome> {
  const state = await (await call.host()).state.get()
  const allowedDockIds = allowedDocks(state).map(({ id }) => id)
  return { value: { allowedDockIds, warmths: state.warmths }, text: warmTable(state) }
}

async function allow(call: Call, allowed: boolean): Promise<Outcome> {
  const client = await call.host()
  const dock = findDock(await client.state.get(), call.args.dock ?? '')
  await client.warm.allow({ dockId: dock.id, allowed })
  const name = printable(dock.name)
  const text = allowed
    ? `Guests of this PC are kept ready on ${name} from now on, while nobody else needs the connection.`
    : `Guests of this PC are not kept ready on ${name} any more. What is there is removed when the two meet.`
  return { value: { dockId: dock.id, allowed }, text }
}

async function now(call: Call): Promise<Outcome> {
  const client = await call.host()
  const state = await client.state.get()
  const guest = findGuest(state, call.args.guest ?? '')
  const dock = findDock(state, call.args.dock ?? '')
  const over = new AbortController()
  const watching = showProgress(call, client, { guestId: guest.id, dockId: dock.id }, over.signal)
  try {
    await client.warm.now({ guestId: guest.id, dockId: dock.id })
  } finally {
    over.abort()
    await watching
  }
  const { warmths } = await client.state.get()
  const warmth = warmths.find((each) => each.guestId === guest.id && each.toDockId === dock.id) ?? null
  const words = warmth === null ? 'ready' : warmWords(warmth.state)
  return { value: { warmth }, text: `${printable(guest.name)} on ${printable(dock.name)}: ${words}.` }
}

/** A line on a terminal for as long as it takes; that it cannot be watched does not end it. */
async function showProgress(
  { io }: Call,
  client: HostClient,
  of: { guestId: string; dockId: string },
  signal: AbortSignal,
): Promise<void> {
  if (!io.isTerminal) return
  let state: HostState | null = null
  try {
    for await (const event of await client.state.watch(undefined, { signal })) {
      state = applyHostEvent(state, event)
      const isIt = ({ guestId, toDockId }: Warmth): boolean =>
        guestId === of.guestId && toDockId === of.dockId
      const found = state?.warmths.find(isIt)
      if (found && !signal.aborted) io.note(`\r\x1b[K${warmWords(found.state)}`)
    }
  } catch {
    // It goes on all the same.
  } finally {
    io.note('\r\x1b[K')
  }
}

export const warmCommands: readonly Command[] = [
  {
    name: 'warm',
    args: [],
    says: 'list how ready other PCs are for guests, before they move there',
    run: list,
  },
  {
    name: 'warm allow',
    args: ['dock'],
    says: 'keep guests of this PC ready on another one: what a move needs goes there while they run',
    run: (call) => allow(call, true),
  },
  {
    name: 'warm forbid',
    args: ['dock'],
    says: 'keep nothing ready there any more, and remove what is there',
    run: (call) => allow(call, false),
  },
  { name: 'warm now', args: ['guest', 'dock'], says: 'make a PC ready for a guest now', run: now },
]

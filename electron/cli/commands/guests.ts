/** What a person can do with guests, on the command line. */
import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { fail } from '../../../shared/errors/index.ts'
import { formatBytes, formatDuration, formatMemory } from '../../../shared/format.ts'
import type { Guest } from '../../../shared/models/guest.ts'
import type { HostState } from '../../../shared/models/host-state.ts'
import { guestStateWord } from '../../../shared/words.ts'
import type { HostClient } from '../../ipc/connect.ts'
import { type Call, type Command, type Outcome, usage } from '../command.ts'
import { confirm, yesFlag } from '../confirm.ts'
import { findGuest } from '../find.ts'
import { printable, table } from '../table.ts'
import { dockNameOf, guestStateWords } from '../words.ts'

/** Guests here and on paired docks, as a table. */
export function guestTable(state: HostState, nowMs: number): string {
  const rows = state.guests.map((guest) => [
    guest.name,
    guestStateWords(guest.state, state),
    dockNameOf(state, guest.dockId),
    String(guest.cores),
    formatMemory(guest.memoryBytes),
    formatBytes(guest.diskBytes),
    guest.bootedAtMs === null ? '' : formatDuration(nowMs - guest.bootedAtMs),
    guest.id.slice(0, 8),
  ])
  const none = 'No guests yet. Make one: wdock guest create NAME --demo'
  return table(['NAME', 'STATE', 'ON', 'CORES', 'MEMORY', 'DISK', 'UP', 'ID'], rows, none)
}

async function list(call: Call): Promise<Outcome> {
  const state = await (await call.host()).state.get()
  return { value: { guests: state.guests }, text: guestTable(state, Date.now()) }
}

type GuestCall = (client: HostClient, guestId: string) => Promise<Guest>

/** A command that does one thing to one guest and tells its state afterwards. */
function act(name: string, says: string, does: GuestCall): Command {
  return {
    name: `guest ${name}`,
    args: ['guest'],
    says,
    run: async (call) => {
      const client = await call.host()
      const { id } = findGuest(await client.state.get(), call.args.guest ?? '')
      const guest = await does(client, id)
      const state = await client.state.get()
      return {
        value: { guest },
        text: `${printable(guest.name)} is ${guestStateWords(guest.state, state)}.`,
      }
    },
  }
}

async function rename(call: Call): Promise<Outcome> {
  const client = await call.host()
  const { id } = findGuest(await client.state.get(), call.args.guest ?? '')
  const guest = await client.guests.rename({ guestId: id, name: call.args.name ?? '' })
  return { value: { guest }, text: `It is called ${printable(guest.name)} now.` }
}

async function remove(call: Call): Promise<Outcome> {
  const client = await call.host()
  const guest = findGuest(await client.state.get(), call.args.guest ?? '')
  const name = printable(guest.name)
  await confirm(call, `Delete ${name}? Its disk goes to the trash.`, `Deleting ${name}`)
  const { trashedTo } = await client.guests.remove({ guestId: guest.id })
  const where = trashedTo === null ? 'It had no disk.' : `Its disk is in ${printable(trashedTo)}.`
  const back = `Bring it back with: wdock guest undo-delete ${guest.id}`
  return { value: { guestId: guest.id, trashedTo }, text: `${name} is deleted. ${where}\n${back}` }
}

async function undoRemove(call: Call): Promise<Outcome> {
  const guest = await (await call.host()).guests.undoRemove({ guestId: call.args.id ?? '' })
  return { value: { guest }, text: `${printable(guest.name)} is back.` }
}

async function log(call: Call): Promise<Outcome> {
  const client = await call.host()
  const { id } = findGuest(await client.state.get(), call.args.guest ?? '')
  const { text } = await client.guests.log({ guestId: id })
  return { value: { text }, text: printable(text, { keepLines: true }).trimEnd() }
}

async function picture(call: Call): Promise<Outcome> {
  const client = await call.host()
  const guest = findGuest(await client.state.get(), call.args.guest ?? '')
  const { output } = call.flags
  if (typeof output !== 'string' && !call.json) throw usage({ name: 'guest picture' }, '--output is missing')
  const found = await client.guests.picture({ guestId: guest.id, dockId: guest.dockId, sinceRevision: null })
  if (!found) throw fail('guest.no_screen', { name: guest.name, state: guestStateWord(guest.state) })
  if (typeof output !== 'string') return { value: found, text: '' }
  const path = resolve(output)
  await writeFile(path, Buffer.from(found.pngBase64, 'base64'))
  return { value: { revision: found.revision, path }, text: `Saved to ${path}` }
}

async function screen(call: Call): Promise<Outcome> {
  const connection = await call.io.connect()
  try {
    const guest = findGuest(await connection.client.state.get(), call.args.guest ?? '')
    if (call.json || call.flags.url === true) {
      const { url } = await connection.client.guests.openScreen({ guestId: guest.id, dockId: guest.dockId })
      return { value: { url }, text: url }
    }
    const { url, token } = connection.host
    await call.io.openWindow({ url, token, view: `guest/${guest.dockId}/${guest.id}` })
    return { value: {}, text: `The screen of ${printable(guest.name)} is open.` }
  } finally {
    await connection.close()
  }
}

export const guestCommands: readonly Command[] = [
  { name: 'guests', args: [], says: 'list the guests here and on paired docks', run: list },
  { name: 'guest list', args: [], says: 'the same as guests', run: list },
  act('start', 'start a guest', (client, guestId) => client.guests.start({ guestId })),
  act('pause', 'hold a guest as it is', (client, guestId) => client.guests.pause({ guestId })),
  act('resume', 'let a paused guest go on', (client, guestId) => client.guests.resume({ guestId })),
  act('shutdown', "press a guest's power button; the guest decides", (client, guestId) =>
    client.guests.shutDown({ guestId }),
  ),
  act('force-off', 'pull the plug of a guest', (client, guestId) => client.guests.forceOff({ guestId })),
  { name: 'guest rename', args: ['guest', 'name'], says: 'give a guest another name', run: rename },
  {
    name: 'guest delete',
    args: ['guest'],
    says: 'delete a stopped guest; its disk goes to the trash',
    flags: yesFlag,
    run: remove,
  },
  { name: 'guest undo-delete', args: ['id'], says: 'bring a guest back from the trash', run: undoRemove },
  { name: 'guest log', args: ['guest'], says: "show the newest lines of a guest's QEMU log", run: log },
  {
    name: 'guest picture',
    args: ['guest'],
    says: "save a picture of a guest's screen",
    flags: { output: { value: 'file.png', says: 'where to save it' } },
    run: picture,
  },
  {
    name: 'guest screen',
    args: ['guest'],
    says: "open a window on a guest's screen",
    flags: { url: { says: 'print a WebSocket address for a VNC client instead; good once, for 30 s' } },
    run: screen,
  },
]

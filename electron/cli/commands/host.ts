/** The host itself: start, look, settings, events, quit. */
import { formatMemory } from '../../../shared/format.ts'
import type { HostSettings, HostState } from '../../../shared/models/host-state.ts'
import { type Call, type Command, type Outcome, usage } from '../command.ts'
import { parseCount } from '../sizes.ts'
import { facts, printable } from '../table.ts'
import { progressWords } from '../words.ts'
import { dockTable } from './docks.ts'
import { guestTable } from './guests.ts'

async function agent(call: Call): Promise<Outcome> {
  const exitCode = await call.io.runAgent({ openWindow: call.flags.open === true, json: call.json })
  return { value: null, text: '', exitCode }
}

async function open(call: Call): Promise<Outcome> {
  const connection = await call.io.connect()
  try {
    const { url, token } = connection.host
    await call.io.openWindow({ url, token, view: '' })
    return { value: { url }, text: 'The window is open.' }
  } finally {
    await connection.close()
  }
}

function aboutHost(state: HostState): string {
  const { info, settings, docks } = state
  const capabilities = docks.find((dock) => dock.id === info.dockId)?.capabilities
  const qemu = capabilities?.qemuVersion ?? capabilities?.qemuProblem ?? 'looking …'
  return facts([
    ['This PC', settings.dockName],
    ['Version', info.appVersion],
    ['Listens on', listensOn(info)],
    ['QEMU', qemu],
    ['Speed', capabilities?.accelerator.sentence ?? 'looking …'],
    ['Memory', capabilities ? `${formatMemory(capabilities.memoryFreeBytes)} free` : 'looking …'],
    ['Data', info.dataDir],
    ['Key', info.secretsSentence],
    ['Identity', info.dockId],
  ])
}

function listensOn({ addresses, port }: HostState['info']): string {
  const full = addresses.map((address) =>
    address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`,
  )
  return full.length > 0 ? full.join(', ') : `port ${port}`
}

async function status(call: Call): Promise<Outcome> {
  const state = await (await call.host()).state.get()
  const nowMs = Date.now()
  const parts = [aboutHost(state), guestTable(state, nowMs), dockTable(state, nowMs)]
  const going = state.operations.map(
    (one) => `${printable(one.guestName)}: ${progressWords(one)} (${one.id.slice(0, 8)})`,
  )
  if (going.length > 0) parts.push(going.join('\n'))
  return { value: state, text: parts.join('\n\n') }
}

type Change = Partial<HostSettings>

/** How each setting is read from text. The order is the order of the listing. */
const readers: { [Name in keyof HostSettings]: (text: string) => HostSettings[Name] } = {
  dockName: (text) => text,
  port: (text) => parseCount(text, 'port', 'settings'),
  discovery: (text) => {
    if (/^(yes|on|true)$/i.test(text)) return true
    if (/^(no|off|false)$/i.test(text)) return false
    throw usage({ name: 'settings' }, 'discovery must be yes or no')
  },
  theme: (text) => {
    if (text === 'system' || text === 'light' || text === 'dark') return text
    throw usage({ name: 'settings' }, 'theme must be system, light or dark')
  },
  keptMemoryMiB: (text) => parseCount(text, 'keptMemoryMiB', 'settings'),
  whenClosed: (text) => {
    if (text === 'stay' || text === 'quit') return text
    throw usage({ name: 'settings' }, 'whenClosed must be stay or quit')
  },
}

function isSetting(name: string): name is keyof HostSettings {
  return Object.hasOwn(readers, name)
}

function changeOf(pairs: readonly string[]): Change {
  const change: Change = {}
  for (const pair of pairs) {
    const [, name, value] = /^(\w+)=(.*)$/s.exec(pair) ?? []
    if (name === undefined || value === undefined || !isSetting(name)) {
      const names = Object.keys(readers).join(', ')
      throw usage({ name: 'settings' }, `"${pair}" is not NAME=VALUE with one of ${names}`)
    }
    Object.assign(change, { [name]: readers[name](value) })
  }
  return change
}

async function settings(call: Call): Promise<Outcome> {
  const change = changeOf(call.rest)
  const client = await call.host()
  const isChange = call.rest.length > 0
  const now = isChange ? await client.settings.change(change) : (await client.state.get()).settings
  const pairs = Object.entries(now).map(([name, value]) => [name, String(value)] as const)
  return { value: { settings: now }, text: facts(pairs) }
}

async function watch(call: Call): Promise<Outcome> {
  const client = await call.host()
  const stop = new AbortController()
  const forget = call.io.onInterrupt(() => stop.abort())
  try {
    // A stream that ends has fallen behind: the next begins with a snapshot again.
    while (!stop.signal.aborted) {
      for await (const event of await client.state.watch(undefined, { signal: stop.signal })) {
        call.io.print(JSON.stringify(event))
      }
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error
  } finally {
    forget()
  }
  return { value: null, text: '' }
}

async function quit(call: Call): Promise<Outcome> {
  await (await call.host()).host.quit()
  return {
    value: {},
    text: 'Wireless Dock+ ends. Running guests go on and are found again at its next start.',
  }
}

export const hostCommands: readonly Command[] = [
  {
    name: 'agent',
    args: [],
    says: 'run Wireless Dock+ without a window, until Ctrl-C',
    flags: { open: { says: 'open a window on it as well' } },
    run: agent,
  },
  { name: 'open', args: [], says: 'open a window of the Wireless Dock+ that runs', run: open },
  { name: 'status', args: [], says: 'show this PC, guests, docks and what is going on', run: status },
  {
    name: 'settings',
    args: ['name=value…'],
    says: 'show the settings, or change some',
    run: settings,
  },
  { name: 'watch', args: [], says: 'print every event as a line of JSON, until Ctrl-C', run: watch },
  { name: 'quit', args: [], says: 'end Wireless Dock+; running guests go on', run: quit },
]

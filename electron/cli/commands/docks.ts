/** Docks nearby and far, and the ceremony by which two of them come to trust each other. */
import { fail } from '../../../shared/errors/index.ts'
import type { Pairing } from '../../../shared/models/dock.ts'
import { applyHostEvent, type HostState } from '../../../shared/models/host-state.ts'
import type { HostClient } from '../../ipc/connect.ts'
import type { Call, Command, Outcome } from '../command.ts'
import { confirm, yesFlag } from '../confirm.ts'
import { findDock, findPairing } from '../find.ts'
import { printable, table } from '../table.ts'
import { groupedCode, pairingWords, presenceWords } from '../words.ts'

export function dockTable(state: HostState, nowMs: number): string {
  const rows = state.docks.map((dock) => [
    dock.name,
    presenceWords(dock, nowMs),
    dock.presence.kind === 'here' ? '' : dock.paired ? 'yes' : 'no',
    dock.address ?? '',
    dock.linkRttMs === null ? '' : `${dock.linkRttMs.toFixed(1)} ms`,
    dock.capabilities?.qemuVersion?.split(' ')[0] ?? '',
    dock.id.slice(0, 8),
  ])
  return table(['NAME', 'STATE', 'PAIRED', 'ADDRESS', 'LINK', 'QEMU', 'ID'], rows, 'No docks.')
}

async function list(call: Call): Promise<Outcome> {
  const state = await (await call.host()).state.get()
  return { value: { docks: state.docks }, text: dockTable(state, Date.now()) }
}

async function add(call: Call): Promise<Outcome> {
  const dock = await (await call.host()).docks.connect({ address: call.args.address ?? '' })
  const name = printable(dock.name)
  const next = dock.paired ? 'It is paired with this PC.' : `Pair it with: wdock pair ${dock.id.slice(0, 8)}`
  return { value: { dock }, text: `${name} answers there. ${next}` }
}

/** Waits until a pairing is in a state that `wanted` accepts. A pairing that vanished has ended. */
async function waitForPairing(
  client: HostClient,
  id: string,
  wanted: (pairing: Pairing) => boolean,
): Promise<Pairing> {
  let state: HostState | null = null
  let last: Pairing | null = null
  for (;;) {
    for await (const event of await client.state.watch()) {
      state = applyHostEvent(state, event)
      const found: Pairing | null = state?.pairings.find((pairing) => pairing.id === id) ?? null
      if (found === null && last !== null) throw fail('pairing.not_found')
      if (found !== null && (wanted(found) || found.state.kind === 'ended')) return found
      last = found ?? last
    }
  }
}

async function pair(call: Call): Promise<Outcome> {
  const client = await call.host()
  const dock = findDock(await client.state.get(), call.args.dock ?? '')
  const started = await client.docks.startPairing({ dockId: dock.id })
  const refuse = async (): Promise<void> => {
    await client.docks.refusePairing({ pairingId: started.id }).catch(() => {})
  }
  const forget = call.io.onInterrupt(() => void refuse())
  try {
    const asked = await waitForPairing(client, started.id, (one) => one.state.kind === 'comparing')
    return await confirmCode(call, client, asked)
  } catch (error) {
    await refuse()
    throw error
  } finally {
    forget()
  }
}

async function confirmCode(call: Call, client: HostClient, pairing: Pairing): Promise<Outcome> {
  const name = printable(pairing.dockName)
  if (pairing.state.kind === 'comparing') {
    call.io.note(`${name} shows a code. Here it is ${groupedCode(pairing.state.code)}\n`)
    await confirm(call, 'Are the two the same?', 'Pairing')
    await client.docks.confirmPairing({ pairingId: pairing.id })
    call.io.note(`Waiting for the answer on ${name} …\n`)
  }
  const ended = await waitForPairing(client, pairing.id, () => false)
  if (ended.state.kind !== 'ended') throw fail('pairing.not_found')
  if (ended.state.outcome === 'refused') throw fail('pairing.refused')
  if (ended.state.outcome === 'timed-out') throw fail('pairing.timed_out')
  if (ended.state.outcome === 'failed') throw fail('dock.unreachable', { dock: pairing.dockName })
  return { value: { pairing: ended }, text: `This PC and ${name} are paired.` }
}

async function pairings(call: Call): Promise<Outcome> {
  const state = await (await call.host()).state.get()
  const open = state.pairings.filter((one) => one.state.kind !== 'ended')
  const rows = open.map((one) => [
    one.dockName,
    one.role === 'initiator' ? 'asked from here' : 'asked from there',
    pairingWords(one.state),
    one.id.slice(0, 8),
  ])
  return {
    value: { pairings: open },
    text: table(['DOCK', 'BY', 'STATE', 'ID'], rows, 'No pairing is going on.'),
  }
}

async function answer(call: Call, name: 'confirmPairing' | 'refusePairing'): Promise<Outcome> {
  const client = await call.host()
  const found = findPairing(await client.state.get(), call.args.pairing)
  const pairing = await client.docks[name]({ pairingId: found.id })
  return { value: { pairing }, text: `${printable(pairing.dockName)}: ${pairingWords(pairing.state)}.` }
}

async function unpair(call: Call): Promise<Outcome> {
  const client = await call.host()
  const dock = findDock(await client.state.get(), call.args.dock ?? '')
  const name = printable(dock.name)
  await confirm(call, `Stop trusting ${name}?`, `Unpairing ${name}`)
  await client.docks.unpair({ dockId: dock.id })
  return { value: { dockId: dock.id }, text: `${name} is no longer trusted.` }
}

export const dockCommands: readonly Command[] = [
  { name: 'docks', args: [], says: 'list this PC, docks nearby and paired docks', run: list },
  { name: 'dock add', args: ['address'], says: 'look for a dock at HOST or HOST:PORT', run: add },
  {
    name: 'pair',
    args: ['dock'],
    says: 'pair with a dock: compare the codes on both screens',
    flags: yesFlag,
    run: pair,
  },
  { name: 'pairings', args: [], says: 'list pairings that wait for an answer', run: pairings },
  {
    name: 'confirm',
    args: ['pairing?'],
    says: 'say that the codes are the same',
    run: (call) => answer(call, 'confirmPairing'),
  },
  {
    name: 'refuse',
    args: ['pairing?'],
    says: 'refuse a pairing',
    run: (call) => answer(call, 'refusePairing'),
  },
  { name: 'unpair', args: ['dock'], says: 'stop trusting a dock, at once', flags: yesFlag, run: unpair },
]

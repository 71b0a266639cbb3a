/** Lending a checkpoint by a link, taking it back, and receiving what others lend. */
import { formatBytes, formatMemory } from '../../../shared/format.ts'
import type { LentLink, ReceivedLink } from '../../../shared/models/checkpoint.ts'
import type { HostState } from '../../../shared/models/host-state.ts'
import { type Call, type Command, type Outcome, usage } from '../command.ts'
import { confirm, yesFlag } from '../confirm.ts'
import { findCheckpoint, findNamed } from '../find.ts'
import { follow } from '../follow.ts'
import { fileOrAnswer, text } from '../place-flags.ts'
import { facts, printable, table } from '../table.ts'
import { localTime, parseInstant, parseSpan } from '../times.ts'
import { missingWords } from '../vault-list-words.ts'

const self = { name: 'lend' }

function spanOf(call: Call, nowMs: number): { startMs: number | null; endMs: number | null } {
  const from = text(call, 'from')
  const until = text(call, 'until')
  const length = text(call, 'for')
  if (until !== null && length !== null) throw usage(self, '--until and --for exclude each other')
  const startMs = from === null ? null : parseInstant(from, '--from', self.name)
  const beginMs = startMs ?? nowMs
  if (length === 'ever') return { startMs, endMs: null }
  const endMs =
    until === null
      ? beginMs + parseSpan(length ?? '1d', '--for', self.name)
      : parseInstant(until, '--until', self.name)
  if (endMs <= Math.max(nowMs, beginMs)) throw usage(self, 'it would have ended before it begins')
  return { startMs, endMs }
}

function untilWords(endMs: number | null): string {
  return endMs === null ? 'for ever' : `until ${localTime(endMs)}`
}

async function lend(call: Call): Promise<Outcome> {
  const span = spanOf(call, Date.now())
  const client = await call.host()
  const { id: checkpointId } = findCheckpoint(await client.state.get(), call.args.checkpoint ?? '')
  const lent = await client.lending.lend({ checkpointId, ...span })
  if (!call.json) {
    const begin = span.startMs === null ? '' : ` from ${localTime(span.startMs)}`
    call.io.note(`Whoever has this link can restore the checkpoint${begin}, ${untilWords(span.endMs)}:\n`)
  }
  return { value: lent, text: lent.link }
}

function stateWords({ state }: LentLink): string {
  switch (state.kind) {
    case 'preparing':
      return `being prepared, ${formatBytes(state.doneBytes)} of ${formatBytes(state.totalBytes)}`
    case 'ready':
      return 'ready'
    case 'failed':
      return `failed: ${state.error.message}`
  }
}

async function links(call: Call): Promise<Outcome> {
  const { lentLinks, vault } = await (await call.host()).state.get()
  const missing = missingWords(vault, 'lentList')
  if (missing !== null && !call.json)
    call.io.note(`Some links may be missing here; they work all the same. ${missing}\n`)
  const rows = lentLinks.map((each) => [
    each.shareId.slice(0, 8),
    each.guestName,
    localTime(each.atMs),
    each.startMs === null ? 'at once' : localTime(each.startMs),
    each.endMs === null ? 'for ever' : localTime(each.endMs),
    stateWords(each),
    each.link,
  ])
  const heading = ['ID', 'GUEST', 'OF', 'FROM', 'UNTIL', 'STATE', 'LINK']
  return {
    value: { lentLinks },
    text: table(heading, rows, missing === null ? 'Nothing is lent from this PC.' : ''),
  }
}

function findLent(state: HostState, word: string): LentLink {
  const named = state.lentLinks.map((each) => ({ ...each, id: each.shareId, name: each.guestName }))
  return findNamed(named, word, {
    kind: 'link',
    list: 'links',
    describe: (item) => `${item.id.slice(0, 8)} (${item.name})`,
  })
}

async function revoke(call: Call): Promise<Outcome> {
  const client = await call.host()
  const { shareId, guestName, atMs } = findLent(await client.state.get(), call.args.link ?? '')
  const what = `the link to ${printable(guestName)} of ${localTime(atMs)}`
  await confirm(call, `Take back ${what}? It stops working at once.`, `Taking back ${what}`)
  await client.lending.revoke({ shareId })
  return { value: { shareId }, text: 'The link does not work any more.' }
}

function receivedFacts({ checkpoint, endMs }: ReceivedLink): string {
  const { guestName, atMs, byDockName, cores, memoryBytes, diskBytes, wholeBytes } = checkpoint
  return facts([
    ['Guest', guestName],
    ['As it was', `${localTime(atMs)}, on ${byDockName}`],
    ['Needs', `${cores} cores, ${formatMemory(memoryBytes)}, a disk of ${formatBytes(diskBytes)}`],
    ['To be fetched', `up to ${formatBytes(wholeBytes)}`],
    ['Lent', untilWords(endMs)],
  ])
}

async function receive(call: Call): Promise<Outcome> {
  const link = call.args.link ?? (await fileOrAnswer(call, 'link-file', 'Link'))
  const client = await call.host()
  const found = await client.lending.look({ link })
  if (call.flags.look === true) return { value: found, text: receivedFacts(found) }
  if (!call.json) call.io.note(`${receivedFacts(found)}\n`)
  const name = printable(found.checkpoint.guestName)
  await confirm(call, `Restore it as a guest of this PC?`, `Restoring ${name}`)
  const begun = await client.lending.receive({ link })
  if (call.flags['no-wait'] === true) {
    return { value: begun, text: `${name} is being restored (${begun.operationId}).` }
  }
  await follow(client, begun.operationId, call.io)
  const guest = (await client.state.get()).guests.find((one) => one.id === begun.guestId)
  return { value: begun, text: `${printable(guest?.name ?? name)} is on this PC now.` }
}

export const lendingCommands: readonly Command[] = [
  {
    name: 'lend',
    args: ['checkpoint'],
    says: 'make a link by which others can restore a checkpoint',
    flags: {
      for: { value: 'span', says: 'for how long, as 2h, 1d or ever; a day unless told' },
      until: { value: 'time', says: 'until when, as "2026-12-24 18:00"' },
      from: { value: 'time', says: 'from when; at once unless told' },
    },
    run: lend,
  },
  { name: 'links', args: [], says: 'list the links to what is lent', run: links },
  {
    name: 'revoke',
    args: ['link'],
    says: 'take back a link, by its id or the name of the guest',
    flags: yesFlag,
    run: revoke,
  },
  {
    name: 'receive',
    args: ['link?'],
    says: 'restore what a link leads to, as a guest of this PC',
    flags: {
      look: { says: 'only show what it leads to' },
      'link-file': { value: 'file', says: 'holds the link; asked for unless told' },
      'no-wait': { says: 'return at once; follow it with wdock status' },
      ...yesFlag,
    },
    run: receive,
  },
]

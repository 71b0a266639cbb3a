/** The vault: choosing a place for checkpoints, its recovery phrase, looking after it. */
import { formatBytes } from '../../../shared/format.ts'
import type { VaultState } from '../../../shared/models/checkpoint.ts'
import type { HostClient } from '../../ipc/connect.ts'
import { type Call, type Command, exitCodes, type FlagSpec, type Outcome } from '../command.ts'
import { confirm, yesFlag } from '../confirm.ts'
import { followVaultWork } from '../follow.ts'
import { fileOrAnswer, placeFlags, placeOf } from '../place-flags.ts'
import { facts, printable } from '../table.ts'
import { errorWords } from '../words.ts'

/** Four columns of six numbered words, to be written down. */
export function phraseTable(phrase: string): string {
  const words = phrase.split(' ')
  const rows = Math.ceil(words.length / 4)
  return Array.from({ length: rows }, (_, row) =>
    [0, 1, 2, 3]
      .map((column) => column * rows + row)
      .flatMap((index) => (index < words.length ? [`${String(index + 1).padStart(2)} ${words[index]}`] : []))
      .map((cell) => cell.padEnd(14))
      .join('')
      .trimEnd(),
  ).join('\n')
}

export function vaultFacts(vault: VaultState): string {
  switch (vault.kind) {
    case 'none':
      return 'No place for checkpoints has been chosen. Make a vault: wdock vault create --folder PATH'
    case 'opening':
      return `Opening ${printable(vault.placeSentence)} …`
    case 'failed':
      return facts([
        ['Checkpoints in', vault.placeSentence],
        ['Trouble', `${vault.error.message} ${vault.error.fix}`],
      ])
    case 'ready':
      return facts([
        ['Checkpoints in', vault.placeSentence],
        ['Key', vault.keySentence],
        ['Recovery phrase', vault.phraseSeen ? 'written down' : 'not written down yet: wdock vault phrase'],
        ['Links', vault.canLend ? 'can be made' : 'cannot be made from here'],
        ...(vault.trouble === null
          ? []
          : ([['Trouble', `${vault.trouble.error.message} ${vault.trouble.error.fix}`]] as const)),
      ])
  }
}

async function show(call: Call): Promise<Outcome> {
  const { vault } = await (await call.host()).state.get()
  return { value: { vault }, text: vaultFacts(vault) }
}

const phraseWords = [
  'This is the recovery phrase. Write it down and keep it away from this PC: it opens the vault when this PC is',
  'lost, and nothing else does.',
].join('\n')

/** Asks whether the phrase is written down, where somebody can be asked. */
async function askSeen(call: Call, client: HostClient, phrase: string): Promise<void> {
  if (call.json) return
  call.io.note(`${phraseWords}\n\n${phraseTable(phrase)}\n\n`)
  const answer = await call.io.ask('Have you written it down? [y/N] ')
  if (/^y(es)?$/i.test(answer?.trim() ?? '')) await client.vault.phraseSeen()
}

async function create(call: Call): Promise<Outcome> {
  const place = await placeOf(call, { name: 'vault create' })
  const client = await call.host()
  const { phrase } = await client.vault.create(place)
  await askSeen(call, client, phrase)
  return { value: { phrase }, text: 'The vault is made. Checkpoints can be made now.' }
}

async function open(call: Call): Promise<Outcome> {
  const place = await placeOf(call, { name: 'vault open' })
  const phrase = await fileOrAnswer(call, 'phrase-file', 'Recovery phrase')
  await (await call.host()).vault.open({ place, phrase })
  return { value: {}, text: 'The vault is open. See what is in it: wdock checkpoints' }
}

const found = {
  empty: 'There is nothing there. A vault can be made: wdock vault create',
  vault: 'There is a vault there. Open it with its recovery phrase: wdock vault open',
  'no-folder': 'The folder is not there yet. It is made with a vault in it by: wdock vault create',
  'other-files': 'There are other files there, and no vault.',
}

async function look(call: Call): Promise<Outcome> {
  const place = await placeOf(call, { name: 'vault look' })
  const { kind } = await (await call.host()).vault.look(place)
  return { value: { kind }, text: found[kind] }
}

async function phrase(call: Call): Promise<Outcome> {
  const client = await call.host()
  if (call.flags.seen === true) {
    await client.vault.phraseSeen()
    return { value: {}, text: 'It will not be asked for again.' }
  }
  const shown = await client.vault.phrase()
  const { vault } = await client.state.get()
  if (vault.kind === 'ready' && !vault.phraseSeen) {
    await askSeen(call, client, shown.phrase)
    return { value: shown, text: call.json ? '' : 'Keep it safe.' }
  }
  return { value: shown, text: phraseTable(shown.phrase) }
}

async function forget(call: Call): Promise<Outcome> {
  const client = await call.host()
  const { checkpoints } = await client.state.get()
  const waiting = checkpoints.filter(({ place }) => place.kind === 'on-its-way').length
  const lost =
    waiting === 0
      ? ''
      : ` ${waiting} on the way there, which only this PC has, ${waiting === 1 ? 'is' : 'are'} lost.`
  const question = `This PC forgets the place of its checkpoints and their key. Nothing in the vault is touched, and the recovery phrase opens it again.${lost} Forget it?`
  await confirm(call, question, 'Forgetting the vault')
  await client.vault.forget()
  return { value: {}, text: 'The vault is forgotten here. Open it again with: wdock vault open' }
}

async function stats(call: Call): Promise<Outcome> {
  const told = await (await call.host()).vault.stats()
  const text = facts([
    ['Checkpoints', String(told.checkpoints)],
    ['Stored', `${formatBytes(told.storedBytes)} in ${told.packs} data files`],
    ['Without sharing', `${formatBytes(told.logicalBytes)} of guest state`],
    ['Unused', `${formatBytes(told.unusedBytes)}, freed by: wdock vault gc`],
  ])
  return { value: told, text }
}

async function check(call: Call): Promise<Outcome> {
  const client = await call.host()
  const readData = call.flags['read-data'] === true
  if (!call.json)
    call.io.note(readData ? 'Reading everything …\n' : 'Looking whether everything is there …\n')
  const result = await followVaultWork(client, 'check', call.io, (signal) =>
    client.vault.check({ readData }, { signal }),
  )
  const { damaged, checkpoints, readBytes } = result
  const known = new Map((await client.state.get()).checkpoints.map((each) => [each.id, each]))
  const lines = damaged.map(({ checkpointId, error }) => {
    const name = printable(known.get(checkpointId)?.guestName ?? 'unknown')
    return `- ${checkpointId.slice(0, 8)} of ${name}: ${errorWords(error)}`
  })
  const read = readData ? `, ${formatBytes(readBytes)} read` : ''
  const head =
    damaged.length === 0
      ? `${checkpoints} checkpoint${checkpoints === 1 ? '' : 's'}, all whole${read}.`
      : `Damaged: ${damaged.length} of ${checkpoints} checkpoints${read}:`
  return {
    value: result,
    text: [head, ...lines].join('\n'),
    exitCode: damaged.length === 0 ? exitCodes.done : exitCodes.failed,
  }
}

async function sweep(call: Call): Promise<Outcome> {
  const client = await call.host()
  const freed = await followVaultWork(client, 'sweep', call.io, (signal) =>
    client.vault.sweep(undefined, { signal }),
  )
  return { value: freed, text: `${formatBytes(freed.freedBytes)} freed.` }
}

const openFlags: Readonly<Record<string, FlagSpec>> = {
  ...placeFlags,
  'phrase-file': { value: 'file', says: 'holds the recovery phrase; asked for unless told' },
}

export const vaultCommands: readonly Command[] = [
  { name: 'vault', args: [], says: 'show where checkpoints are kept', run: show },
  {
    name: 'vault create',
    args: [],
    says: 'make a vault for checkpoints in an empty place',
    flags: placeFlags,
    run: create,
  },
  { name: 'vault open', args: [], says: 'open a vault by its recovery phrase', flags: openFlags, run: open },
  {
    name: 'vault look',
    args: [],
    says: 'tell whether there is a vault at a place',
    flags: placeFlags,
    run: look,
  },
  {
    name: 'vault phrase',
    args: [],
    says: 'show the recovery phrase again',
    flags: { seen: { says: 'say that it is written down, without showing it' } },
    run: phrase,
  },
  {
    name: 'vault forget',
    args: [],
    says: 'make this PC forget the place and the key; nothing there is touched',
    flags: yesFlag,
    run: forget,
  },
  { name: 'vault stats', args: [], says: 'tell what the vault takes and what could be freed', run: stats },
  {
    name: 'vault check',
    args: [],
    says: 'look whether every checkpoint is whole',
    flags: { 'read-data': { says: 'read every byte back, not only see that everything is there' } },
    run: check,
  },
  { name: 'vault gc', args: [], says: 'free the space that no checkpoint uses', run: sweep },
]

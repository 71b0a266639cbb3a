/** Checkpoints: make one, list them, bring one back, name, pin and delete them, and when they are made by themselves. */
import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { fail } from '../../../shared/errors/index.ts'
import { formatBytes, formatDuration } from '../../../shared/format.ts'
import {
  type Checkpoint,
  type CheckpointLabel,
  type CheckpointRules,
  defaultCheckpointRules,
} from '../../../shared/models/checkpoint.ts'
import { applyHostEvent, type HostState } from '../../../shared/models/host-state.ts'
import { checkpointPlaceWord, checkpointReasonWord, checkpointSizeWords } from '../../../shared/words.ts'
import type { HostClient } from '../../ipc/connect.ts'
import { type Call, type Command, type FlagSpec, type Outcome, usage } from '../command.ts'
import { confirm, yesFlag } from '../confirm.ts'
import { findCheckpoint, findGuest, findKeptGuest } from '../find.ts'
import { follow } from '../follow.ts'
import { text } from '../place-flags.ts'
import { parseCount } from '../sizes.ts'
import { facts, printable, table } from '../table.ts'
import { localTime, parseSpan } from '../times.ts'
import { missingWords } from '../vault-list-words.ts'

export function checkpointTable(checkpoints: readonly Checkpoint[]): string {
  const rows = checkpoints.map((each) => [
    each.id.slice(0, 8),
    each.guestName,
    localTime(each.atMs),
    `${each.label.pinned ? 'pinned ' : ''}${each.label.name}`.trim(),
    checkpointReasonWord(each.reason),
    formatBytes(each.wholeBytes),
    formatBytes(each.addedBytes),
    each.freezeMs === null ? '' : formatDuration(each.freezeMs),
    each.place.kind === 'damaged' ? `damaged: ${each.place.error.message}` : checkpointPlaceWord(each.place),
  ])
  const heading = ['ID', 'GUEST', 'WHEN', 'NAME', 'WHY', 'SIZE', 'ADDED', 'FROZEN', 'WHERE']
  return table(heading, rows, 'No checkpoints. Make one: wdock checkpoint GUEST')
}

async function list(call: Call): Promise<Outcome> {
  const state = await (await call.host()).state.get()
  const word = call.args.guest
  const guest = word === undefined ? null : findKeptGuest(state, word)
  const missing = missingWords(state.vault, 'checkpointList')
  if (missing !== null && !call.json) call.io.note(`Some checkpoints may be missing here. ${missing}\n`)
  const checkpoints = state.checkpoints.filter((each) => guest === null || each.guestId === guest.id)
  return { value: { checkpoints }, text: checkpointTable(checkpoints) }
}

function labelOf(call: Call): Partial<CheckpointLabel> {
  const name = text(call, 'name')
  const note = text(call, 'note')
  const { pin, unpin } = call.flags
  return {
    ...(name === null ? {} : { name }),
    ...(note === null ? {} : { note }),
    ...(pin === true ? { pinned: true } : unpin === true ? { pinned: false } : {}),
  }
}

async function make(call: Call): Promise<Outcome> {
  const client = await call.host()
  const guest = findGuest(await client.state.get(), call.args.guest ?? '')
  const { operationId } = await client.checkpoints.make({ guestId: guest.id, label: labelOf(call) })
  const name = printable(guest.name)
  if (call.flags['no-wait'] === true) {
    return { value: { operationId }, text: `A checkpoint of ${name} is being made (${operationId}).` }
  }
  const { operation } = await follow(client, operationId, call.io)
  const id = operation?.work.kind === 'checkpoint' ? operation.work.checkpointId : ''
  const made = call.flags.stored === true ? await untilStored(client, id) : await known(client, id)
  if (made === null)
    return { value: { operationId, checkpoint: null }, text: `${name} has a new checkpoint.` }
  const frozen = made.freezeMs === null ? '' : `, frozen for ${formatDuration(made.freezeMs)}`
  const words = `${made.id.slice(0, 8)} of ${name}: ${checkpointSizeWords(made)}${frozen}, ${checkpointPlaceWord(made.place)}.`
  return { value: { operationId, checkpoint: made }, text: `Checkpoint ${words}` }
}

async function known(client: HostClient, id: string): Promise<Checkpoint | null> {
  return (await client.state.get()).checkpoints.find((each) => each.id === id) ?? null
}

/** Waits until it is in the vault. @returns null when it was deleted before that */
async function untilStored(client: HostClient, id: string): Promise<Checkpoint | null> {
  let state: HostState | null = null
  let wanted = id
  for (;;) {
    for await (const event of await client.state.watch()) {
      const before = state?.checkpoints.find((each) => each.id === wanted) ?? null
      state = applyHostEvent(state, event)
      // Published under another id where a sweep had ended its upload.
      if (event.type === 'checkpoint.changed' && before?.atMs === event.checkpoint.atMs)
        wanted = event.checkpoint.id
      const now = state?.checkpoints.find((each) => each.id === wanted) ?? null
      if (state !== null && (now === null || now.place.kind !== 'on-its-way')) return now
    }
  }
}

async function restore(call: Call): Promise<Outcome> {
  const client = await call.host()
  const state = await client.state.get()
  const { id: checkpointId, guestId, guestName } = findCheckpoint(state, call.args.checkpoint ?? '')
  const name = printable(guestName)
  const as = call.flags.copy === true ? 'copy' : 'same'
  const isHere = state.guests.some((one) => one.id === guestId && one.dockId === state.info.dockId)
  if (as === 'same' && isHere) {
    const question = `${name} goes back to this checkpoint. Its present state is kept as a checkpoint first. Go back?`
    await confirm(call, question, 'Going back')
  }
  const begun = await client.checkpoints.restore({ checkpointId, as })
  if (call.flags['no-wait'] === true) {
    return { value: begun, text: `${name} is being restored (${begun.operationId}).` }
  }
  await follow(client, begun.operationId, call.io)
  const restored = (await client.state.get()).guests.find((one) => one.id === begun.guestId)
  return { value: begun, text: `${printable(restored?.name ?? guestName)} is restored.` }
}

async function relabel(call: Call): Promise<Outcome> {
  const change = labelOf(call)
  if (Object.keys(change).length === 0) {
    throw usage({ name: 'checkpoint-label' }, 'one of --name, --note, --pin or --unpin is needed')
  }
  const client = await call.host()
  const { id: checkpointId } = findCheckpoint(await client.state.get(), call.args.checkpoint ?? '')
  await client.checkpoints.relabel({ checkpointId, change })
  return { value: { checkpointId, change }, text: 'Changed.' }
}

async function remove(call: Call): Promise<Outcome> {
  const client = await call.host()
  const found = findCheckpoint(await client.state.get(), call.args.checkpoint ?? '')
  const what = `the checkpoint of ${printable(found.guestName)} of ${localTime(found.atMs)}`
  await confirm(call, `Delete ${what}? This cannot be undone.`, `Deleting ${what}`)
  await client.checkpoints.remove({ checkpointId: found.id })
  return { value: { checkpointId: found.id }, text: 'It is deleted. Its space is freed within a while.' }
}

async function picture(call: Call): Promise<Outcome> {
  const client = await call.host()
  const output = text(call, 'output')
  if (output === null && !call.json) throw usage({ name: 'checkpoint-picture' }, '--output is missing')
  const { id: checkpointId, guestName } = findCheckpoint(await client.state.get(), call.args.checkpoint ?? '')
  const found = await client.checkpoints.picture({ checkpointId })
  if (found === null) throw fail('vault.no_picture', { name: guestName })
  if (output === null) return { value: found, text: '' }
  const path = resolve(output)
  await writeFile(path, Buffer.from(found.pngBase64, 'base64'))
  return { value: { path }, text: `Saved to ${path}` }
}

const self = { name: 'checkpoint-rules' }
type Keep = CheckpointRules['keep']

/** How each rule is read from text. The order is the order of the listing. */
const readers: Readonly<Record<string, (value: string, rules: CheckpointRules) => CheckpointRules>> = {
  every: (value, rules) => ({ ...rules, everyMinutes: everyMinutes(value) }),
  'before-move': (value, rules) => ({ ...rules, beforeMove: yesOrNo('before-move', value) }),
  'low-battery': (value, rules) => ({ ...rules, onLowBattery: yesOrNo('low-battery', value) }),
  sleep: (value, rules) => ({ ...rules, beforeSleep: yesOrNo('sleep', value) }),
  quit: (value, rules) => ({ ...rules, onQuit: yesOrNo('quit', value) }),
  'keep-last': (value, rules) => withKeep(rules, 'last', value),
  'keep-hourly': (value, rules) => withKeep(rules, 'hourly', value),
  'keep-daily': (value, rules) => withKeep(rules, 'daily', value),
  'keep-weekly': (value, rules) => withKeep(rules, 'weekly', value),
}

function everyMinutes(value: string): number | null {
  return value === 'never' ? null : Math.round(parseSpan(value, 'every', self.name) / 60_000)
}

function yesOrNo(name: string, value: string): boolean {
  if (/^(yes|on|true)$/i.test(value)) return true
  if (/^(no|off|false)$/i.test(value)) return false
  throw usage(self, `${name} must be yes or no`)
}

function withKeep(rules: CheckpointRules, name: keyof Keep, value: string): CheckpointRules {
  return { ...rules, keep: { ...rules.keep, [name]: parseCount(value, `keep-${name}`, self.name) } }
}

function changed(rules: CheckpointRules, pairs: readonly string[]): CheckpointRules {
  return pairs.reduce((before, pair) => {
    const [, name = '', value = ''] = /^([\w-]+)=(.*)$/s.exec(pair) ?? []
    const read = Object.hasOwn(readers, name) ? readers[name] : undefined
    if (read === undefined) {
      throw usage(self, `"${pair}" is not NAME=VALUE with one of ${Object.keys(readers).join(', ')}`)
    }
    return read(value, before)
  }, rules)
}

function rulesFacts(rules: CheckpointRules): string {
  const { everyMinutes: every, beforeMove, onLowBattery, beforeSleep, onQuit, keep } = rules
  const word = (is: boolean) => (is ? 'yes' : 'no')
  return facts([
    ['every', every === null ? 'never' : `${every}m`],
    ['before-move', word(beforeMove)],
    ['low-battery', word(onLowBattery)],
    ['sleep', word(beforeSleep)],
    ['quit', word(onQuit)],
    ['keep-last', String(keep.last)],
    ['keep-hourly', String(keep.hourly)],
    ['keep-daily', String(keep.daily)],
    ['keep-weekly', String(keep.weekly)],
  ])
}

async function rules(call: Call): Promise<Outcome> {
  const client = await call.host()
  const state = await client.state.get()
  const guest = findGuest(state, call.args.guest ?? '')
  const now = state.checkpointRules.find((each) => each.guestId === guest.id)?.rules ?? defaultCheckpointRules
  const wanted = changed(now, call.rest)
  const held =
    call.rest.length === 0 ? now : await client.checkpoints.changeRules({ guestId: guest.id, rules: wanted })
  return { value: { guestId: guest.id, rules: held }, text: rulesFacts(held) }
}

const labelFlags: Readonly<Record<string, FlagSpec>> = {
  name: { value: 'text', says: 'a name for it' },
  note: { value: 'text', says: 'a note on it' },
  pin: { says: 'keep it, whatever its age' },
}
const noWait: Readonly<Record<string, FlagSpec>> = {
  'no-wait': { says: 'return at once; follow it with wdock status' },
}

export const checkpointCommands: readonly Command[] = [
  {
    name: 'checkpoint',
    args: ['guest'],
    says: 'keep a guest as it is now, while it runs on',
    flags: {
      ...labelFlags,
      ...noWait,
      stored: { says: 'wait until it is in the vault, not only kept on this PC' },
    },
    run: make,
  },
  { name: 'checkpoints', args: ['guest?'], says: 'list checkpoints, the newest first', run: list },
  {
    name: 'restore',
    args: ['checkpoint'],
    says: 'bring a guest back as it was; its present state is kept first',
    flags: { copy: { says: 'as a new guest beside the one there is' }, ...noWait, ...yesFlag },
    run: restore,
  },
  {
    name: 'checkpoint-label',
    args: ['checkpoint'],
    says: 'name a checkpoint, note something on it, keep it for good',
    flags: { ...labelFlags, unpin: { says: 'let it go when it is old' } },
    run: relabel,
  },
  {
    name: 'checkpoint-delete',
    args: ['checkpoint'],
    says: 'delete a checkpoint, for good',
    flags: yesFlag,
    run: remove,
  },
  {
    name: 'checkpoint-picture',
    args: ['checkpoint'],
    says: 'save the picture of a checkpoint',
    flags: { output: { value: 'file.png', says: 'where to save it' } },
    run: picture,
  },
  {
    name: 'checkpoint-rules',
    args: ['guest', 'name=value…'],
    says: 'show when checkpoints are made by themselves and which are kept, or change it',
    run: rules,
  },
]

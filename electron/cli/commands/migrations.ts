/** Moving guests: will it move, move it, cancel, look back, decide. */
import { type ErrorShape, fail } from '../../../shared/errors/index.ts'
import { formatBytes, formatDuration, formatTimeRange } from '../../../shared/format.ts'
import type { Guest } from '../../../shared/models/guest.ts'
import type { HostState } from '../../../shared/models/host-state.ts'
import {
  type MemoryTransfer,
  type MigrationCheck,
  type MigrationRequest,
  memoryTransfer,
} from '../../../shared/models/migration.ts'
import { type Call, type Command, exitCodes, type FlagSpec, type Outcome, usage } from '../command.ts'
import { confirm, yesFlag } from '../confirm.ts'
import { findDock, findGuest, findOperation } from '../find.ts'
import { type Followed, follow } from '../follow.ts'
import { printable, table } from '../table.ts'
import { localTime } from '../times.ts'
import { dockNameOf, errorWords, outcomeWords, resultWords } from '../words.ts'

const wayFlags: Readonly<Record<string, FlagSpec>> = {
  to: { value: 'dock', says: 'where it is to run; this PC unless told' },
  from: { value: 'dock', says: 'the dock that it must be on now' },
}

interface Move {
  state: HostState
  guest: Guest
  request: MigrationRequest
}

/** Reads which guest goes from where to where. */
async function moveOf(call: Call, name: string): Promise<Move> {
  const state = await (await call.host()).state.get()
  const from = typeof call.flags.from === 'string' ? findDock(state, call.flags.from) : null
  const there = from ? { ...state, guests: state.guests.filter((one) => one.dockId === from.id) } : state
  const guest = findGuest(there, call.args.guest ?? '')
  const here = state.info.dockId
  const toDockId = typeof call.flags.to === 'string' ? findDock(state, call.flags.to).id : here
  if (guest.dockId === toDockId) {
    const where = toDockId === here ? 'this PC' : dockNameOf(state, toDockId)
    throw usage({ name }, `${printable(guest.name)} is on ${where} already; name another dock with --to`)
  }
  return { state, guest, request: { guestId: guest.id, fromDockId: guest.dockId, toDockId } }
}

function checkWords(check: MigrationCheck, name: string): string {
  const told = (errors: readonly ErrorShape[]) => errors.map((error) => `- ${errorWords(error)}`)
  if (check.blockers.length > 0) return [`${name} can't move now:`, ...told(check.blockers)].join('\n')
  const lines = [`${name} can move.`]
  if (check.estimate) {
    const { time, freeze, bytes } = check.estimate
    const size = `${formatBytes(bytes.min)} to ${formatBytes(bytes.max)}`
    lines.push(`Ready in ${formatTimeRange(time)}, freeze of ${formatTimeRange(freeze)}, ${size}.`)
  }
  return [...lines, ...told(check.warnings)].join('\n')
}

async function check(call: Call): Promise<Outcome> {
  const { guest, request } = await moveOf(call, 'check')
  const found = await (await call.host()).migrations.check(request)
  return {
    value: { ...request, ...found },
    text: checkWords(found, printable(guest.name)),
    exitCode: found.blockers.length > 0 ? exitCodes.blocked : exitCodes.done,
  }
}

function transferOf(call: Call): MemoryTransfer {
  const parsed = memoryTransfer.safeParse(call.flags.memory ?? 'auto')
  if (parsed.success) return parsed.data
  throw usage({ name: 'migrate' }, '--memory must be auto, pages or plain')
}

async function migrate(call: Call): Promise<Outcome> {
  const { state, guest, request: asked } = await moveOf(call, 'migrate')
  const transfer = transferOf(call)
  const request: MigrationRequest = {
    ...asked,
    ...(transfer === 'auto' ? {} : { transfer }),
    ...(call.flags['post-copy'] === true ? { switchover: 'post-copy' } : {}),
  }
  const client = await call.host()
  const name = printable(guest.name)
  const found = await client.migrations.check(request)
  const [blocker] = found.blockers
  if (blocker) {
    const value = { error: blocker, blockers: found.blockers }
    return { value, text: checkWords(found, name), exitCode: exitCodes.blocked }
  }
  const { operationId } = await client.migrations.start(request)
  if (call.flags['no-wait'] === true) {
    return { value: { operationId }, text: `${name} is moving (${operationId}).` }
  }
  const followed = await follow(client, operationId, call.io)
  const [result, chosen] = [resultOf(followed), chosenTransfer(followed)]
  const where = dockNameOf(state, request.toDockId)
  const took = result ? `: ${resultWords(result)}` : ''
  const late = request.switchover === 'post-copy' ? ' It finished with post-copy.' : ''
  const lacked = chosen === 'pages' ? ` Only what ${where} lacked of its memory was sent.` : ''
  return {
    value: { operationId, ...request, transfer: chosen, result },
    text: `${name} runs on ${where} now${took}.${lacked}${late}`,
  }
}

/** How its memory crossed; null where that was not seen. */
function chosenTransfer({ operation }: Followed): 'pages' | 'plain' | null {
  return operation?.work.kind === 'migration' ? operation.work.transfer : null
}

function resultOf({ operation, record }: Followed) {
  if (operation?.work.kind === 'migration' && operation.work.result) return operation.work.result
  return record?.outcome.kind === 'done' ? record.outcome.result : null
}

async function cancel(call: Call): Promise<Outcome> {
  const client = await call.host()
  const operation = findOperation(await client.state.get(), call.args.operation ?? '')
  await client.operations.cancel({ operationId: operation.id })
  return { value: { operationId: operation.id }, text: `Cancelling ${printable(operation.guestName)}.` }
}

async function dismiss(call: Call): Promise<Outcome> {
  const client = await call.host()
  const operation = findOperation(await client.state.get(), call.args.operation ?? '')
  await client.operations.dismiss({ operationId: operation.id })
  return { value: { operationId: operation.id }, text: 'It is off the list.' }
}

async function history(call: Call): Promise<Outcome> {
  const { migrations } = await (await call.host()).state.get()
  const rows = migrations.map((one) => {
    const result = one.outcome.kind === 'done' ? one.outcome.result : null
    return [
      localTime(one.startedAtMs),
      one.guestName,
      `${one.fromDockName} → ${one.toDockName}`,
      one.switchover === 'post-copy' ? `${outcomeWords(one)} (post-copy)` : outcomeWords(one),
      formatDuration(result?.totalMs ?? one.endedAtMs - one.startedAtMs),
      result ? formatDuration(result.downtimeMs) : '',
      result ? formatBytes(result.wireBytes) : '',
    ]
  })
  const heading = ['WHEN', 'GUEST', 'FROM → TO', 'OUTCOME', 'TOOK', 'FREEZE', 'BYTES']
  return { value: { migrations }, text: table(heading, rows, 'Nothing has moved yet.') }
}

const risks = {
  'run-here':
    'If it also runs on the other PC, both will change their own copy and one will be lost. Run it here?',
  'give-up-here':
    'The copy on this PC goes to the trash, and its memory is lost; the guest must have arrived on the other PC. Give it up?',
}

async function settle(call: Call): Promise<Outcome> {
  const { choice } = call.args
  if (choice !== 'run-here' && choice !== 'give-up-here') {
    throw usage({ name: 'settle' }, 'the choice must be run-here or give-up-here')
  }
  const client = await call.host()
  const guest = findGuest(await client.state.get(), call.args.guest ?? '')
  if (guest.state.kind !== 'unsettled' && guest.state.kind !== 'leaving') throw fail('migration.not_found')
  const name = printable(guest.name)
  await confirm(call, `${name}: ${risks[choice]}`, `Settling ${name}`)
  const { migrationId } = guest.state
  await client.migrations.settle({ migrationId, choice })
  const where =
    choice === 'run-here'
      ? ''
      : `\nThe copy on this PC is in the trash. Bring it back with: wdock guest undo-delete ${guest.id}`
  return { value: { migrationId, choice }, text: `${name} is settled.${where}` }
}

export const migrationCommands: readonly Command[] = [
  { name: 'check', args: ['guest'], says: 'tell whether a guest will move', flags: wayFlags, run: check },
  {
    name: 'migrate',
    args: ['guest'],
    says: 'move a running guest, to this PC unless told',
    flags: {
      ...wayFlags,
      memory: {
        value: 'how',
        says: 'auto; or pages: only what the other PC lacks; or plain: as QEMU sends it',
      },
      'post-copy': {
        says: 'let it run there after one round over its memory; the rest follows, and is lost if a PC fails meanwhile',
      },
      'no-wait': { says: 'return at once; follow it with wdock status' },
    },
    run: migrate,
  },
  { name: 'cancel', args: ['operation'], says: 'cancel what a guest is doing', run: cancel },
  { name: 'dismiss', args: ['operation'], says: 'take an ended operation off the list', run: dismiss },
  { name: 'history', args: [], says: 'list past moves, the newest first', run: history },
  {
    name: 'settle',
    args: ['guest', 'choice'],
    says: 'decide an unsettled move: run-here (risky) or give-up-here (to the trash)',
    flags: yesFlag,
    run: settle,
  },
]

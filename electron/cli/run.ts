/**
 * One run of `wdock`, from words to exit code. Promises that a failure is one sentence, a fix and the exit
 * code of its kind, and that with `--json` exactly one object is printed whatever happens.
 */
import { toWdockError, type WdockError } from '../../shared/errors/index.ts'
import type { HostConnection } from '../ipc/connect.ts'
import { catalogue } from './catalogue.ts'
import { type Call, type Command, exitCodes, type Io, parseWords, usage } from './command.ts'
import { commandHelp, overview } from './help.ts'
import { errorWords } from './words.ts'

/** @param words what follows `wdock` @returns the exit code */
export async function runWdock(words: readonly string[], io: Io, version: string): Promise<number> {
  const json = words.includes('--json')
  try {
    return await dispatch(words, io, version, json)
  } catch (error) {
    return tellFailure(toWdockError(error), io, json)
  }
}

async function dispatch(words: readonly string[], io: Io, version: string, json: boolean): Promise<number> {
  const asked = helpOrVersion(words, version)
  if (asked) {
    io.print(json ? JSON.stringify(asked.value) : asked.text)
    return exitCodes.done
  }
  const { command, rest } = findCommand(words)
  const parsed = parseWords(command, rest)
  if (parsed.flags.help === true) {
    io.print(commandHelp(command))
    return exitCodes.done
  }
  let connection: HostConnection | null = null
  const call: Call = {
    ...parsed,
    io,
    json,
    host: async () => {
      connection ??= await io.connect()
      return connection.client
    },
  }
  try {
    const outcome = await command.run(call)
    const answer = json ? outcome.value && JSON.stringify(outcome.value) : outcome.text
    if (answer) io.print(answer)
    return outcome.exitCode ?? exitCodes.done
  } finally {
    await (connection as HostConnection | null)?.close()
  }
}

/** `wdock`, `wdock help [command]`, `wdock --help`, `wdock --version`. */
function helpOrVersion(words: readonly string[], version: string): { value: object; text: string } | null {
  const [first, ...more] = words.filter((word) => word !== '--json')
  if (first === '--version') return { value: { version }, text: version }
  if (first === undefined || first === '--help' || (first === 'help' && more.length === 0)) {
    const commands = catalogue.map(({ name, says }) => ({ name, says }))
    return { value: { commands }, text: overview() }
  }
  if (first !== 'help') return null
  const { command } = findCommand(more)
  return { value: { name: command.name, args: command.args, says: command.says }, text: commandHelp(command) }
}

/** The command that the first words name; the longest name goes first. @throws command.usage */
export function findCommand(words: readonly string[]): { command: Command; rest: string[] } {
  const given = [...words]
  const leading: string[] = []
  while (given[0] === '--json') leading.push(given.shift() ?? '')
  for (const length of [2, 1]) {
    const name = given.slice(0, length).join(' ')
    const command = catalogue.find((one) => one.name === name)
    if (command) return { command, rest: [...leading, ...given.slice(length)] }
  }
  const first = given[0] ?? ''
  const below = catalogue.filter((one) => one.name.startsWith(`${first} `)).map((one) => one.name)
  const why =
    below.length > 0 ? `wdock ${first} goes on with: ${below.join(', ')}` : `There is no command "${first}"`
  throw usage({ name: '' }, why)
}

function tellFailure(error: WdockError, io: Io, json: boolean): number {
  if (json) io.print(JSON.stringify({ error: error.toJSON() }))
  else io.note(`${errorWords(error)}\n`)
  return exitCodeOf(error)
}

function exitCodeOf(error: WdockError): number {
  if (error.code === 'host.not_running') return exitCodes.notRunning
  if (error.code === 'host.cancelled') return exitCodes.cancelled
  return error.code.startsWith('command.') || error.code === 'host.bad_input'
    ? exitCodes.usage
    : exitCodes.failed
}

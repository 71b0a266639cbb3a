/**
 * What a command of `wdock` is: its words, what it takes, what it does. Parsing, help and completeness tests
 * derive from the table of these. A command returns what it found, both as data and as text, and prints
 * nothing itself but progress.
 */
import { parseArgs } from 'node:util'
import { fail } from '../../shared/errors/index.ts'
import type { HostConnection } from '../ipc/connect.ts'
import type { Environment } from '../platform/paths.ts'

export interface FlagSpec {
  /** What stands for the value in help; absent for a switch. */
  value?: string
  says: string
}

/** Where a command meets the world; tests put their own in its place. */
export interface Io {
  env: Environment
  /** Whole lines of the answer. */
  print(text: string): void
  /** Progress and questions, away from the answer. */
  note(text: string): void
  /** True when notes go to a terminal that can rewrite its last line. */
  isTerminal: boolean
  /** Asks the person; null where nobody can be asked. */
  ask(question: string): Promise<string | null>
  /** Calls back at each Ctrl-C, until the function that it returns is called. */
  onInterrupt(listener: () => void): () => void
  connect(): Promise<HostConnection>
  /** Runs a host in this process until it ends. @returns its exit code */
  runAgent(options: { openWindow: boolean; json: boolean }): Promise<number>
  /** Opens a window on a running host. @throws command.no_display, command.no_browser */
  openWindow(page: HostPage): Promise<void>
}

/** A view of a host's page. */
export interface HostPage {
  /** `http://127.0.0.1:<port>/` */
  url: string
  token: string
  /** As `guest/<dock>/<guest>`; empty for the desk. */
  view: string
}

/** One run of a command. */
export interface Call {
  /** Values of the command's arguments, by name; optional ones may be missing. */
  args: Readonly<Record<string, string>>
  /** What a repeated last argument has taken. */
  rest: readonly string[]
  flags: Readonly<Record<string, string | boolean | undefined>>
  io: Io
  json: boolean
  /** The host, connected at the first use. @throws host.not_running */
  host(): Promise<HostConnection['client']>
}

export interface Outcome {
  /** For `--json`: one object; null when the command has printed all there is. */
  value: object | null
  /** For people; lines without the last newline. */
  text: string
  exitCode?: number
}

export interface Command {
  /** `guest start` */
  name: string
  /** `['guest', 'name?', 'setting…']`: `?` marks an optional argument, `…` one that may be repeated. */
  args: readonly string[]
  says: string
  flags?: Readonly<Record<string, FlagSpec>>
  run(call: Call): Promise<Outcome>
}

export const exitCodes = { done: 0, failed: 1, usage: 2, notRunning: 3, blocked: 4, cancelled: 130 } as const

/** Flags that every command takes. */
export const commonFlags: Readonly<Record<string, FlagSpec>> = {
  json: { says: 'print one JSON object instead of text' },
  help: { says: 'show how the command is used' },
}

export interface ParsedWords {
  args: Record<string, string>
  rest: string[]
  flags: Record<string, string | boolean | undefined>
}

/** Reads what follows a command's name. @throws command.usage */
export function parseWords(command: Command, words: readonly string[]): ParsedWords {
  const { values, positionals } = parseFlags(command, words)
  const args: Record<string, string> = {}
  const given = [...positionals]
  for (const spec of command.args) {
    if (spec.endsWith('…')) return { args, rest: given, flags: values }
    const value = given.shift()
    if (value !== undefined) args[spec.replace('?', '')] = value
    else if (!spec.endsWith('?') && values.help !== true) throw usage(command, `<${spec}> is missing`)
  }
  if (given.length > 0) throw usage(command, `"${given[0]}" is one word too many`)
  return { args, rest: [], flags: values }
}

/** A failure of using a command. `why` is a sentence without its full stop. */
export function usage(command: { name: string }, why: string) {
  return fail('command.usage', { why, command: command.name })
}

function parseFlags(command: Command, words: readonly string[]) {
  const specs = Object.entries({ ...commonFlags, ...command.flags })
  const options = Object.fromEntries(
    specs.map(([name, spec]) => [name, { type: spec.value ? ('string' as const) : ('boolean' as const) }]),
  )
  try {
    return parseArgs({ args: [...words], options, allowPositionals: true, strict: true })
  } catch (error) {
    // Node's sentence is `Unknown option '--x'. To specify a positional …`: the first one says it all.
    const [why] = String(error instanceof Error ? error.message : error).split('. ')
    throw usage(command, (why ?? '').replace(/\.$/, ''))
  }
}

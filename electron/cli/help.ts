/** Help, derived from the table of commands. */
import { chapters } from './catalogue.ts'
import { type Command, commonFlags, type FlagSpec } from './command.ts'
import { textWidth } from './table.ts'

/** `guest rename <guest> <name>` */
export function synopsis(command: Command): string {
  const args = command.args.map((spec) => {
    const name = spec.replace(/[?…]$/, '')
    if (spec.endsWith('…')) return `[${name} …]`
    return spec.endsWith('?') ? `[${name}]` : `<${name}>`
  })
  return [command.name, ...args].join(' ')
}

/** All commands, a line each. */
export function overview(): string {
  const width = Math.max(
    ...chapters.flatMap(({ commands }) => commands.map((one) => textWidth(synopsis(one)))),
  )
  const lines = ['wdock moves running guests between PCs.', '', 'Usage: wdock <command> [options]']
  for (const { title, commands } of chapters) {
    lines.push('', `${title}:`)
    for (const command of commands) lines.push(`  ${synopsis(command).padEnd(width)}  ${command.says}`)
  }
  lines.push(
    '',
    'Guests and docks are named by name, by id or by how either begins.',
    'Every command takes --json. More about one: wdock help <command>',
    'Exit codes: 0 done, 1 failed, 2 wrong use, 3 not running, 4 blocked, 130 cancelled.',
  )
  return lines.join('\n')
}

/** One command with its flags. */
export function commandHelp(command: Command): string {
  const flags = Object.entries({ ...command.flags, ...commonFlags })
  const left = flags.map(([name, spec]) => flagWords(name, spec))
  const width = Math.max(...left.map((words) => words.length))
  const lines = flags.map(([, spec], index) => `  ${left[index]?.padEnd(width)}  ${spec.says}`)
  return [`Usage: wdock ${synopsis(command)} [options]`, '', `${sentence(command.says)}`, '', ...lines].join(
    '\n',
  )
}

function flagWords(name: string, spec: FlagSpec): string {
  return spec.value ? `--${name} <${spec.value}>` : `--${name}`
}

function sentence(words: string): string {
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}.`
}

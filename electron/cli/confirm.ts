/** Questions that a person must say yes to; scripts say it beforehand with `--yes`. */
import { fail } from '../../shared/errors/index.ts'
import type { Call, FlagSpec } from './command.ts'

export const yesFlag: Readonly<Record<string, FlagSpec>> = { yes: { says: 'do it without asking' } }

/**
 * Asks unless `--yes` was given. @throws host.cancelled after a no, command.needs_yes where nobody can answer
 */
export async function confirm(call: Call, question: string, what: string): Promise<void> {
  if (call.flags.yes === true) return
  const answer = await call.io.ask(`${question} [y/N] `)
  if (answer === null) throw fail('command.needs_yes', { what })
  if (!/^y(es)?$/i.test(answer.trim())) throw fail('host.cancelled')
}

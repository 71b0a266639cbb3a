/** Every command of `wdock`, in the order of the help. */
import type { Command } from './command.ts'
import { checkpointCommands } from './commands/checkpoints.ts'
import { createCommand } from './commands/create.ts'
import { dockCommands } from './commands/docks.ts'
import { guestCommands } from './commands/guests.ts'
import { hostCommands } from './commands/host.ts'
import { keptCommands } from './commands/kept.ts'
import { lendingCommands } from './commands/lending.ts'
import { migrationCommands } from './commands/migrations.ts'
import { vaultCommands } from './commands/vault.ts'
import { warmCommands } from './commands/warm.ts'

export interface Chapter {
  title: string
  commands: readonly Command[]
}

export const chapters: readonly Chapter[] = [
  { title: 'This PC', commands: hostCommands },
  { title: 'Guests', commands: [...guestCommands.slice(0, 2), createCommand, ...guestCommands.slice(2)] },
  { title: 'Docks', commands: dockCommands },
  { title: 'Moving', commands: [...migrationCommands, ...warmCommands, ...keptCommands] },
  { title: 'Checkpoints', commands: [...checkpointCommands, ...lendingCommands] },
  { title: 'The vault of checkpoints', commands: vaultCommands },
]

export const catalogue: readonly Command[] = chapters.flatMap((chapter) => chapter.commands)

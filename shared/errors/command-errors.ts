/** Failures of the command line before it has asked the host anything. */
import type { ErrorSpec } from './wdock-error.ts'

export const commandErrors = {
  'command.usage': {
    says: '{why}.',
    fix: 'See: wdock help {command}',
    permanent: true,
  },
  'command.no_match': {
    says: 'There is no {kind} called {word}.',
    fix: 'See which there are with: wdock {list}',
    permanent: true,
  },
  'command.ambiguous': {
    says: '{word} can mean more than one {kind}: {candidates}.',
    fix: 'Give the whole name or more of the id.',
    permanent: true,
  },
  'command.no_answer': {
    says: '{what} is needed, and nobody can be asked for it here.',
    fix: 'Put it into a file that only you can read, and name that with --{flag}.',
    permanent: true,
  },
  'command.needs_yes': {
    says: '{what} needs a yes.',
    fix: 'Add --yes where nobody can be asked.',
    permanent: true,
  },
  'command.no_display': {
    says: 'There is no display here to open a window on.',
    fix: 'Open {url} in a browser on this PC.',
    permanent: false,
  },
  'command.no_browser': {
    says: 'No Chromium was found to open the window in.',
    fix: 'Install it: sudo apt install chromium, or open {url} in another browser.',
    permanent: false,
  },
} as const satisfies Record<string, ErrorSpec>

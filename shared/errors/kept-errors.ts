/** Failures of what a person asks of the memory of guests that is kept on this PC. */
import type { ErrorSpec } from './wdock-error.ts'

export const keptErrors = {
  'kept.in_use': {
    says: 'The memory that is kept of {name} is in use: a move of it is under way, or has just ended.',
    fix: 'Wait until that is over, or cancel the move, then try again.',
    permanent: false,
  },
} as const satisfies Record<string, ErrorSpec>

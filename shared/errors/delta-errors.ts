/** Failures of the page codec between two docks. */
import type { ErrorSpec } from './wdock-error.ts'

export const deltaErrors = {
  'delta.bad_message': {
    says: 'The other PC sent memory in a form that this one does not understand.',
    fix: 'Nothing was changed, and the guest runs on where it was. Update Wireless Dock+ on both PCs, then try again.',
    permanent: true,
  },
  'delta.stopped': {
    says: 'The part of this program that carries a guest’s memory ended unexpectedly.',
    fix: 'The guest runs on where it was. Try again.',
    permanent: false,
  },
} as const satisfies Record<string, ErrorSpec>

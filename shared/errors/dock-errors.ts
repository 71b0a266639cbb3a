/** Failures between docks: finding, pairing, talking. */
import type { ErrorSpec } from './wdock-error.ts'

export const dockErrors = {
  'dock.not_found': {
    says: 'This dock is not known here.',
    fix: 'Add it by its address, or wait until it shows up nearby.',
    permanent: false,
  },
  'dock.unreachable': {
    says: '{dock} cannot be reached.',
    fix: 'Check that it is switched on, that Wireless Dock+ runs there and that both PCs are on one network.',
    permanent: false,
  },
  'dock.not_paired': {
    says: '{dock} is not paired with this PC.',
    fix: 'Pair the two PCs first.',
    permanent: true,
  },
  'dock.identity_changed': {
    says: 'At this address another dock answers than the one expected.',
    fix: 'Check the address. If the PC was set up anew, unpair it and pair again.',
    permanent: true,
  },
  'dock.version_mismatch': {
    says: '{dock} runs another version of Wireless Dock+ ({theirs}; this PC {ours}).',
    fix: 'Update Wireless Dock+ on both PCs.',
    permanent: true,
  },
  'dock.bad_message': {
    says: 'The other dock sent something that is not valid.',
    fix: 'The connection was closed. Update Wireless Dock+ on both PCs and try again.',
    permanent: true,
  },
  'dock.silent': {
    says: '{dock} stopped answering.',
    fix: 'Check the network and try again.',
    permanent: false,
  },
  'dock.link_lost': {
    says: 'The connection to {dock} was lost.',
    fix: 'Check the network and try again.',
    permanent: false,
  },
  'dock.rate_limited': {
    says: 'Too many tries in a short time.',
    fix: 'Wait a minute and try again.',
    permanent: false,
  },
  'dock.refused': {
    says: '{dock} refused this request.',
    fix: 'Look at {dock} for the reason.',
    permanent: true,
  },
  'pairing.refused': {
    says: 'The pairing was refused on the other PC.',
    fix: 'Start again if this was a mistake.',
    permanent: false,
  },
  'pairing.timed_out': {
    says: 'The pairing was not confirmed in time.',
    fix: 'Start again and confirm the code on both PCs within two minutes.',
    permanent: false,
  },
  'pairing.busy': {
    says: 'Another pairing is going on.',
    fix: 'Finish or refuse it first.',
    permanent: false,
  },
  'pairing.code_mismatch': {
    says: 'The two PCs did not compute the same code: someone may be in between.',
    fix: 'Do not pair on this network. Try again on a network you trust.',
    permanent: false,
  },
  'pairing.not_found': {
    says: 'This pairing has already ended.',
    fix: 'Start a new one.',
    permanent: true,
  },
  'pairing.already_paired': {
    says: 'These two PCs are paired already.',
    fix: 'Nothing needs to be done.',
    permanent: true,
  },
} as const satisfies Record<string, ErrorSpec>

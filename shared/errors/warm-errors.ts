/** Why a dock is not made ready for a guest. The first ones are the receiving dock's own words. */
import type { ErrorSpec } from './wdock-error.ts'

export const warmErrors = {
  'warm.guest_here': {
    says: 'The guest {name} stands on {dock} already.',
    fix: 'Nothing needs to be brought there in advance.',
    permanent: true,
  },
  'warm.keeps_nothing': {
    says: '{dock} keeps nothing of the memory of guests.',
    fix: 'To keep {name} ready there, choose on {dock}, under Settings, “Memory of guests”, how much may be kept.',
    permanent: true,
  },
  'warm.limit_small': {
    says: '{dock} keeps at most {limit} of the memory of guests, and {name} uses {needed}.',
    fix: 'Choose more on {dock}, under Settings, “Memory of guests”.',
    permanent: true,
  },
  'warm.no_room': {
    says: 'The disk of {dock} has too little room to keep {name} ready.',
    fix: 'Free about {needed} there. It is tried again by itself.',
    permanent: false,
  },
  'warm.on_battery': {
    says: '{dock} runs on its battery.',
    fix: 'It goes on by itself when {dock} is plugged in.',
    permanent: false,
  },
  'warm.metered': {
    says: 'The network connection of {dock} is metered.',
    fix: 'It goes on by itself on another connection.',
    permanent: false,
  },
  'warm.not_allowed': {
    says: 'Guests of this PC are not kept ready on {dock}.',
    fix: 'Allow it first: in the menu of {dock}, “Keep guests of this PC ready”, or with wdock warm allow.',
    permanent: true,
  },
  'warm.ended': {
    says: 'Getting {name} ready on {dock} was broken off: the guest, or the connection, was needed for something else.',
    fix: 'It goes on by itself when the guest has run quietly for a minute.',
    permanent: false,
  },
} as const satisfies Record<string, ErrorSpec>

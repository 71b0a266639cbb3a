/** Failures of what a person asks of a guest. */
import type { ErrorSpec } from './wdock-error.ts'

export const guestErrors = {
  'guest.agent_silent': {
    says: 'The agent in the guest did not answer {command}.',
    fix: 'Nothing has to be done. If it happens each time, restart qemu-guest-agent in the guest.',
    permanent: false,
  },
  'guest.agent_refused': {
    says: 'The agent in the guest refused {command}.',
    fix: 'Nothing has to be done. The details are in the agent’s log in the guest.',
    permanent: false,
  },
  'guest.not_found': {
    says: 'There is no such guest on this PC.',
    fix: 'Look at the list of guests; it may have moved to another PC.',
    permanent: true,
  },
  'guest.came_back': {
    says: '{name} is on this PC already.',
    fix: 'Its older copy stays in the trash until 30 days have passed.',
    permanent: true,
  },
  'guest.lives_elsewhere': {
    says: '{name} is on {dock}, so its copy here stays in the trash.',
    fix: 'Move it here from {dock}, or delete it there first.',
    permanent: true,
  },
  'guest.name_taken': {
    says: 'There is already a guest called {name}.',
    fix: 'Choose another name.',
    permanent: true,
  },
  'guest.busy': {
    says: '{name} is busy: {what}.',
    fix: 'Wait until that has ended, or cancel it.',
    permanent: false,
  },
  'guest.wrong_state': {
    says: '{name} is {state}, so it cannot be {wanted}.',
    fix: 'Bring it into another state first.',
    permanent: true,
  },
  'guest.running': {
    says: '{name} is still running.',
    fix: 'Shut it down or force it off first.',
    permanent: true,
  },
  'guest.too_big': {
    says: '{name} needs {needed} of memory; this PC has {free} to give.',
    fix: 'Give the guest less memory, or stop other guests.',
    permanent: false,
  },
  'guest.disk_full': {
    says: 'The disk of the PC that {name} runs on is full.',
    fix: 'Free some space there, then resume {name}: it goes on where it stopped, and nothing is lost.',
    permanent: false,
  },
  'guest.file_missing': {
    says: 'The file {path} that {name} starts from is not there.',
    fix: 'Put it back, or change the guest’s settings.',
    permanent: true,
  },
  'guest.demo_image_missing': {
    says: 'The demo guest is not on this PC.',
    fix: 'Install Wireless Dock+ again. In a checkout, build it with: npm run setup',
    permanent: false,
  },
  'guest.no_screen': {
    says: '{name} has no screen to show while it is {state}.',
    fix: 'Start it first.',
    permanent: false,
  },
} as const satisfies Record<string, ErrorSpec>

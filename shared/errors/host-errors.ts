/** Failures of the host itself: its folders, its lock, its local server, bad calls. */
import type { ErrorSpec } from './wdock-error.ts'

export const hostErrors = {
  'host.unexpected': {
    says: 'Something went wrong that Wireless Dock+ did not foresee.',
    fix: 'Try again; if it happens again, report it with the details shown here.',
    permanent: false,
  },
  'host.bad_input': {
    says: 'This is not a valid request: {why}.',
    fix: 'Correct the value and try again.',
    permanent: true,
  },
  'host.already_running': {
    says: 'Wireless Dock+ already runs on the data folder {path} (process {pid}).',
    fix: 'Use the running one, or stop it first, or choose another data folder with WDOCK_HOME.',
    permanent: true,
  },
  'host.not_running': {
    says: 'Wireless Dock+ is not running for this user.',
    fix: 'Start Wireless Dock+, or: wdock agent (in a checkout: npm start)',
    permanent: false,
  },
  'host.out_of_touch': {
    says: 'Lost touch with the Wireless Dock+ service on this PC.',
    fix: 'It is tried again by itself. If it was ended, start Wireless Dock+ again and use its new window, or the address that it prints.',
    permanent: false,
  },
  'host.page_refused': {
    says: 'Wireless Dock+ on this PC does not let this page in: its address has no key, or that of an earlier start.',
    fix: 'Start Wireless Dock+ again for its window, or run: wdock open. Then close this page.',
    permanent: false,
  },
  'host.port_in_use': {
    says: 'TCP port {port} is in use by another program.',
    fix: 'Stop that program or choose another port in the settings.',
    permanent: false,
  },
  'host.state_unreadable': {
    says: 'The file {path} is damaged or was written by a newer version.',
    fix: 'It was left as it is. Update Wireless Dock+, or move the file away and start again.',
    permanent: true,
  },
  'host.disk_full': {
    says: 'The disk that holds {path} is full.',
    fix: 'Free some space and try again.',
    permanent: false,
  },
  'host.no_permission': {
    says: 'Wireless Dock+ may not write to {path}.',
    fix: 'Give your user access to that folder, or choose another data folder with WDOCK_HOME.',
    permanent: true,
  },
  'host.unsafe_folder': {
    says: 'The folder {path} is a link or belongs to another user, so sockets in it would not be safe.',
    fix: 'Remove it, or choose another data folder with WDOCK_HOME.',
    permanent: true,
  },
  'host.cancelled': {
    says: 'Cancelled.',
    fix: 'Nothing was changed. Start again whenever you like.',
    permanent: false,
  },
} as const satisfies Record<string, ErrorSpec>

/** Failures of the places that keep objects: folders and cloud storage. */
import type { ErrorSpec } from './wdock-error.ts'

export const storeErrors = {
  'store.access_expired': {
    says: '{place} does not let this PC in any more: the access link has expired.',
    fix: 'Ask for a new access link and enter it in the settings, under Checkpoints.',
    permanent: true,
  },
  'store.access_refused': {
    says: '{place} refuses access.',
    fix: 'Check the key or access link, and whether the network rules of the account let this PC in.',
    permanent: true,
  },
  'store.access_too_narrow': {
    says: '{place} does not allow this with the access link in use.',
    fix: 'Use one that allows reading, adding, creating, writing, deleting and listing.',
    permanent: true,
  },
  'store.account_disabled': {
    says: 'The storage account {account} is suspended.',
    fix: 'Look at the account and its subscription in the Azure portal.',
    permanent: true,
  },
  'store.archived': {
    says: 'The file {name} of the vault was moved to the archive tier of the cloud storage and cannot be read.',
    fix: 'Bring it back to an online tier, and keep rules that archive away from this container.',
    permanent: true,
  },
  'store.azurite_failed': {
    says: 'The storage emulator Azurite did not start.',
    fix: 'Read what it said below.',
    permanent: false,
  },
  'store.azurite_missing': {
    says: 'The storage emulator Azurite is not part of this installation.',
    fix: 'Choose a folder, or run Wireless Dock+ from its source folder, where npm installs Azurite.',
    permanent: true,
  },
  'store.bad_address': {
    says: 'The address {address} cannot be used for cloud storage.',
    fix: 'Enter it as the Azure portal shows it, like https://name.blob.core.windows.net',
    permanent: true,
  },
  'store.bad_connection_string': {
    says: 'This is not a connection string of a storage account.',
    fix: 'Copy it from the Azure portal, from the account’s “Access keys”.',
    permanent: true,
  },
  'store.bad_container': {
    says: '“{container}” cannot be the name of a container.',
    fix: 'Use 3 to 63 lower-case letters, digits and single hyphens, with a letter or digit at both ends.',
    permanent: true,
  },
  'store.bad_key': {
    says: 'This is not an access key of a storage account.',
    fix: 'Copy “Key” from the Azure portal, from the account’s “Access keys”.',
    permanent: true,
  },
  'store.bad_link': {
    says: 'This link is not complete.',
    fix: 'Copy it again, from its first to its last letter.',
    permanent: true,
  },
  'store.bad_name': {
    says: '“{name}” cannot be the name of anything in the place for checkpoints.',
    fix: 'This is a fault of Wireless Dock+. Please report it.',
    permanent: true,
  },
  'store.busy': {
    says: '{place} is overloaded or out of order.',
    fix: 'Nothing needs to be done: what is to be sent waits, and goes on when it answers again.',
    permanent: false,
  },
  'store.clock_wrong': {
    says: '{place} refuses access because the clock of this PC is wrong by {minutes} minutes.',
    fix: 'Set the clock of this PC.',
    permanent: false,
  },
  'store.cut': {
    says: 'The connection to {place} broke off.',
    fix: 'Check the network. What is to be sent waits, and goes on when there is an answer again.',
    permanent: false,
  },
  'store.drive_failed': {
    says: 'The drive or network share with {path} does not work.',
    fix: 'Check that it is connected. If it is, save what is on it: the drive may be failing.',
    permanent: false,
  },
  'store.folder_missing': {
    says: 'The folder {path} is not there.',
    fix: 'Connect the drive or network share that holds it.',
    permanent: false,
  },
  'store.full': {
    says: '{place} is full.',
    fix: 'Free some space. What is to be written waits for it.',
    permanent: false,
  },
  'store.https_needed': {
    says: 'The address {address} is not encrypted.',
    fix: 'Use one that begins with https://',
    permanent: true,
  },
  'store.immutable': {
    says: '{place} forbids changing or deleting what is in it.',
    fix: 'Remove the retention policy or legal hold from the container, or choose another one.',
    permanent: true,
  },
  'store.in_the_way': {
    says: 'Something that is not a checkpoint is in the way: {path}',
    fix: 'Move it elsewhere.',
    permanent: true,
  },
  'store.keys_disabled': {
    says: 'The storage account {account} does not allow access by key.',
    fix: 'Allow “storage account key access” in its configuration, or use the access link of a container.',
    permanent: true,
  },
  'store.link_dead': {
    says: 'This link does not work: it is not valid yet, has ended, or was taken back.',
    fix: 'Ask the person who gave it to you.',
    permanent: true,
  },
  'store.locked': {
    says: '{place} is locked by another program.',
    fix: 'Look in the Azure portal for a lease on the container, or on what is in it, and end it.',
    permanent: true,
  },
  'store.missing': {
    says: 'The file {name} of the vault is not there any more.',
    fix: 'Check the vault to see what is affected.',
    permanent: true,
  },
  'store.no_account': {
    says: '{host} has no storage account {account}.',
    fix: 'Check the name of the account and the address.',
    permanent: true,
  },
  'store.no_container': {
    says: 'There is no container {container} in the storage account {account}.',
    fix: 'Check the name, or make the container.',
    permanent: true,
  },
  'store.no_permission': {
    says: 'This user may not write to, or read, {path}.',
    fix: 'Change the permissions of the folder, or choose another one.',
    permanent: true,
  },
  'store.not_a_folder': {
    says: '{path} is not a folder.',
    fix: 'Choose a folder.',
    permanent: true,
  },
  'store.read_only': {
    says: 'The drive with {path} can only be read.',
    fix: 'Connect it again without write protection, or choose another folder.',
    permanent: true,
  },
  'store.refused': {
    says: '{place} refused the request.',
    fix: 'Read what it said below.',
    permanent: true,
  },
  'store.share_gone': {
    says: 'This link was taken back meanwhile.',
    fix: 'Make a new one.',
    permanent: true,
  },
  'store.short_read': {
    says: 'The file {name} of the vault is shorter than it should be: it is damaged.',
    fix: 'Check the vault to see what is affected.',
    permanent: true,
  },
  'store.timed_out': {
    says: '{place} did not answer in time.',
    fix: 'Check the network. What is to be sent waits, and goes on when there is an answer again.',
    permanent: false,
  },
  'store.too_big': {
    says: 'The file {name} of the vault is longer than it can be: it is damaged.',
    fix: 'Check the vault to see what is affected.',
    permanent: true,
  },
  'store.too_old': {
    says: 'The storage service at {host} is too old for Wireless Dock+.',
    fix: 'Ask who runs it for an update, or choose another place.',
    permanent: true,
  },
  'store.unknown_host': {
    says: 'The address {host} is not known.',
    fix: 'Check the network and the address.',
    permanent: false,
  },
  'store.unreachable': {
    says: '{place} does not answer.',
    fix: 'Check the network. What is to be sent waits, and goes on when there is an answer again.',
    permanent: false,
  },
  'store.untrusted': {
    says: '{host} does not prove who it is: nothing was sent.',
    fix: 'Check the address and the clock of this PC. In a company network, ask for its certificate.',
    permanent: true,
  },
  'store.wrong_key': {
    says: 'The key for the storage account {account} is wrong, or was changed.',
    fix: 'Copy it again from the Azure portal, from the account’s “Access keys”.',
    permanent: true,
  },
} as const satisfies Record<string, ErrorSpec>

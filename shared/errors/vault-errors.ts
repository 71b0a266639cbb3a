/** Failures of checkpoints and of the vault that keeps them. */
import type { ErrorSpec } from './wdock-error.ts'

export const vaultErrors = {
  'restore.accelerator_differs': {
    says: '{name} ran on the processor itself (KVM) when this was kept; this PC can only emulate one.',
    fix: 'Restore it on a PC with KVM. {why}',
    permanent: true,
  },
  'restore.cpu_lacks': {
    says: 'The processor of this PC lacks what {name} uses: {features}.',
    fix: 'Restore it on the PC on which it was kept, or on one with a newer processor.',
    permanent: true,
  },
  'restore.disk_short': {
    says: '{name} needs about {needed} on the disk of this PC; {free} is free.',
    fix: 'Free some space, then restore it again. Nothing was changed.',
    permanent: false,
  },
  'restore.lives_elsewhere': {
    says: '{name} is on {dock}. If it were restored here as the same guest, it would be there twice.',
    fix: 'Restore it as a copy, or move it here from {dock} first.',
    permanent: true,
  },
  'restore.machine_type_gone': {
    says: 'QEMU {version} on this PC does not have the machine type {machine} with which {name} was kept.',
    fix: 'QEMU {oldest} to {newest} have it: install one of them, or restore it on a PC that has one.',
    permanent: true,
  },
  'restore.memory_lost': {
    says: 'The memory of {name} had not fully arrived when the restore was broken off, so it could not go on.',
    fix: 'Its checkpoint is as it was: restore it again.',
    permanent: false,
  },
  'restore.memory_short': {
    says: '{name} needs {needed} of memory; this PC has {free} to give.',
    fix: 'Stop other guests or close programs, then restore it again. Nothing was changed.',
    permanent: false,
  },
  'restore.too_late_to_cancel': {
    says: '{name} runs already; what is missing arrives while it does.',
    fix: 'If you do not want it, wait until it is complete, then force it off and delete it.',
    permanent: true,
  },
  'restore.unfinished': {
    says: 'The disk of {name} has not fully arrived yet.',
    fix: 'It goes on arriving as soon as its checkpoint can be reached. If it cannot, delete {name} and restore it again.',
    permanent: false,
  },
  'vault.already_kept': {
    says: 'This checkpoint is complete: it is kept on this PC and on its way into the vault.',
    fix: 'If you do not want it, delete it.',
    permanent: true,
  },
  'vault.bad_lent_manifest': {
    says: 'The checkpoint behind this link is damaged: what it consists of cannot be read.',
    fix: 'Ask the person who gave it to you for a new link.',
    permanent: true,
  },
  'vault.bad_link': {
    says: 'This is not the whole link to a checkpoint.',
    fix: 'Copy all of it, from “wdock:” to its last letter, and paste it again.',
    permanent: true,
  },
  'vault.bad_manifest': {
    says: 'The checkpoint {checkpoint} is damaged: what it consists of cannot be read.',
    fix: 'It was left as it is. Restore another checkpoint, and check the vault, on its page or with “wdock vault check”, to see what else is affected.',
    permanent: true,
  },
  'vault.bad_span': {
    says: 'With these times the link would never work.',
    fix: 'Choose an end that is later than now, and later than the start.',
    permanent: true,
  },
  'vault.cannot_lend': {
    says: 'Links cannot be made to {place}: others have no way to reach it.',
    fix: 'Lending needs Azure cloud storage with an account key or connection string: choose it in the settings, under Checkpoints.',
    permanent: true,
  },
  'vault.checkpoint_missing': {
    says: 'This checkpoint is not in the vault any more.',
    fix: 'Another PC may have deleted it. Choose another one.',
    permanent: true,
  },
  'vault.damaged': {
    says: 'Data of this checkpoint is damaged in the vault.',
    fix: 'Restore another checkpoint, and check the vault, on its page or with “wdock vault check --read-data”, to see what else is affected.',
    permanent: true,
  },
  'vault.damaged_frame': {
    says: 'Part {ordinal} of the pack {pack} is damaged or was changed.',
    fix: 'Check the vault with “wdock vault check --read-data”: it says which checkpoints are affected.',
    permanent: true,
  },
  'vault.damaged_object': {
    says: 'The file {name} of the vault is damaged or was changed.',
    fix: 'Check the vault with “wdock vault check”. If the place that it is in keeps older versions, bring back the last good one.',
    permanent: true,
  },
  'vault.damaged_vault_file': {
    says: 'The file vault.json of the vault is damaged, or is not a vault’s.',
    fix: 'If the place that it is in keeps older versions of it, bring back the last good one.',
    permanent: true,
  },
  'vault.disk_too_large': {
    says: 'The disk {disk} is larger than a checkpoint can hold: 1 TiB.',
    fix: 'Checkpoints of guests with smaller disks can be made.',
    permanent: true,
  },
  'vault.exists': {
    says: 'There is a vault in this place already.',
    fix: 'Open it with its recovery phrase, or choose an empty place.',
    permanent: true,
  },
  'vault.in_use': {
    says: 'The vault is in use: {what}.',
    fix: 'Wait until that has ended, or cancel it.',
    permanent: false,
  },
  'vault.key_gone': {
    says: 'The key of the vault is not on this PC any more.',
    fix: 'Open the vault again with its recovery phrase.',
    permanent: true,
  },
  'vault.keyring_silent': {
    says: 'The key of the vault is in the desktop’s keyring, and that does not answer.',
    fix: 'Log in to the desktop of this PC and unlock the keyring, or enter the recovery phrase.',
    permanent: false,
  },
  'vault.link_preparing': {
    says: 'The checkpoint behind this link is still being prepared.',
    fix: 'Try again in a few minutes.',
    permanent: false,
  },
  'vault.newer_object': {
    says: 'The file {name} of the vault was written by a newer Wireless Dock+.',
    fix: 'Update Wireless Dock+ on this PC.',
    permanent: true,
  },
  'vault.newer_version': {
    says: 'The vault was written by a newer Wireless Dock+ (version {version} of its format).',
    fix: 'Update Wireless Dock+ on this PC.',
    permanent: true,
  },
  'vault.no_picture': {
    says: 'This checkpoint of {name} has no picture.',
    fix: 'Only what was running had a screen to show.',
    permanent: true,
  },
  'vault.none': {
    says: 'No place for checkpoints has been chosen.',
    fix: 'Choose a folder or cloud storage in the settings, under Checkpoints.',
    permanent: true,
  },
  'vault.not_there': {
    says: 'There is no vault in this place.',
    fix: 'Choose the place where the vault is, or make a new vault here.',
    permanent: true,
  },
  'vault.one_already': {
    says: 'This PC keeps its checkpoints in {place} already.',
    fix: 'To use another place, first have this PC forget that one: nothing in it is touched.',
    permanent: true,
  },
  'vault.opening': {
    says: 'The place for checkpoints is still being opened.',
    fix: 'Try again in a moment.',
    permanent: false,
  },
  'vault.pack_missing': {
    says: 'Data of this checkpoint is missing in the vault.',
    fix: 'Restore another checkpoint, and check the vault, on its page or with “wdock vault check”, to see what else is affected.',
    permanent: true,
  },
  'vault.phrase_checksum': {
    says: 'The words are in the list, but do not belong together.',
    fix: 'One of them is another word, or two have changed places: compare them with what you wrote down.',
    permanent: true,
  },
  'vault.phrase_length': {
    says: 'These are {count} words; a recovery phrase has 24.',
    fix: 'Enter all words in their order.',
    permanent: true,
  },
  'vault.phrase_not_kept': {
    says: 'The recovery phrase of this vault cannot be shown: it was not kept in it.',
    fix: 'Use the phrase that was written down when the vault was made.',
    permanent: true,
  },
  'vault.phrase_word': {
    says: 'Word {number}, “{word}”, is not in the list of recovery words.',
    fix: 'Compare it with what you wrote down.{hint}',
    permanent: true,
  },
  'vault.place_not_empty': {
    says: 'There are other files in this place.',
    fix: 'Choose an empty folder or container for the vault.',
    permanent: true,
  },
  'vault.spool_full': {
    says: 'A checkpoint needs {needed} in {path} until it has been sent, but only {free} is free.',
    fix: 'Free some space, then make the checkpoint again.',
    permanent: false,
  },
  'vault.stopped': {
    says: 'The part of this program that works with the vault ended unexpectedly.',
    fix: 'It is started again by itself. Then try again.',
    permanent: false,
  },
  'vault.sweep_unsure': {
    says: 'Nothing was freed: the file {name} of the vault cannot be read, so it is not known what is still needed.',
    fix: 'Check the vault to see which checkpoint that is. Delete it if it is lost, or update Wireless Dock+ if a newer one wrote it.',
    permanent: true,
  },
  'vault.upload_lost': {
    says: 'The checkpoint could not be finished: while this PC was away for long, what it builds on was deleted.',
    fix: 'Make a new checkpoint.',
    permanent: true,
  },
  'vault.wrong_key': {
    says: 'The key on this PC is not the key of this vault.',
    fix: 'Enter the recovery phrase of the vault.',
    permanent: true,
  },
  'vault.wrong_phrase': {
    says: 'This recovery phrase does not open this vault.',
    fix: 'Check that it is the phrase of this vault, and the latest one if it was ever changed.',
    permanent: true,
  },
} as const satisfies Record<string, ErrorSpec>

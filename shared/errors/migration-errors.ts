/** Failures of moving a guest. Blockers found by the check use the same table. */
import type { ErrorSpec } from './wdock-error.ts'

export const migrationErrors = {
  'migration.blocked': {
    says: '{name} cannot move to {dock} now: {why}',
    fix: '{todo}',
    permanent: false,
  },
  'migration.qemu_missing_there': {
    says: 'QEMU is not installed on {dock}.',
    fix: 'Install it there: sudo apt install qemu-system-x86 qemu-utils',
    permanent: true,
  },
  'migration.machine_type_missing': {
    says: 'QEMU {version} on {dock} does not know the machine type {machine} of {name}.',
    fix: 'Update QEMU on {dock} to {needed} or newer.',
    permanent: true,
  },
  'migration.accelerator_differs': {
    says: '{name} runs with {ours} here, but {dock} offers only {theirs}.',
    fix: 'Enable virtualisation in the firmware of {dock}. Without it {dock} can only take guests that run with {theirs}.',
    permanent: true,
  },
  'migration.cpu_feature_missing': {
    says: '{name} uses processor features that {dock} lacks: {features}.',
    fix: 'Shut {name} down and start it again while both PCs are connected: it then takes a CPU model that both have, such as {suggested}.',
    permanent: true,
  },
  'migration.cpu_model_unknown': {
    says: 'QEMU {version} on {dock} has no CPU model {model} on which {name} could go on.',
    fix: 'Update QEMU on {dock}; or shut {name} down and start it again while both PCs are connected: it then takes a CPU model that both have, such as {suggested}.',
    permanent: true,
  },
  'migration.layout_differs': {
    says: 'Wireless Dock+ on {dock} builds the machine of {name} in another way.',
    fix: 'Update Wireless Dock+ on both PCs.',
    permanent: true,
  },
  'migration.memory_short': {
    says: '{dock} has {free} of memory free; {name} needs {needed}.',
    fix: 'Close programs or stop guests on {dock}.',
    permanent: false,
  },
  'migration.disk_short': {
    says: '{dock} has {free} of disk space free; {name} needs {needed}.',
    fix: 'Free some space on {dock}.',
    permanent: false,
  },
  'migration.name_clash': {
    says: '{dock} already has another guest called {name}.',
    fix: 'Rename one of the two.',
    permanent: true,
  },
  'migration.already_there': {
    says: '{dock} already has a guest with the identity of {name}.',
    fix: 'Delete or settle the one on {dock} first.',
    permanent: true,
  },
  'migration.guest_busy': {
    says: '{name} is busy: {what}.',
    fix: 'Wait until that has ended, or cancel it.',
    permanent: false,
  },
  'migration.not_running': {
    says: '{name} is not running.',
    fix: 'Start it first.',
    permanent: false,
  },
  'migration.local_files': {
    says: '{name} uses {what}, which exists only on this PC.',
    fix: 'Eject or remove it from the guest, then move it.',
    permanent: true,
  },
  'migration.qemu_failed': {
    says: 'QEMU could not move {name}.',
    fix: 'It runs on where it was. Read the details and try again.',
    permanent: false,
  },
  'migration.destination_died': {
    says: '{dock} failed while {name} was moving.',
    fix: '{name} runs on where it was. Look at {dock}, then try again.',
    permanent: false,
  },
  'migration.link_lost': {
    says: 'The link to {dock} broke while {name} was moving.',
    fix: '{name} runs on where it was. Try again when the link is back.',
    permanent: false,
  },
  'migration.source_lost': {
    says: 'The link to {dock} broke while {name} was on its way here.',
    fix: '{name} still runs on {dock}. Check that both PCs are on one network, then try again.',
    permanent: false,
  },
  'migration.stayed': {
    says: 'The move of {name} to {dock} was cut short.',
    fix: '{name} stayed where it was. Move it again when both PCs are on one network.',
    permanent: false,
  },
  'migration.stalled': {
    says: 'Nothing arrived on {dock} for {seconds} s.',
    fix: '{name} runs on where it was. Check the network and try again.',
    permanent: false,
  },
  'migration.too_late_to_cancel': {
    says: '{name} has already been handed over to {dock}.',
    fix: 'Move it back from there.',
    permanent: true,
  },
  'migration.post_copy_impossible': {
    says: '{dock} cannot run {name} before all of its memory is there. {why}',
    fix: 'Move it without post-copy, or change that on {dock}.',
    permanent: false,
  },
  'migration.memory_lost': {
    says: '{name} was running on {dock} before all of its memory was there, and {why}: the rest of its memory is lost.',
    fix: 'Its disk is whole on {dock}. Start it there; it boots as after a power cut.',
    permanent: false,
  },
  'migration.memory_lost_here': {
    says: '{name} had begun to go over to {dock} with post-copy and was cut off there: its memory is in two parts that do not meet again.',
    fix: 'Its disk is whole here. Start it; it boots as after a power cut.',
    permanent: false,
  },
  'migration.unsettled': {
    says: 'The last move of {name} to {dock} is not settled: the link broke just as it was handed over.',
    fix: 'Bring both PCs onto one network; it settles by itself. Or decide by hand, which is risky.',
    permanent: false,
  },
  'migration.failed_there': {
    says: '{dock} could not take {name}: {why}',
    fix: '{name} runs on where it was. On {dock}: {todo}',
    permanent: false,
  },
  'migration.not_arrived': {
    says: '{name} had not arrived here completely when the link broke, so it cannot run here.',
    fix: 'Bring both PCs onto one network, or give it up here: it is whole on the other PC, and what is here goes to the trash.',
    permanent: false,
  },
  'migration.not_found': {
    says: 'There is no such migration.',
    fix: 'It may have ended; look at the history.',
    permanent: true,
  },
} as const satisfies Record<string, ErrorSpec>
